package harness

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/results"
)

// TestADelayLiftsTheTailByWhatItIsSizedFor draws times with a heavy tail, delays a share of them, and looks at the p99.
func TestADelayLiftsTheTailByWhatItIsSizedFor(t *testing.T) {
	for _, spread := range []float64{0.2, 0.5, 1} {
		draw := func(delay, share float64) float64 {
			random, h := rand.New(rand.NewPCG(1, 2)), results.NewTimes()
			for range 400_000 {
				ns := 80_000 * math.Exp(spread*random.NormFloat64())
				if random.Float64() < share {
					ns += delay
				}
				require.NoError(t, h.RecordValue(int64(ns)))
			}
			if delay == 0 {
				return delayFor(h, 0.10, delayedShare) * 1e9
			}
			return float64(results.Quantile(h, 0.99))
		}
		delay, plain := draw(0, 0), draw(1, 0)
		require.Greater(t, delay, 0.0)
		require.InDelta(t, 0.10, draw(delay, delayedShare)/plain-1, 0.01, "spread %g", spread)
	}
}
