//go:build soak

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/harness/predict"
	"crossroads/results"
)

// TestSoakPredictionLearnsAndIsVerified: one command runs what there is to learn from and what is predicted, a round of each in turn, learns
// from the former only, and holds every number beside a measured one.
func TestSoakPredictionLearnsAndIsVerified(t *testing.T) {
	dir := t.TempDir()
	file, err := filepath.Abs("../../../topologies/practice/chances.yaml")
	require.NoError(t, err)
	c := exec.Command(filepath.Join(programs(t), "crossroads"), "predict", file, "--learn", "--verify", "--rounds", "2", "--results", filepath.Join(dir, "runs"),
		"--progress", "lines", "--out", filepath.Join(dir, "told.json"))
	c.Dir = dir
	out, err := c.CombinedOutput()
	require.NoError(t, err, string(out))
	requireNoOrphans(t)

	text, err := os.ReadFile(filepath.Join(dir, "told.json"))
	require.NoError(t, err)
	var told telling
	require.NoError(t, json.Unmarshal(text, &told))
	require.Len(t, told.From, len(predict.Lessons))
	require.NotContains(t, told.From, told.Experiments[0].Run)
	require.Len(t, told.Experiments[0].Predictions, 4)
	for _, f := range told.Experiments[0].Predictions {
		require.NotNil(t, f.Measured, f.Arm)
		require.InEpsilon(t, f.Measured.CPU, f.CPU.Value, 1, f.Arm)
		require.InEpsilon(t, f.Measured.P50, f.P50.Value, 1, f.Arm)
	}
	var firstOfSecondRound, lastOfFirstRound []results.Trial
	for _, dir := range append(told.From, told.Experiments[0].Run) {
		run, err := results.Open(dir)
		require.NoError(t, err)
		trials, _, err := run.Trials()
		require.NoError(t, err)
		require.NoError(t, run.Close())
		require.Equal(t, len(run.Plan.Trials), len(trials))
		half := len(trials) / 2
		lastOfFirstRound, firstOfSecondRound = append(lastOfFirstRound, trials[half-1]), append(firstOfSecondRound, trials[half])
		require.Equal(t, []int{1, 2}, []int{trials[half-1].Round, trials[half].Round})
	}
	for _, early := range lastOfFirstRound {
		for _, late := range firstOfSecondRound {
			require.True(t, early.Started.Before(late.Started), "%s before %s", early.ID, late.ID)
		}
	}
}
