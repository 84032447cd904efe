package workload

import (
	"fmt"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Calibration is how many iterations of the burning loop take one microsecond of CPU time on this machine. It is measured once and
// given to every node of a run, so that the declared CPU is the same number of instructions in every replica and every arm.
type Calibration float64

// Iterations is the loop count for a declared CPU time.
func (c Calibration) Iterations(d time.Duration) uint64 {
	return uint64(float64(c) * float64(d) / float64(time.Microsecond))
}

// ParseCalibration reads what Calibration.String writes.
func ParseCalibration(text string) (Calibration, error) {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v >= 1 && v <= 1e6) {
		return 0, fmt.Errorf("calibration %q: expected iterations a microsecond, 1 to 1000000, as `workload calibrate` prints them", text)
	}
	return Calibration(v), nil
}

func (c Calibration) String() string { return strconv.FormatFloat(float64(c), 'f', 3, 64) }

// Calibrate measures the loop on one thread: short pieces with pauses between them, about 30 ms of CPU over 200 ms. It keeps the fastest
// piece: whatever else the machine does (a busy sibling of the core halves its speed) can only make a piece slower, and is less likely
// to last through all of them.
func Calibrate() (Calibration, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const pieces, iterations, pause = 64, 1 << 17, 2 * time.Millisecond
	best := time.Duration(1 << 62)
	for range pieces {
		before, err := threadCPU()
		if err != nil {
			return 0, err
		}
		burn(iterations)
		after, err := threadCPU()
		if err != nil {
			return 0, err
		}
		best = min(best, after-before)
		time.Sleep(pause)
	}
	if best <= 0 {
		return 0, fmt.Errorf("calibrate the CPU burnt: the thread clock did not move in %d iterations", iterations)
	}
	return Calibration(float64(iterations) / (float64(best) / float64(time.Microsecond))), nil
}

func threadCPU() (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return 0, fmt.Errorf("read the thread's CPU clock: %w", err)
	}
	return time.Duration(t.Nano()), nil
}

// burn runs the loop. Each iteration needs the one before, so that no processor can run them side by side; the result is kept alive, so
// that no compiler can leave them out.
func burn(iterations uint64) {
	x := iterations
	for range iterations {
		x = mix(x)
	}
	runtime.KeepAlive(x)
}
