package export

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"crossroads/results"
)

// Benchmark writes the Go benchmark format that benchstat reads: one line per trial, so that benchstat sees the blocks and not the
// requests,
//
//	BenchmarkCrossroads/topology=mesh/rate=1000-2 15000 0.0041 p99-sec 152000 cpu-ns/req
//
// with Unit lines that say which direction is better and that nothing is assumed about distributions. Only valid and saturated
// trials are written; a saturated one stands under "outcome: saturated", which benchstat keeps in a table of its own.
//
// What differs between two runs that somebody wants to compare (run, commit) is a comment and no configuration: benchstat would
// put them into different tables.
func Benchmark(w io.Writer, plan results.Plan, env results.Environment, trials []results.Trial) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# run %s commit %s\n", plan.ID, env.Commit)
	goos, goarch, _ := strings.Cut(env.OS, "/")
	for _, pair := range [][2]string{{"goos", goos}, {"goarch", goarch}, {"cpu", env.CPU}, {"experiment", plan.Name}} {
		if pair[1] != "" {
			fmt.Fprintf(&b, "%s: %s\n", pair[0], pair[1])
		}
	}
	b.WriteString("\n")
	metrics := results.Metrics()
	for _, m := range metrics {
		fmt.Fprintf(&b, "Unit %s better=%s assume=nothing\n", m.Label(), m.Better)
	}
	several := severalConnections(trials)
	outcome := results.Outcome("")
	for i := range trials {
		t := &trials[i]
		line := values(t, metrics)
		if line == "" {
			continue
		}
		if t.Outcome != outcome {
			outcome = t.Outcome
			fmt.Fprintf(&b, "\noutcome: %s\n\n", outcome)
		}
		fmt.Fprintf(&b, "BenchmarkCrossroads/topology=%s/rate=%s", word(t.Arm), rate(t.Rate))
		if several {
			fmt.Fprintf(&b, "/connections=%d", t.Connections)
		}
		if env.CPUs > 1 {
			fmt.Fprintf(&b, "-%d", env.CPUs)
		}
		fmt.Fprintf(&b, " %d%s\n", t.Counts.Done, line)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the Go benchmark format: %w", err)
	}
	return nil
}

// values are the pairs of value and unit of one line, "" where there is none: a line without a value is not in the format.
func values(t *results.Trial, metrics []results.Metric) string {
	var b strings.Builder
	for _, m := range metrics {
		if v, ok := usable(t, m); ok {
			fmt.Fprintf(&b, " %s %s", m.Plain(v), m.Label())
		}
	}
	return b.String()
}

func severalConnections(trials []results.Trial) bool {
	for _, t := range trials {
		if t.Connections != trials[0].Connections {
			return true
		}
	}
	return false
}

// word keeps a name within one part of a benchmark's name.
func word(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '/' || unicode.IsSpace(r) || unicode.IsControl(r) {
			return '_'
		}
		return r
	}, s)
}
