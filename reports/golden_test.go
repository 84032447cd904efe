package reports_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/reports"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden holds what was written against testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, got, 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	a, b := strings.Split(string(want), "\n"), strings.Split(string(got), "\n")
	for i := range min(len(a), len(b)) {
		require.Equal(t, a[i], b[i], "%s:%d differs; look at it, and write it anew with -update", file, i+1)
	}
	require.Len(t, b, len(a), "%s has another number of lines", file)
}

func TestGoldenText(t *testing.T) {
	for name := range scenes {
		var wide, narrow, md bytes.Buffer
		require.NoError(t, reports.Terminal(&wide, scene(name), false, 120))
		require.NoError(t, reports.Terminal(&narrow, scene(name), true, 60))
		require.NoError(t, reports.Markdown(&md, scene(name)))
		golden(t, name+".txt", wide.Bytes())
		golden(t, name+".narrow.txt", narrow.Bytes())
		golden(t, name+".md", md.Bytes())
	}
}

func TestGoldenJSON(t *testing.T) {
	for _, name := range []string{"quick", "external"} {
		var b bytes.Buffer
		require.NoError(t, reports.JSON(&b, scene(name)))
		golden(t, name+".json", b.Bytes())
	}
}

var (
	drawings = regexp.MustCompile(`(?s)<svg class="([^"]*)".*?</svg>`)
	sheets   = regexp.MustCompile(`(?s)<style>.*?</style>`)
	hashes   = regexp.MustCompile(`sha256-[^&']*`)
)

// The style sheet and the drawings change with every touch of a colour; the golden page holds what is said.
func TestGoldenHTML(t *testing.T) {
	for _, name := range []string{"quick", "troubled"} {
		page := html(t, name)
		page = drawings.ReplaceAllString(page, `<svg class="$1"/>`)
		page = sheets.ReplaceAllString(page, "<style/>")
		page = hashes.ReplaceAllString(page, "sha256-")
		golden(t, name+".html", []byte(page))
	}
}

var pages = map[string]string{}

// html is the page of a scene, written once.
func html(t *testing.T, name string) string {
	t.Helper()
	if pages[name] == "" {
		var b bytes.Buffer
		require.NoError(t, reports.WriteHTML(&b, scene(name), "../../../results/runs/"+scene(name).Header.ID))
		pages[name] = b.String()
	}
	return pages[name]
}
