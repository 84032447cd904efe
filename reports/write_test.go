package reports_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/reports"
)

var keep = flag.String("keep", "", "write the synthetic reports into this directory, to look at them")

func TestWriteLeavesWholeReports(t *testing.T) {
	root := *keep
	if root == "" {
		root = t.TempDir()
	}
	for _, name := range []string{"storefront", "troubled", "quick", "spoilt", "zero", "crowded", "external", "faulty"} {
		if *keep == "" && name != "zero" {
			continue // drawing takes long; TestBuildFromARunDirectory looks at figures
		}
		dir := filepath.Join(root, name)
		require.NoError(t, reports.Write(dir, scene(name)))
		for _, f := range []string{"index.html", "summary.md", "report.json"} {
			require.FileExists(t, filepath.Join(dir, f))
		}
	}
}

func TestWriteReplacesTheOlderReport(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "html", "id")
	require.NoError(t, reports.Write(dir, scene("zero")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "stale"), nil, 0o644))
	require.NoError(t, reports.Write(dir, scene("zero")))
	require.NoFileExists(t, filepath.Join(dir, "stale"))
	entries, err := os.ReadDir(filepath.Join(root, "html"))
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing is left over")
}
