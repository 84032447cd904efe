package meter

import (
	"bytes"
	"os"
	"runtime"
	"time"

	"crossroads/results"
)

// machine is the machine's CPU time since boot by /proc/stat, all CPUs together, in ticks of 10 ms.
type machine struct {
	busy       int64
	interrupts int64 // of busy: hard and soft interrupts
	steal      int64
	idle       int64
}

const tick = int64(10 * time.Millisecond)

func readMachine() machine {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return machine{}
	}
	return parseMachine(text)
}

// parseMachine reads the first line of /proc/stat: user nice system idle iowait irq softirq steal guest guest_nice. The guest times
// are contained in user and nice already (proc(5)). Steal is time that we did not get: it is neither busy nor idle.
func parseMachine(stat []byte) machine {
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	f := bytes.Fields(line)
	if len(f) < 8 || string(f[0]) != "cpu" {
		return machine{}
	}
	at := func(i int) int64 { return number(f, i) }
	return machine{busy: at(1) + at(2) + at(3) + at(6) + at(7), interrupts: at(6) + at(7), idle: at(4) + at(5), steal: at(8)}
}

// since is what the machine did since before, of which ours nanoseconds are accounted for. Busy is in ticks and ours is exact, so the
// difference can come out below zero; nothing foreign was seen then.
//
// apart says that the kernel keeps interrupts out of the clocks of the processes they interrupt. The network's soft interrupts, which
// our own load causes, are then in busy and not in ours, and would look foreign.
func (m machine) since(before machine, ours int64, apart bool) results.HostUse {
	busy, idle, steal := m.busy-before.busy, m.idle-before.idle, m.steal-before.steal
	use := results.HostUse{CPUs: runtime.NumCPU(), Busy: busy * tick, Ours: ours}
	if all := busy + idle + steal; all > 0 {
		use.Steal = float64(steal) / float64(all)
		theirs := use.Busy - ours
		if apart {
			theirs -= (m.interrupts - before.interrupts) * tick
		}
		use.Foreign = max(0, float64(theirs)/float64(all*tick))
	}
	return use
}
