package meter

import (
	"bytes"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// cpuTime is the CPU time of a process in nanoseconds, by its process clock: user and system, of threads that ended too. 0 where
// there is no such process (any more).
func cpuTime(pid int) int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(processClock(pid), &t); err != nil {
		return 0
	}
	return t.Nano()
}

// processClock is the clock of another process as clock_getcpuclockid(3) makes it: the PID's complement above three bits that say
// "scheduler's nanoseconds, whole process" (CPUCLOCK_SCHED, include/linux/posix-timers_types.h). Reading it needs no permission.
func processClock(pid int) int32 {
	const schedulerClock = 2
	return int32(^pid)<<3 | schedulerClock
}

// ticks are the CPU times of /proc/PID/stat: 10 ms each on Linux (USER_HZ is 100).
type ticks struct{ user, system int64 }

// minTicks is how many must have passed before their ratio says something: at 20 one tick more or less shifts it by 5%.
const minTicks = 20

// split divides CPU time by the ratio of ticks; zeros where there are too few of them.
func split(cpu int64, from, to ticks) (user, system int64) {
	u, s := to.user-from.user, to.system-from.system
	if u < 0 || s < 0 || u+s < minTicks {
		return 0, 0
	}
	user = int64(float64(cpu) * float64(u) / float64(u+s))
	return user, cpu - user
}

func ticksOf(pid int) ticks {
	f := statFields(pid)
	return ticks{user: number(f, 11), system: number(f, 12)}
}

func parentOf(pid int) int { return int(number(statFields(pid), 1)) }

// statFields are the fields of /proc/PID/stat from the third (state) on; the second may hold blanks and parentheses.
func statFields(pid int) [][]byte {
	text, err := os.ReadFile(procFile(pid, "stat"))
	end := bytes.LastIndexByte(text, ')')
	if err != nil || end < 0 {
		return nil
	}
	return bytes.Fields(text[end+1:])
}

func number(fields [][]byte, i int) int64 {
	if i >= len(fields) {
		return 0
	}
	n, _ := strconv.ParseInt(string(fields[i]), 10, 64)
	return n
}

// resetPeak makes VmHWM start anew (proc(5), clear_refs 5). Where that is not permitted the peak is that of the process's life.
func resetPeak(pid int) { _ = os.WriteFile(procFile(pid, "clear_refs"), []byte("5"), 0) }

// memory reads the resident set and its peak, in bytes.
func memory(pid int) (rss, peak int64) {
	text, err := os.ReadFile(procFile(pid, "status"))
	if err != nil {
		return 0, 0
	}
	return statusKiB(text, "VmRSS:"), statusKiB(text, "VmHWM:")
}

// statusKiB reads a line such as "VmRSS:	    1234 kB" and returns bytes.
func statusKiB(status []byte, name string) int64 {
	for line := range bytes.Lines(status) {
		if value, found := bytes.CutPrefix(line, []byte(name)); found {
			return number(bytes.Fields(value), 0) << 10
		}
	}
	return 0
}

// sockets counts the open sockets of a process.
func sockets(pid int) int {
	dir := procFile(pid, "fd")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	count := 0
	for _, e := range entries {
		if link, err := os.Readlink(dir + "/" + e.Name()); err == nil && strings.HasPrefix(link, "socket:") {
			count++
		}
	}
	return count
}

func procFile(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }
