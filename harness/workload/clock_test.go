package workload

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// processCPU reads another process's CPU clock; its clock id is made of the process id (clock_getcpuclockid(3)).
func processCPU(pid int) (time.Duration, error) {
	var t unix.Timespec
	err := unix.ClockGettime(int32((^pid)<<3|2), &t)
	return time.Duration(t.Nano()), err
}

func writeFile(file, text string) error { return os.WriteFile(file, []byte(text), 0o644) }
