package export

import (
	"encoding/json"
	"fmt"
	"io"

	"crossroads/results"
)

// SmallerIsBetter writes the levels of a run as customSmallerIsBetter JSON, which github-action-benchmark stores and draws. Metrics
// of which more is better have no place in it.
func SmallerIsBetter(w io.Writer, plan results.Plan, levels []results.Level) error {
	type entry struct {
		Name  string      `json:"name"`
		Unit  string      `json:"unit"`
		Value json.Number `json:"value"`
		Range string      `json:"range,omitempty"`
		Extra string      `json:"extra,omitempty"`
	}
	entries := []entry{}
	for _, l := range levels {
		if l.Metric.Better != "lower" {
			continue
		}
		e := entry{Name: cellName(plan, l) + " " + l.Metric.Name, Unit: string(l.Metric.Unit), Value: number(l.Metric, l.Estimate.Value),
			Extra: fmt.Sprintf("%s, n = %d trials", l.Metric.Title, l.N)}
		if i := l.Estimate.Interval; i.OK() {
			e.Range = fmt.Sprintf("%s .. %s", l.Metric.Plain(i.Low), l.Metric.Plain(i.High))
		}
		entries = append(entries, e)
	}
	return writeJSON(w, "customSmallerIsBetter JSON", entries)
}

// Bencher writes the levels of a run in the Bencher metric format: benchmark, measure, value with its bounds.
func Bencher(w io.Writer, plan results.Plan, levels []results.Level) error {
	type measure struct {
		Value json.Number `json:"value"`
		Lower json.Number `json:"lower_value,omitempty"`
		Upper json.Number `json:"upper_value,omitempty"`
	}
	all := map[string]map[string]measure{}
	for _, l := range levels {
		name := cellName(plan, l)
		if all[name] == nil {
			all[name] = map[string]measure{}
		}
		v := measure{Value: number(l.Metric, l.Estimate.Value)}
		if i := l.Estimate.Interval; i.OK() {
			v.Lower, v.Upper = number(l.Metric, i.Low), number(l.Metric, i.High)
		}
		all[name][l.Metric.Label()] = v
	}
	return writeJSON(w, "the Bencher metric format", all)
}

// cellName is stable from run to run, so that a tracker draws one line per cell.
func cellName(plan results.Plan, l results.Level) string {
	return fmt.Sprintf("%s/%s/rate=%s/connections=%d", plan.Name, l.Arm, rate(l.Rate), l.Connections)
}

func writeJSON(w io.Writer, what string, v any) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	if err := out.Encode(v); err != nil {
		return fmt.Errorf("writing %s: %w", what, err)
	}
	return nil
}
