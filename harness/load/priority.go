package load

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// pin binds every thread of the process to the given CPUs; none leaves it where it is.
func pin(cpus []int) error {
	if len(cpus) == 0 {
		return nil
	}
	var set unix.CPUSet
	for _, c := range cpus {
		set.Set(c)
	}
	return eachThread(func(tid int) error {
		if err := unix.SchedSetaffinity(tid, &set); err != nil {
			return fmt.Errorf("pinning the driver to CPUs %v: %w", cpus, err)
		}
		return nil
	})
}

// raisePriority asks for what keeps the driver on time beside a busy target, and says what was permitted. It is asked for every
// thread: the runtime hands a locked thread's processor around through others now and then, and those must not wait behind the target
// either. Threads made later inherit it. Real time is for the native driver only, whose spin is bounded; vegeta's driver burns too much
// CPU to be put above everything else.
func raisePriority(realTime bool) string {
	if realTime {
		fifo := &unix.SchedAttr{Policy: unix.SCHED_FIFO, Priority: 1}
		if eachThread(func(tid int) error { return unix.SchedSetAttr(tid, fifo, 0) }) == nil {
			return "fifo"
		}
	}
	const nice = -10
	if eachThread(func(tid int) error { return unix.Setpriority(unix.PRIO_PROCESS, tid, nice) }) == nil {
		return "nice " + strconv.Itoa(nice)
	}
	return "normal"
}

// eachThread calls f for every thread of the process, twice over, for those that started in between.
func eachThread(f func(tid int) error) error {
	for range 2 {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("listing the threads: %w", err)
		}
		for _, t := range tasks {
			tid, err := strconv.Atoi(t.Name())
			if err != nil {
				continue
			}
			if err := f(tid); err != nil && err != unix.ESRCH {
				return err
			}
		}
	}
	return nil
}

// processCPU is the CPU time of this process, all threads that ever ran in it, in nanoseconds.
func processCPU() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
