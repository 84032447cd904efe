package main

import (
	"bytes"
	"io"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/harness/load"
	"crossroads/results"
)

func TestRatiosPairRounds(t *testing.T) {
	var gateway, nginx []block
	for round := range 8 { // the machine gets slower and slower, for both alike
		slow := float64(1 + round)
		gateway, nginx = append(gateway, block{cpu: 12 * slow}), append(nginx, block{cpu: 10 * slow})
	}
	ratio, interval := ratios(gateway, nginx, cpu)
	require.InDelta(t, 1.2, ratio, 1e-9)
	require.True(t, interval.OK())
	require.InDelta(t, 1.2, interval.Low, 1e-9)
	require.InDelta(t, 1.2, interval.High, 1e-9)

	_, interval = ratios(gateway[:5], nginx[:5], cpu)
	require.False(t, interval.OK(), "five rounds give no interval")
}

// TestNoRatioOfNothing: a round without a number gives no ratio, and no interval of something that is none.
func TestNoRatioOfNothing(t *testing.T) {
	whole := []block{{p50: 1, p99: 2}, {p50: 1, p99: 2}, {p50: 1, p99: 2}, {p50: 1, p99: 2}, {p50: 1, p99: 2}, {p50: 1, p99: 2}}
	for name, bad := range map[string]float64{"nothing": 0, "less": -1, "no number": math.NaN(), "too much": math.Inf(1)} {
		hollow := append([]block{{p50: bad, p99: 2}}, whole[1:]...)
		for _, pair := range [][2][]block{{hollow, whole}, {whole, hollow}} {
			estimate, interval := ratios(pair[0], pair[1], p50)
			require.True(t, math.IsNaN(estimate), name)
			require.False(t, interval.OK(), name)
			_, interval = ratios(pair[0], pair[1], p99)
			require.True(t, interval.OK(), "the others stand")
		}
		var out bytes.Buffer
		print(&out, kind{title: "timed", pacing: load.Precise}, []contender{{name: "gateway"}, {name: "nginx"}}, series{"gateway": whole, "nginx": hollow})
		require.Contains(t, out.String(), "p50 none: a round has no number above zero   p99 1.000 [1.000, 1.000]", name)
		require.NotContains(t, out.String(), "/ nginx: CPU NaN")
	}
}

func TestTooFewResponsesAreNoTime(t *testing.T) {
	h := results.NewTimes()
	require.NoError(t, h.RecordValues(1e6, 50))
	encoded, err := results.Encode(h)
	require.NoError(t, err)
	var b block
	require.ErrorContains(t, b.times(&load.Result{Times: map[string]results.Histogram{results.Response: encoded}}), "50 responses are too few for a p99: give --latency a higher rate")
	require.NoError(t, h.RecordValues(1e6, 1000))
	encoded, err = results.Encode(h)
	require.NoError(t, err)
	require.NoError(t, b.times(&load.Result{Times: map[string]results.Histogram{results.Response: encoded}}))
	require.InEpsilon(t, 1000, b.p50, 0.01)
}

func TestPrint(t *testing.T) {
	contenders := []contender{{name: "gateway"}, {name: "other"}, {name: "nginx"}}
	blocks := series{
		"gateway": {{cpu: 20, user: 5, system: 15, rate: 10000, p50: 300, p99: 900, memory: 30}},
		"other":   {{cpu: 15, rate: 10000, p50: 150, p99: 450, memory: 31}},
		"nginx":   {{cpu: 10, rate: 10000, p50: 200, p99: 300, memory: 8}},
	}
	var out bytes.Buffer
	print(&out, kind{title: "at 4/s", pacing: load.Economical}, contenders, blocks)
	require.Regexp(t, `gateway +20\.0 +5\.0 +15\.0 +10000 +20% +30\.0`, out.String())
	require.Regexp(t, `nginx +10\.0 +- +- +10000 +10%`, out.String())
	require.Contains(t, out.String(), "gateway / nginx: CPU 2.000 (no interval: 1 rounds, 6 are needed)\nother / nginx: CPU 1.500")
	require.NotContains(t, out.String(), "p99", "economical pacing says nothing about latency")

	out.Reset()
	print(&out, kind{title: "timed at 4/s", pacing: load.Precise}, contenders, blocks)
	require.Regexp(t, `nginx .* 200 +300`, out.String())
	require.Regexp(t, `gateway / nginx: CPU 2\.000.* p50 1\.500.* p99 3\.000`, out.String())
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--rate", "10", "--flood", "5"}, "the flood of 5/s must be above the rate of 10/s"},
		{[]string{"--rate", "10,x"}, `"x" is not a rate above zero`},
		{[]string{"--rounds", "0"}, "at least one round"},
		{[]string{"--latency", "-1"}, "a rate, or 0"},
		{[]string{"--also", "nginx=bin/gateway"}, "a name of its own"},
	} {
		var complaint bytes.Buffer
		require.Equal(t, 2, run(c.args, io.Discard, &complaint), c.args)
		require.Contains(t, complaint.String(), c.says)
	}
	var out, complaint bytes.Buffer
	require.Equal(t, 1, run([]string{"--bin", t.TempDir()}, &out, &complaint))
	require.Contains(t, complaint.String(), "make build")
	require.Empty(t, out.String())

	c, _, err := parse([]string{"--rate", "1000,4000", "--also", "old=/tmp/gateway"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, []float64{1000, 4000}, c.rates)
	require.Equal(t, []build{{"old", "/tmp/gateway"}}, c.also)
}
