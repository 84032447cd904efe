package process

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/harness/deploy"
)

// Deployers that share a directory calibrate at the same time; all go on with one figure, and nothing else is left.
func TestDeployersOfADirectoryAgreeOnTheCalibration(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	workload := filepath.Join(t.TempDir(), "workload")
	require.NoError(t, os.WriteFile(workload, []byte("#!/bin/sh\necho $$\n"), 0o755)) // no two measure the same
	binaries := map[string]string{"crossroads": workload, deploy.KindWorkload: workload}
	var all sync.WaitGroup
	deployers := make([]*Deployer, 8)
	for i := range deployers {
		d, err := New(Config{Dir: dir, Temp: t.TempDir(), Binaries: binaries})
		require.NoError(t, err)
		deployers[i] = d
		all.Go(func() {
			if err := d.calibrate(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, d := range deployers {
		require.NotEmpty(t, d.calibration)
		require.Equal(t, deployers[0].calibration, d.calibration)
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1)
	require.Equal(t, "calibration", left[0].Name())
}
