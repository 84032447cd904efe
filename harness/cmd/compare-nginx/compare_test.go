package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRatiosPairRounds(t *testing.T) {
	var gateway, nginx []cost
	for round := range 8 { // the machine gets slower and slower, for both alike
		slow := float64(1 + round)
		gateway, nginx = append(gateway, cost{cpu: 12 * slow}), append(nginx, cost{cpu: 10 * slow})
	}
	ratio, interval := ratios(gateway, nginx)
	require.InDelta(t, 1.2, ratio, 1e-9)
	require.True(t, interval.OK())
	require.InDelta(t, 1.2, interval.Low, 1e-9)
	require.InDelta(t, 1.2, interval.High, 1e-9)

	_, interval = ratios(gateway[:5], nginx[:5])
	require.False(t, interval.OK(), "five rounds give no interval")
}

func TestPrint(t *testing.T) {
	var out bytes.Buffer
	one := []cost{{cpu: 20, user: 5, system: 15, rate: 10000}}
	comparison{}.print(&out, "at 4/s", series{"gateway": one, "nginx": {{cpu: 10, rate: 10000}}})
	require.Regexp(t, `gateway +20\.0 +5\.0 +15\.0 +10000 +20%`, out.String())
	require.Regexp(t, `nginx +10\.0 +- +- +10000 +10%`, out.String())
	require.Contains(t, out.String(), "gateway / nginx: 2.000  (no interval: 1 rounds, 6 are needed)")
}

func TestUsage(t *testing.T) {
	var out, complaint bytes.Buffer
	require.Equal(t, 2, run([]string{"--rate", "10", "--flood", "5"}, &out, &complaint))
	require.Contains(t, complaint.String(), "0 < rate < flood")
	require.Equal(t, 1, run([]string{"--bin", t.TempDir()}, &out, &complaint))
	require.Contains(t, complaint.String(), "make build")
	require.Empty(t, out.String())
}
