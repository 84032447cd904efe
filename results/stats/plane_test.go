package stats

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPlaneFindsWhatMadeTheData(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	covered := 0
	const runs = 400
	for range runs {
		var x [][]float64
		var y []float64
		for _, rate := range []float64{500, 1000, 2000} {
			for _, conns := range []float64{16, 64} {
				for range 6 {
					x = append(x, []float64{rate, conns})
					y = append(y, 20+0.11*rate+0.4*conns+3*r.NormFloat64())
				}
			}
		}
		c, within, ok := Plane(x, y, 0.95)
		require.True(t, ok)
		require.InDelta(t, 0.11, c[1], 0.01)
		if within[2].Contains(0.4) {
			covered++
		}
	}
	require.InDelta(t, 0.95*runs, covered, 0.04*runs, "an interval of 95% holds the truth about so often")
}

func TestPlaneSaysWhatItCannotTell(t *testing.T) {
	_, _, ok := Plane([][]float64{{1, 2}, {2, 4}, {3, 6}, {4, 8}, {5, 10}}, []float64{1, 2, 3, 4, 5}, 0.95)
	require.False(t, ok, "one is twice the other")
	_, _, ok = Plane([][]float64{{1, 2}, {2, 1}, {3, 3}}, []float64{1, 2, 3}, 0.95)
	require.False(t, ok, "as many unknowns as points")
	_, _, ok = Plane(nil, nil, 0.95)
	require.False(t, ok)
}
