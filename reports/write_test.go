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

func TestWrite(t *testing.T) {
	root := *keep
	if root == "" {
		root = t.TempDir()
	}
	for name, rec := range scenes(t) {
		r, err := reports.FromRecords(rec)
		require.NoError(t, err)
		dir := filepath.Join(root, name)
		require.NoError(t, reports.Write(dir, r))
		require.NoError(t, reports.Write(dir, r), "a report replaces the one before it")
		for _, f := range []string{"index.html", "summary.md", "report.json"} {
			require.FileExists(t, filepath.Join(dir, f))
		}
		info, err := os.Stat(filepath.Join(dir, "index.html"))
		require.NoError(t, err)
		require.Less(t, info.Size(), int64(500_000), name)
		entries, err := os.ReadDir(root)
		require.NoError(t, err)
		for _, e := range entries {
			require.NotRegexp(t, `^\.`, e.Name(), "nothing is left over")
		}
	}
}
