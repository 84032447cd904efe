package reports

import (
	"fmt"

	"github.com/HdrHistogram/hdrhistogram-go"

	"crossroads/reports/quantity"
	"crossroads/results"
)

// answer of a cell to the objectives.
type answer int

const (
	unknown answer = iota // no trial in which the instrument was not at fault, or too few samples
	meets
	misses
)

// meets asks every objective of one cell. A failed trial misses them: the target was not there. A saturated one counts with what
// it recorded.
func (b *book) meets(c *cell) (answer, string) {
	if n := len(c.with(results.Failed)); n > 0 {
		return misses, plural(n, "trial") + " failed"
	}
	seen := c.with(results.Valid, results.Saturated)
	if len(seen) == 0 {
		return unknown, c.why()
	}
	for _, o := range b.Plan.Objectives {
		v, ok := measure(o, seen, c.kept)
		if !ok {
			return unknown, "too few samples for " + o.Text
		}
		if !o.Holds(v) {
			return misses, o.Text
		}
	}
	return meets, ""
}

// measure is what an objective looks at: seconds for a quantile, a share for the others.
func measure(o results.Objective, trials []*trial, times *hdrhistogram.Histogram) (float64, bool) {
	var planned, done, declared, errors int64
	for _, t := range trials {
		planned, done, declared, errors = planned+t.Counts.Planned, done+t.Counts.Done, declared+t.Counts.Declared, errors+t.Counts.Errors
	}
	switch o.Metric {
	case "p":
		q := o.Quantile / 100
		return float64(results.Quantile(times, q)) / 1e9, results.Printable(q, times.TotalCount())
	case "errors":
		return float64(errors-declared) / float64(planned), planned > 0
	case "achieved":
		return float64(done+declared) / float64(planned), planned > 0
	}
	return 0, false
}

// highestRate is the highest rate up to which every rate that was run met the objectives. The note says what came after it: the
// rate that missed them, or that it was the highest one run.
func (b *book) highestRate(arm int) quantity.Quantity {
	if len(b.Plan.Objectives) == 0 {
		return quantity.Absent("no objective")
	}
	best, note := 0.0, "highest run"
	for _, rate := range b.rates {
		c := b.at(arm, rate, b.refConns)
		a, why := b.meets(c)
		if a == meets {
			best = rate
			continue
		}
		if best == 0 {
			if a == misses {
				return quantity.Absent(fmt.Sprintf("none: %s/s misses", quantity.Of(rate, quantity.PerSecond).Number()))
			}
			return quantity.Absent(why)
		}
		note = fmt.Sprintf("%s %s", quantity.Of(rate, quantity.PerSecond).Number(), map[answer]string{misses: "misses", unknown: "not assessed"}[a])
		break
	}
	q := quantity.Of(best, quantity.PerSecond)
	q.Note = note
	return q
}
