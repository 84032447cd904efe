package ci

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/results"
)

func stored(cpu ...int64) []results.Trial {
	var trials []results.Trial
	for i, c := range cpu {
		d := newDuet(1, same, 1)
		t := d.trial(i+1, "gateway")
		t.Usage[0].CPU = c
		trials = append(trials, t)
	}
	return trials
}

func TestShifts(t *testing.T) {
	metrics := []results.Metric{results.CPUPerRequest("gateway")}
	before := stored(1000, 1010, 1020, 1030, 1040, 1050)
	after := stored(1100, 1110, 1120, 1130, 1140, 1150)
	shifts := Shifts(before, after, metrics)
	require.Len(t, shifts, 1)
	require.InDelta(t, 0.097, shifts[0].Change, 0.003)
	require.NotNil(t, shifts[0].Low)
	require.Greater(t, *shifts[0].Low, 0.05)
	var b strings.Builder
	require.NoError(t, TextShifts(&b, shifts))
	require.Contains(t, b.String(), "without a verdict")

	few := Shifts(before[:2], after[:2], metrics)
	require.Nil(t, few[0].Low, "two trials give no interval")
	after[0].Outcome = results.Invalid
	require.Equal(t, [2]int{6, 5}, Shifts(before, after, metrics)[0].Trials)
	require.Empty(t, Shifts(before, nil, metrics))
}

func TestDifferences(t *testing.T) {
	a := &results.Run{Plan: results.Plan{Machine: "m", Experiment: "e"}}
	b := &results.Run{Plan: results.Plan{Machine: "m", Experiment: "e"}}
	require.Empty(t, Differences(a, b))
	b.Plan.Machine = "n"
	require.Len(t, Differences(a, b), 1)
	b.Plan.Experiment = "f"
	require.Len(t, Differences(a, b), 2)
}
