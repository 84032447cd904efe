package stats_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/results/stats"
)

func TestFewObservationsGiveNoInterval(t *testing.T) {
	var d []float64
	for n := range 12 {
		i := stats.SignedRank(d, 0.95)
		require.Equal(t, n, i.N)
		require.Equal(t, n >= 6, i.OK(), "n = %d", n)
		if !i.OK() {
			require.Equal(t, stats.Interval{N: n}, i, "nothing but n is said")
			require.False(t, i.Contains(0))
			require.Contains(t, i.String(), "no interval (n = ")
		}
		d = append(d, float64(n*n))
	}
	require.True(t, math.IsNaN(stats.HodgesLehmann(nil)))
	require.True(t, math.IsNaN(stats.Median(nil)))
	require.True(t, math.IsNaN(stats.MAD(nil)))
	require.False(t, stats.Interval{}.OK(), "the zero value is no interval")
}

func TestSignedRankOfZerosAndTies(t *testing.T) {
	for name, c := range map[string]struct {
		d         []float64
		low, high float64
		estimate  float64
	}{
		"all zero":       {[]float64{0, 0, 0, 0, 0, 0}, 0, 0, 0},
		"all equal":      {[]float64{3, 3, 3, 3, 3, 3, 3}, 3, 3, 3},
		"six with zeros": {[]float64{0, 0, 1, 1, 2, 2}, 0, 2, 1}, // k = 0: the extremes
		"two signs":      {[]float64{-1, -1, -1, 1, 1, 1}, -1, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			i := stats.SignedRank(c.d, 0.95)
			require.Equal(t, []float64{c.low, c.high}, []float64{i.Low, i.High})
			require.Equal(t, c.estimate, stats.HodgesLehmann(c.d))
		})
	}
}

func TestEstimatesMoveWithTheData(t *testing.T) {
	draw := rand.New(rand.NewPCG(5, 6))
	for range 50 {
		n := 6 + draw.IntN(30)
		d, moved, mirrored := make([]float64, n), make([]float64, n), make([]float64, n)
		for i := range d {
			d[i] = math.Round(draw.NormFloat64() * 1e6)
			moved[i], mirrored[i] = d[i]+1e6, -d[i]
		}
		before := slices.Clone(d)
		i, m, r := stats.SignedRank(d, 0.95), stats.SignedRank(moved, 0.95), stats.SignedRank(mirrored, 0.95)
		require.Equal(t, before, d, "the argument is not changed")
		require.Equal(t, []float64{i.Low + 1e6, i.High + 1e6}, []float64{m.Low, m.High})
		require.Equal(t, []float64{-i.High, -i.Low}, []float64{r.Low, r.High})
		require.Equal(t, stats.HodgesLehmann(d)+1e6, stats.HodgesLehmann(moved))
		require.LessOrEqual(t, i.Low, stats.HodgesLehmann(d))
		require.GreaterOrEqual(t, i.High, stats.HodgesLehmann(d))
	}
}

// TestCoverage draws from symmetric distributions and counts how often the 95% interval holds the truth. The bound is three
// standard errors of that count below what the interval promises.
func TestCoverage(t *testing.T) {
	const draws = 1000
	distributions := map[string]func(*rand.Rand) float64{
		"normal":    func(r *rand.Rand) float64 { return r.NormFloat64() },
		"uniform":   func(r *rand.Rand) float64 { return r.Float64() - 0.5 },
		"heavy":     func(r *rand.Rand) float64 { return r.NormFloat64() / (0.05 + r.Float64()) },
		"with ties": func(r *rand.Rand) float64 { return math.Round(2 * r.NormFloat64()) },
	}
	for name, draw := range distributions {
		for _, n := range []int{6, 9, 20, 21, 40} {
			r := rand.New(rand.NewPCG(uint64(n), 9))
			held := 0
			var level float64
			d := make([]float64, n)
			for range draws {
				for i := range d {
					d[i] = 7 + draw(r)
				}
				i := stats.SignedRank(d, 0.95)
				level = i.Level
				if i.Contains(7) {
					held++
				}
			}
			require.GreaterOrEqual(t, level, 0.95)
			require.GreaterOrEqual(t, float64(held)/draws, 0.95-3*math.Sqrt(0.95*0.05/draws), "%s, n = %d", name, n)
		}
	}
}

// TestNormalMeetsExact holds the approximation against the exact distribution where the one takes over from the other: adding an
// observation must not make the promise jump.
func TestNormalMeetsExact(t *testing.T) {
	width := func(n int) float64 {
		d := make([]float64, n)
		for i := range d {
			d[i] = float64(i) // evenly spread: the interval's width is proportional to the ranks left out
		}
		i := stats.SignedRank(d, 0.95)
		return (i.High - i.Low) / float64(n)
	}
	require.InDelta(t, width(stats.ExactUpTo), width(stats.ExactUpTo+1), 0.03)
}

func TestMannKendallEdges(t *testing.T) {
	for _, x := range [][]float64{nil, {1}, {2, 2, 2, 2, 2, 2, 2, 2, 2, 2}} {
		require.Equal(t, stats.Trend{S: 0, P: 1}, stats.MannKendall(x))
	}
	require.Equal(t, 1.0, stats.MannKendall([]float64{1, 2}).P)
	// All ten in order is one of 10! ways, in either direction.
	require.InEpsilon(t, 2.0/3628800, stats.MannKendall([]float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}).P, 1e-9)
	a, b := stats.MannKendall([]float64{1, 3, 2, 5, 4, 6}), stats.MannKendall([]float64{6, 4, 5, 2, 3, 1})
	require.Equal(t, a.S, -b.S)
	require.Equal(t, a.P, b.P)
}

func TestSignFlips(t *testing.T) {
	var all [][]float64
	for f := range stats.SignFlips([]float64{1, 2, 3}, 8, 0) {
		all = append(all, slices.Clone(f))
	}
	require.Len(t, all, 8)
	require.Equal(t, []float64{1, 2, 3}, all[0])
	slices.SortFunc(all, slices.Compare)
	require.Len(t, slices.CompactFunc(all, slices.Equal), 8, "every way once")

	random := func(seed uint64) (sums []float64) {
		d := make([]float64, 100)
		for i := range d {
			d[i] = 1
		}
		for f := range stats.SignFlips(d, 500, seed) {
			sum := 0.0
			for _, v := range f {
				sum += v
			}
			sums = append(sums, sum)
		}
		return sums
	}
	require.Equal(t, random(1), random(1))
	require.NotEqual(t, random(1), random(2))
	sums := random(1)
	require.Len(t, sums, 500)
	require.InDelta(t, 0, stats.Median(sums), 3) // of 100 fair signs the sum has a standard deviation of 10
	require.InDelta(t, 10, 1.4826*stats.MAD(sums), 2)
	require.Equal(t, 1.0, stats.SignFlipP(nil, stats.HodgesLehmann, 100, 1))
}
