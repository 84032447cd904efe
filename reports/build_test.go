package reports_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/reports"
	"crossroads/results"
)

// A run directory and the records that were put into it give the same report, and the page links back to the records.
func TestBuildFromARunDirectory(t *testing.T) {
	rec, want := scenes["quick"]()
	root := t.TempDir()
	run, err := results.Create(filepath.Join(root, "results", "runs"), rec.Plan, rec.Environment, rec.Experiment)
	require.NoError(t, err)
	for _, s := range rec.Sittings {
		require.NoError(t, run.Begin(s.Started))
	}
	for _, tr := range rec.Trials {
		require.NoError(t, run.Append(tr))
	}
	require.NoError(t, run.Close())

	opened, err := results.Open(run.Dir)
	require.NoError(t, err)
	got, err := reports.Build(opened)
	require.NoError(t, err)
	require.Equal(t, want.Costs, got.Costs)
	require.Equal(t, want.Findings, got.Findings)
	require.Equal(t, want.Header, got.Header)

	dir := filepath.Join(root, "reports", "html", rec.Plan.ID)
	require.NoError(t, reports.Write(dir, got))
	page, err := os.ReadFile(filepath.Join(dir, "index.html"))
	require.NoError(t, err)
	link := "../../../results/runs/" + rec.Plan.ID + "/" + results.TrialsFile
	require.Contains(t, string(page), `href="`+link+`"`)
	require.FileExists(t, filepath.Join(dir, link))
	for _, kind := range []string{"svg", "png"} {
		files, err := filepath.Glob(filepath.Join(dir, "figures", "*."+kind))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, f := range files {
			require.Contains(t, string(page), `href="figures/`+filepath.Base(f)+`"`)
		}
	}
}

func TestBuildOfAnEmptyRun(t *testing.T) {
	rec, _ := scenes["quick"]()
	run, err := results.Create(t.TempDir(), rec.Plan, rec.Environment, rec.Experiment)
	require.NoError(t, err)
	_, err = reports.Build(run)
	require.ErrorIs(t, err, reports.ErrNothing)
}
