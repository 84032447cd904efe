package harness

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"crossroads/harness/meter"
	"crossroads/harness/rivals"
)

// Check is one thing that the doctor looked at.
type Check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Need bool   `json:"needed"` // without it nothing can be measured; otherwise it is advice
	Text string `json:"text"`   // what was found
	Mend string `json:"mend,omitempty"`
}

// Doctor looks at whether this machine can measure. runs is the directory that will keep the records.
func Doctor(executable, runs string) []Check {
	return []Check{
		checkPrograms(executable), checkCPUs(), checkTimer(), checkPriority(), checkFiles(), checkDisk(runs), checkQuiet(),
		checkRivals(),
	}
}

func checkPrograms(executable string) Check {
	c := Check{Name: "programs", Need: true, Mend: "build all programs: make build"}
	if _, err := Binaries(executable); err != nil {
		c.Text = err.Error()
		return c
	}
	c.OK, c.Text = true, "crossroads, gateway, sidecar, control and workload lie side by side"
	return c
}

func checkCPUs() Check {
	n := runtime.NumCPU()
	return Check{Name: "cpus", OK: n >= 2, Text: fmt.Sprintf("%d", n),
		Mend: "driver and target need a CPU each: measure on a machine with two or more"}
}

// checkTimer sleeps as the driver does, on a thread of its own, and looks at how late it wakes.
func checkTimer() Check {
	const sleeps, length, limit = 200, 200 * time.Microsecond, 500 * time.Microsecond
	var worst time.Duration
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // the slack dies with the thread
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
		request := unix.NsecToTimespec(int64(length))
		for range sleeps {
			began := time.Now()
			_ = unix.Nanosleep(&request, nil)
			worst = max(worst, time.Since(began)-length)
		}
	}()
	<-done
	return Check{Name: "timer", OK: worst < limit, Text: fmt.Sprintf("wakes at most %s late in %d sleeps", worst.Round(time.Microsecond), sleeps),
		Mend: "the machine is busy or its timers are coarse: trials may be invalid for slip"}
}

func checkPriority() Check {
	c := Check{Name: "priority", Mend: "without CAP_SYS_NICE the driver competes with the target: expect more slip"}
	var limit unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NICE, &limit)
	c.OK = os.Geteuid() == 0 || (err == nil && limit.Cur >= 30)
	c.Text = "not permitted"
	if c.OK {
		c.Text = "the driver may raise its priority"
	}
	return c
}

func checkFiles() Check {
	const enough = 4096
	var limit unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	return Check{Name: "open files", OK: err == nil && limit.Cur >= enough, Text: fmt.Sprintf("%d a process", limit.Cur), Mend: "ulimit -n 65536"}
}

func checkDisk(runs string) Check {
	const enough = 200 << 20
	c := Check{Name: "disk", Need: true, Mend: "free some space, or choose another directory with --results"}
	var fs unix.Statfs_t
	dir := runs
	if _, err := os.Stat(dir); err != nil {
		dir = "."
	}
	if err := unix.Statfs(dir, &fs); err != nil {
		c.Text = err.Error()
		return c
	}
	free := int64(fs.Bavail) * fs.Bsize
	c.OK, c.Text = free >= enough, fmt.Sprintf("%d MiB free", free>>20)
	return c
}

// checkQuiet holds the machine against the rules that every trial is held against.
func checkQuiet() Check {
	block := meter.Start(nil, nil)
	before := meter.Calibrate()
	time.Sleep(500 * time.Millisecond)
	after := meter.Calibrate()
	_, host, _ := block.End()
	drift := float64(after-before) / float64(before)
	return Check{Name: "quiet", OK: host.Steal <= 0.02 && host.Foreign <= 0.05,
		Text: fmt.Sprintf("steal %.1f%%, others use %.1f%% of the CPUs, calibration differs by %+.1f%%", host.Steal*100, host.Foreign*100, drift*100),
		Mend: "stop what else runs here: a trial is invalid above 2% steal or 5% foreign CPU"}
}

func checkRivals() Check {
	c := Check{Name: "rivals", OK: true, Text: "none found: arms that use them cannot be deployed"}
	var found []string
	for _, r := range rivals.All() {
		if f, err := r.Find(); err == nil {
			found = append(found, r.Name+" "+f.Version)
		}
	}
	if len(found) > 0 {
		c.Text = strings.Join(found, ", ")
	}
	return c
}
