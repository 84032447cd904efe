package stats

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// The critical values of U at 5%, two-sided, as tables have them (Mann and Whitney 1947; Milton 1964).
func TestRankSumTailAgainstTables(t *testing.T) {
	for _, c := range []struct{ n, m, critical int }{
		{3, 4, -1}, {3, 5, 0}, {4, 4, 0}, {5, 5, 2}, {5, 8, 6}, {8, 8, 13}, {10, 10, 23}, {15, 15, 64}, {20, 20, 127}, {8, 5, 6},
	} {
		k, level := rankSumTail(c.n, c.m, 0.025)
		require.Equal(t, c.critical, k, "%d and %d", c.n, c.m)
		if k >= 0 {
			require.GreaterOrEqual(t, level, 0.95)
		}
	}
}

func TestShift(t *testing.T) {
	require.Equal(t, 2.0, Shift([]float64{1, 2, 3}, []float64{3, 4, 5}))
	require.False(t, ShiftInterval([]float64{1, 2, 3}, []float64{3, 4, 5}, 0.95).OK(), "too few for an interval")
	require.False(t, ShiftInterval(nil, []float64{3, 4, 5}, 0.95).OK())
}

// The interval holds the shift as often as it says, on either side of the limit of the exact distribution.
func TestShiftIntervalCovers(t *testing.T) {
	for _, n := range []int{8, 24} {
		random := rand.New(rand.NewPCG(7, uint64(n)))
		const runs = 400
		covered := 0
		for range runs {
			x, y := make([]float64, n), make([]float64, n)
			for i := range x {
				x[i], y[i] = random.NormFloat64(), 0.5+random.NormFloat64()
			}
			if ShiftInterval(x, y, 0.95).Contains(0.5) {
				covered++
			}
		}
		low := ClopperPearson(covered, runs, 0.999)
		require.GreaterOrEqual(t, low.High, 0.95, "%d of %d with n = %d", covered, runs, n)
	}
}
