package stats_test

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/results/stats"
)

// reference holds what other software says; testdata/reference.py made it.
type reference struct {
	SignedRank []struct {
		D                               []float64
		Confidence, Estimate, Low, High float64
		Method                          stats.Method
	} `json:"signed_rank"`
	ClopperPearson []struct {
		K, N                  int
		Confidence, Low, High float64
	} `json:"clopper_pearson"`
	QuantileRanks []struct {
		N         int64
		Q         float64
		OK        bool
		Low, High int64
	} `json:"quantile_ranks"`
	MannKendall []struct {
		X     []float64
		S     int
		P     float64
		Exact bool
	} `json:"mann_kendall"`
	Robust []struct {
		X           []float64
		Median, MAD float64
	}
	SignFlips []struct {
		D []float64
		P float64
	} `json:"sign_flips"`
	MinSamples []struct {
		Q float64
		N int64
	} `json:"min_samples"`
}

func load(t *testing.T) reference {
	t.Helper()
	data, err := os.ReadFile("testdata/reference.json")
	require.NoError(t, err)
	var r reference
	require.NoError(t, json.Unmarshal(data, &r))
	return r
}

func TestSignedRankAgainstReference(t *testing.T) {
	cases := load(t).SignedRank
	require.NotEmpty(t, cases)
	for _, c := range cases {
		require.InDelta(t, c.Estimate, stats.HodgesLehmann(c.D), 1e-12)
		i := stats.SignedRank(c.D, c.Confidence)
		require.Equal(t, c.Method, i.Method)
		require.Equal(t, len(c.D), i.N)
		require.InDelta(t, c.Low, i.Low, 1e-12, "n = %d at %v", i.N, c.Confidence)
		require.InDelta(t, c.High, i.High, 1e-12, "n = %d at %v", i.N, c.Confidence)
		require.GreaterOrEqual(t, i.Level, c.Confidence)
		require.True(t, i.Contains(c.Estimate))
	}
}

func TestClopperPearsonAgainstReference(t *testing.T) {
	cases := load(t).ClopperPearson
	require.NotEmpty(t, cases)
	for _, c := range cases {
		i := stats.ClopperPearson(c.K, c.N, c.Confidence)
		require.InDelta(t, c.Low, i.Low, 1e-9, "%d of %d", c.K, c.N)
		require.InDelta(t, c.High, i.High, 1e-9, "%d of %d", c.K, c.N)
	}
	// None of 30 alone bounds a rate at 9.5% (one-sided 95%).
	require.InDelta(t, 0.095, stats.ClopperPearson(0, 30, 0.90).High, 0.0005)
	require.False(t, stats.ClopperPearson(0, 0, 0.95).OK())
	require.False(t, stats.ClopperPearson(4, 3, 0.95).OK())
}

func TestQuantileRanksAgainstReference(t *testing.T) {
	cases := load(t).QuantileRanks
	require.NotEmpty(t, cases)
	for _, c := range cases {
		low, high, ok := stats.QuantileRanks(c.N, c.Q, 0.95)
		require.Equal(t, c.OK, ok, "n = %d q = %v", c.N, c.Q)
		if ok {
			require.Equal(t, []int64{c.Low, c.High}, []int64{low, high}, "n = %d q = %v", c.N, c.Q)
		}
	}
}

func TestMinSamplesAgainstReference(t *testing.T) {
	for _, c := range load(t).MinSamples {
		require.Equal(t, c.N, stats.MinSamples(c.Q, 0.95), "q = %v", c.Q)
	}
	require.Equal(t, int64(368), stats.MinSamples(0.99, 0.95))
	require.Equal(t, int64(3688), stats.MinSamples(0.999, 0.95))
	require.Equal(t, int64(math.MaxInt64), stats.MinSamples(1, 0.95))
	require.Equal(t, int64(math.MaxInt64), stats.MinSamples(math.NaN(), 0.95))
}

func TestMannKendallAgainstReference(t *testing.T) {
	cases := load(t).MannKendall
	require.NotEmpty(t, cases)
	for _, c := range cases {
		r := stats.MannKendall(c.X)
		require.Equal(t, c.S, r.S)
		require.InDelta(t, c.P, r.P, 1e-9, "%v", c.X)
	}
}

func TestRobustAgainstReference(t *testing.T) {
	for _, c := range load(t).Robust {
		require.InDelta(t, c.Median, stats.Median(c.X), 1e-12)
		require.InDelta(t, c.MAD, stats.MAD(c.X), 1e-12)
	}
}

func TestSignFlipsAgainstReference(t *testing.T) {
	mean := func(d []float64) float64 {
		sum := 0.0
		for _, v := range d {
			sum += v
		}
		return sum / float64(len(d))
	}
	for _, c := range load(t).SignFlips {
		require.InDelta(t, c.P, stats.SignFlipP(c.D, mean, 1<<len(c.D), 1), 1e-9)
		require.InDelta(t, c.P, stats.SignFlipP(c.D, mean, 1<<len(c.D)-1, 1), 0.1, "by random draws")
	}
}
