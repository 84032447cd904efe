package export

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"crossroads/results"
)

// CSV writes one row per trial with its outcome, the rules that did not hold and every metric for which it has evidence, in the
// units of the header. A reader must look at the outcome: failed and invalid trials are in it, and latency of saturated ones.
func CSV(w io.Writer, plan results.Plan, trials []results.Trial) error {
	out := csv.NewWriter(w)
	header := []string{"run", "trial", "round", "arm", "rate", "connections", "driver", "attempt", "started", "outcome", "reasons", "flags",
		"planned", "ready", "done", "errors", "declared_errors", "waited"}
	metrics := results.Metrics()
	for _, m := range metrics {
		header = append(header, m.Label())
	}
	out.Write(header) // an error stays in the writer; see below
	for i := range trials {
		t := &trials[i]
		row := []string{plan.ID, t.ID, strconv.Itoa(t.Round), t.Arm, rate(t.Rate), strconv.Itoa(t.Connections), t.PlannedTrial.Driver,
			strconv.Itoa(t.Attempt), t.Started.UTC().Format(time.RFC3339Nano), string(t.Outcome), rules(t.Reasons), rules(t.Flags)}
		for _, n := range []int64{t.Counts.Planned, t.Counts.Ready, t.Counts.Done, t.Counts.Errors, t.Counts.Declared, t.Counts.Waited} {
			row = append(row, strconv.FormatInt(n, 10))
		}
		for _, m := range metrics {
			cell := ""
			if v, ok := m.Of(t); ok {
				cell = m.Plain(v)
			}
			row = append(row, cell)
		}
		out.Write(row)
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("writing CSV: %w", err)
	}
	return nil
}

func rules(reasons []results.Reason) string {
	var names []string
	for _, r := range reasons {
		names = append(names, r.Rule)
	}
	return strings.Join(names, "; ")
}
