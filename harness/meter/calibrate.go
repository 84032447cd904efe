package meter

import (
	"runtime"
	"time"
)

// Calibration is a fixed piece of work, a few milliseconds long on a machine of today; of several runs the shortest counts, for noise
// only ever adds.
const (
	calibrationRounds = 1_500_000
	calibrationRuns   = 3
)

// Calibrate times the fixed loop. Before and after a block it shows whether the CPU itself became faster or slower, as by a frequency
// that changed. It hardly shows what a neighbour on the same core takes: a single chain of instructions leaves most of a core free.
func Calibrate() time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	shortest := time.Duration(1<<63 - 1)
	for range calibrationRuns {
		began := time.Now()
		calibrated = spin(calibrated|1, calibrationRounds)
		shortest = min(shortest, time.Since(began))
	}
	return shortest
}

// calibrated takes the loop's result, so that the loop cannot be left out.
var calibrated uint64

// spin is xorshift64: a chain of dependent instructions that no compiler shortens and no cache decides.
func spin(x uint64, rounds int) uint64 {
	for range rounds {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return x
}
