package ci

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"

	"crossroads/results"
	"crossroads/results/stats"
)

// Shift is one metric of one cell in two stored runs. It carries no verdict: the runs did not run at the same time, and what changed
// on the machine between them cannot be told from what changed in the system.
type Shift struct {
	Arm         string   `json:"arm"`
	Rate        float64  `json:"rate"`
	Connections int      `json:"connections"`
	Metric      string   `json:"metric"`
	Title       string   `json:"title"`
	Before      float64  `json:"before"` // median over trials, in the metric's unit
	After       float64  `json:"after"`
	Trials      [2]int   `json:"trials"`
	Change      float64  `json:"change"`        // relative, worse is positive
	Low         *float64 `json:"low,omitempty"` // two-sided 95% interval; none where the trials are too few
	High        *float64 `json:"high,omitempty"`
}

// Stored are the metrics that a comparison of stored runs shows.
func Stored() []results.Metric {
	return []results.Metric{
		results.TimeQuantile(results.Response, 0.50), results.TimeQuantile(results.Response, 0.99),
		results.CPUPerRequest(""), results.CPUPerRequest("gateway"), results.CPUPerRequest("sidecar"), results.MemoryPeak("proxies"),
	}
}

// Differences says in what two runs are unlike, so that a comparison would be one of machines or experiments.
func Differences(a, b *results.Run) []string {
	var d []string
	if a.Plan.Machine != b.Plan.Machine {
		d = append(d, fmt.Sprintf("they ran on different machines (%s, %s; fingerprints %s and %s)",
			a.Environment.Host, b.Environment.Host, a.Plan.Machine, b.Plan.Machine))
	}
	if a.Plan.Experiment != b.Plan.Experiment {
		d = append(d, fmt.Sprintf("they ran different experiments (%s with hash %.12s, %s with hash %.12s)",
			a.Plan.Name, a.Plan.Experiment, b.Plan.Name, b.Plan.Experiment))
	}
	return d
}

// Shifts compares every cell that both runs have, over their valid trials.
func Shifts(before, after []results.Trial, metrics []results.Metric) []Shift {
	type cell struct {
		arm         string
		rate        float64
		connections int
	}
	var order []cell
	gather := func(trials []results.Trial, m results.Metric, note func(cell)) map[cell][]float64 {
		of := map[cell][]float64{}
		for i := range trials {
			t := &trials[i]
			at := cell{t.Arm, t.Rate, t.Connections}
			if v, ok := m.Of(t); ok && v > 0 && t.Outcome == results.Valid {
				if note != nil && of[at] == nil {
					note(at)
				}
				of[at] = append(of[at], v)
			}
		}
		return of
	}
	var shifts []Shift
	seen := map[cell]bool{}
	values := make([][2]map[cell][]float64, len(metrics))
	for i, m := range metrics {
		values[i][0] = gather(before, m, func(c cell) {
			if !seen[c] {
				seen[c], order = true, append(order, c)
			}
		})
		values[i][1] = gather(after, m, nil)
	}
	for _, at := range order {
		for i, m := range metrics {
			x, y := values[i][0][at], values[i][1][at]
			if len(x) == 0 || len(y) == 0 {
				continue
			}
			s := Shift{Arm: at.arm, Rate: at.rate, Connections: at.connections, Metric: m.Name, Title: m.Title,
				Before: stats.Median(x), After: stats.Median(y), Trials: [2]int{len(x), len(y)}}
			s.estimate(x, y)
			shifts = append(shifts, s)
		}
	}
	return shifts
}

func (s *Shift) estimate(x, y []float64) {
	x, y = logarithms(x), logarithms(y)
	s.Change = math.Expm1(stats.Shift(x, y))
	if i := stats.ShiftInterval(x, y, results.Confidence); i.OK() {
		s.Low, s.High = relative(i.Low), relative(i.High)
	}
}

func logarithms(v []float64) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = math.Log(x)
	}
	return out
}

// TextShifts writes a comparison of stored runs for a terminal.
func TextShifts(w io.Writer, shifts []Shift) error {
	t := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	fmt.Fprintln(t, "arm\trate\tmetric\tbefore\tafter\tchange\ttrials")
	for _, s := range shifts {
		m, _ := MetricNamed(s.Metric)
		f := Finding{N: s.Trials[0] + s.Trials[1], Change: s.Change, Low: s.Low, High: s.High}
		fmt.Fprintf(t, "%s\t%g/s\t%s\t%s\t%s\t%s\t%d, %d\n", s.Arm, s.Rate, s.Title, m.Format(s.Before), m.Format(s.After), f.spell(), s.Trials[0], s.Trials[1])
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n"+strings.TrimSpace(storedNote)+"\n")
	return err
}

const storedNote = `
For information only, without a verdict: the runs did not run at the same time. The intervals hold for the trials of these two runs
and not for what changed on the machine between them; a duet (crossroads gate, or compare with two URLs) measures that away.`
