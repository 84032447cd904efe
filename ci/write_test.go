package ci

import (
	"encoding/json"
	"encoding/xml"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/results"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares with a file of testdata.
func golden(t *testing.T, name string, write func(io.Writer) error) {
	t.Helper()
	var b strings.Builder
	require.NoError(t, write(&b))
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), b.String())
}

func threeDecisions() []Decision {
	failed := newDuet(lastLook, [3]float64{0.05, 0, 0}, 8).decide()
	open := newDuet(6, same, 8).each(Candidate, func(t *results.Trial) {
		if t.Round == 2 {
			t.Outcome, t.Reasons = results.Invalid, []results.Reason{{Rule: "on time", Text: "slip p50 is 5 ms | too late"}}
		}
	}).decide()
	passed := newDuet(lastLook, same, 8).decide()
	failed.Scenario, open.Scenario, passed.Scenario = "worse", "short", "same"
	return []Decision{failed, open, passed}
}

func TestGolden(t *testing.T) {
	d := threeDecisions()
	golden(t, "gate.xml", func(w io.Writer) error { return JUnit(w, d) })
	golden(t, "nothing.xml", func(w io.Writer) error { return JUnit(w, nil) })
	golden(t, "gate.md", func(w io.Writer) error {
		return Markdown(w, d, []string{"gateway: baseline main, candidate the working tree"})
	})
	golden(t, "gate.txt", func(w io.Writer) error { return d[0].Text(w) })
}

// A reader of JUnit files sees every test that did not pass as a failure or an error.
func TestJUnitHidesNothing(t *testing.T) {
	var b strings.Builder
	require.NoError(t, JUnit(&b, threeDecisions()))
	var read struct {
		Suites []struct {
			Name  string `xml:"name,attr"`
			Cases []struct {
				Name    string    `xml:"name,attr"`
				Failure *struct{} `xml:"failure"`
				Error   *struct{} `xml:"error"`
				Skipped *struct{} `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	require.NoError(t, xml.Unmarshal([]byte(b.String()), &read))
	require.Len(t, read.Suites, 3)
	for i, d := range threeDecisions() {
		verdicts := []Verdict{d.Verdict}
		for _, f := range d.Metrics {
			verdicts = append(verdicts, f.Verdict)
		}
		require.Len(t, read.Suites[i].Cases, len(verdicts))
		for j, c := range read.Suites[i].Cases {
			require.Nil(t, c.Skipped)
			require.Equal(t, verdicts[j] == Fail, c.Failure != nil, "%s %s", d.Scenario, c.Name)
			require.Equal(t, verdicts[j] == Inconclusive, c.Error != nil, "%s %s", d.Scenario, c.Name)
		}
	}
}

func TestADecisionIsReadBackFromJSON(t *testing.T) {
	for _, d := range threeDecisions() {
		text, err := json.Marshal(d)
		require.NoError(t, err)
		var back Decision
		require.NoError(t, json.Unmarshal(text, &back))
		require.Equal(t, d, back)
	}
}

func TestTheSummaryIsBounded(t *testing.T) {
	d := newDuet(lastLook, same, 8).each("", func(t *results.Trial) {
		t.Outcome, t.Reasons = results.Invalid, []results.Reason{{Text: strings.Repeat("long ", 100)}}
	}).decide()
	var b strings.Builder
	require.NoError(t, Markdown(&b, []Decision{d}, nil))
	require.Less(t, b.Len(), 64<<10)
	require.Contains(t, b.String(), "and 66 more")
}

func TestProgress(t *testing.T) {
	pairs := Pairs(newDuet(5, same, 8).trials)
	require.Regexp(t, `^pair  cpu-gateway [+-]\d\.\d%  p50 none$`, pairs[0].Progress([]string{"cpu-gateway", "p50", "no such thing"}))
	require.Regexp(t, `^A/A   cpu-gateway `, pairs[4].Progress([]string{"cpu-gateway"}))
	pairs[0].Dropped = []string{"why"}
	require.Equal(t, "pair  dropped: why", pairs[0].Progress(nil))
}
