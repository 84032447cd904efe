//go:build soak

package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/results"
	"crossroads/results/capacity"
)

// TestSoakCapacityOfAKnownLimit: the 1,260 requests a second that 63 connections over 50 ms can carry are found, through nothing and through
// the gateway, although the search is killed again and again; no trial that was finished is lost or made twice, and the report follows
// from the records.
func TestSoakCapacityOfAKnownLimit(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(programs(t), "crossroads")
	command := func(args ...string) *exec.Cmd {
		c := exec.Command(program, args...)
		c.Dir = dir
		return c
	}
	var run string
	finished := 0
	for kill := 0; ; kill++ {
		require.Less(t, kill, 20, "the search never ends")
		args := []string{"capacity", "known-limit", "--duration", "1s", "--warmup", "300ms", "--results", filepath.Join(dir, "runs"), "--format", "json"}
		if run != "" {
			args = []string{"capacity", "--resume", run, "--format", "json"}
		}
		c := command(args...)
		var out strings.Builder
		c.Stdout = &out
		require.NoError(t, c.Start())
		done := make(chan error, 1)
		go func() { done <- c.Wait() }()
		select {
		case err := <-done:
			require.NoError(t, err, out.String())
			requireKnownLimit(t, out.String())
			requireVerified(t, command, run)
			return
		case <-time.After(15 * time.Second):
			require.NoError(t, c.Process.Signal(syscall.SIGKILL))
			<-done
		}
		requireNoOrphans(t)
		runs, err := filepath.Glob(filepath.Join(dir, "runs", "capacity-*"))
		require.NoError(t, err)
		require.Len(t, runs, 1)
		run = runs[0]
		opened, err := results.Open(run)
		require.NoError(t, err)
		trials, _, err := opened.Trials()
		require.NoError(t, err)
		require.NoError(t, opened.Close())
		require.GreaterOrEqual(t, len(trials), finished, "a finished trial was lost")
		finished = len(trials)
	}
}

// requireKnownLimit holds brackets against 63 of 64 connections over 50 ms.
func requireKnownLimit(t *testing.T, document string) {
	t.Helper()
	var found struct {
		Capacities []capacity.Arm `json:"capacities"`
	}
	require.NoError(t, json.Unmarshal([]byte(document), &found))
	require.Len(t, found.Capacities, 2)
	for _, arm := range found.Capacities {
		require.LessOrEqual(t, arm.Low, 1260.0, "%s", document)
		require.Greater(t, arm.Low, 0.95*1260, "%s", document)
		require.Greater(t, arm.High, 0.97*1260, "%s", document)
		require.Less(t, arm.High, 1.03*1260, "%s", document)
	}
}

func requireVerified(t *testing.T, command func(...string) *exec.Cmd, run string) {
	t.Helper()
	for _, verb := range []string{"report", "verify"} {
		out, err := command(verb, run).CombinedOutput()
		require.NoError(t, err, string(out))
	}
}
