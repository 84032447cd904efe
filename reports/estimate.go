package reports

import (
	"fmt"
	"slices"

	"crossroads/reports/quantity"
	"crossroads/results"
	"crossroads/results/stats"
)

// enough is how many trials or rounds an interval needs: the exact signed-rank interval at 95% does not exist below six.
const enough = 6

// Why there is no number.
const (
	noValid     = "no valid trial"
	notRecorded = "not recorded"
)

// metric is a number of one trial; ok is false where the trial cannot give it.
type metric func(*trial) (v float64, ok bool)

// estimate is the Hodges-Lehmann estimate of blocks, with its signed-rank interval where there are enough of them.
func estimate(values []float64, unit quantity.Unit, blocks string) quantity.Quantity {
	if len(values) == 0 {
		return quantity.Absent(notRecorded)
	}
	q := quantity.Of(stats.HodgesLehmann(values), unit)
	if !q.Known() {
		return q
	}
	q.N = len(values)
	if i := stats.SignedRank(values, results.Confidence); len(values) >= enough && i.OK() {
		q.Interval = &quantity.Interval{Low: i.Low, High: i.High}
	} else {
		q.Note = noInterval(len(values), blocks)
	}
	return q
}

func noInterval(n int, blocks string) string {
	if n == 1 {
		blocks = blocks[:len(blocks)-1]
	}
	return fmt.Sprintf("no interval (n = %d %s)", n, blocks)
}

// level is the estimate of a metric over the valid trials of a cell.
func (c *cell) level(m metric, unit quantity.Unit) quantity.Quantity {
	if len(c.with(results.Valid)) == 0 {
		return quantity.Absent(c.why())
	}
	return estimate(c.values(m), unit, "trials")
}

func (c *cell) values(m metric) []float64 {
	var values []float64
	for _, t := range c.with(results.Valid) {
		if v, ok := m(t); ok {
			values = append(values, v)
		}
	}
	return values
}

// quantile is the quantile of the merged histograms of all valid trials, with the interval of the trials' own quantiles.
func (c *cell) quantile(times string, q float64) quantity.Quantity {
	valid := c.with(results.Valid)
	if len(valid) == 0 {
		return quantity.Absent(c.why())
	}
	h := c.merged[times]
	if n := h.TotalCount(); !results.Printable(q, n) {
		return quantity.Absent(tooFew(n, q))
	}
	at := quantity.Of(milliseconds(results.Quantile(h, q)), quantity.Milliseconds)
	at.N = len(valid)
	within := estimate(c.values(quantileOf(times, q)), quantity.Milliseconds, "trials")
	at.Interval, at.Note = within.Interval, within.Note
	switch {
	case !within.Known():
		at.Note = "no interval: trials have too few samples"
	case at.Interval != nil:
		// The merged quantile weighs every sample, the interval every trial: one bad trial may carry the tail.
		at.Interval.Low, at.Interval.High = min(at.Interval.Low, at.Value), max(at.Interval.High, at.Value)
	}
	return at
}

func tooFew(n int64, q float64) string {
	return fmt.Sprintf("too few samples (%s of %s)", quantity.Count(n), quantity.Count(minSamples(q)))
}

// difference is arm minus other, round by round, of trials that are valid on both sides.
func difference(arm, other *cell, m metric, unit quantity.Unit) quantity.Quantity {
	return estimate(pairs(m, arm, other), unit, "rounds")
}

// pairs returns the metric of the first cell minus that of the second, for each round in which both are valid.
func pairs(m metric, arm, other *cell) []float64 {
	return contrast(m, []*cell{arm, other}, []float64{1, -1})
}

// contrast is a weighted sum over cells, round by round; a round counts only where every cell has a valid trial.
func contrast(m metric, cells []*cell, weights []float64) []float64 {
	sums, have := map[int]float64{}, map[int]int{}
	var rounds []int
	for i, c := range cells {
		for _, t := range c.with(results.Valid) {
			if v, ok := m(t); ok {
				sums[t.Round] += weights[i] * v
				have[t.Round]++
				if i == 0 {
					rounds = append(rounds, t.Round)
				}
			}
		}
	}
	var all []float64
	for _, r := range rounds {
		if have[r] == len(cells) {
			all = append(all, sums[r])
		}
	}
	return all
}

// overhead is the quantile added to that of direct. Where single trials are too short for the quantile, the merged histograms
// of both give a difference without an interval.
func (b *book) overhead(arm int, q float64) quantity.Quantity {
	if b.direct < 0 {
		return quantity.Absent("no direct arm in this run")
	}
	if b.paced(economical) {
		return quantity.Absent("no evidence: paced economically")
	}
	c, d := b.ref(arm), b.ref(b.direct)
	switch {
	case len(c.with(results.Valid)) == 0:
		return quantity.Absent(c.why())
	case len(d.with(results.Valid)) == 0:
		return quantity.Absent("direct has no valid trial")
	}
	if values := pairs(quantileOf(results.Response, q), c, d); len(values) > 0 {
		return estimate(values, quantity.Milliseconds, "rounds")
	}
	x, y := c.quantile(results.Response, q), d.quantile(results.Response, q)
	if !x.Known() || !y.Known() {
		n := min(c.merged[results.Response].TotalCount(), d.merged[results.Response].TotalCount())
		if results.Printable(q, n) {
			return quantity.Absent("no round with both valid")
		}
		return quantity.Absent(tooFew(n, q))
	}
	diff := quantity.Of(x.Value-y.Value, quantity.Milliseconds)
	diff.Note = "merged; no interval"
	return diff
}

// why a cell has no number: what became of its trials.
func (c *cell) why() string {
	if len(c.trials) == 0 {
		return "no trial"
	}
	for _, o := range []results.Outcome{results.Failed, results.Saturated, results.Invalid} {
		if len(c.with(o)) == len(c.trials) {
			return string(o)
		}
	}
	return noValid
}

func milliseconds(ns int64) float64 { return float64(ns) / 1e6 }

func quantileOf(times string, q float64) metric {
	return func(t *trial) (float64, bool) {
		h := t.times[times]
		if h == nil || !results.Printable(q, h.TotalCount()) {
			return 0, false
		}
		return milliseconds(results.Quantile(h, q)), true
	}
}

// cpu is milliseconds of CPU per 1,000 answered requests, of the processes of the given kinds, or of all but the driver.
func cpu(kinds ...string) metric {
	return perTrial(kinds, func(t *trial, u []results.Usage) (float64, bool) {
		if t.Counts.Done == 0 {
			return 0, false
		}
		var sum int64
		for _, p := range u {
			sum += p.CPU
		}
		return milliseconds(sum) * 1000 / float64(t.Counts.Done), true
	})
}

// memory is the sum of the peaks of resident memory, in MiB.
func memory(kinds ...string) metric {
	return perTrial(kinds, func(_ *trial, u []results.Usage) (float64, bool) {
		var sum int64
		for _, p := range u {
			sum += p.RSSPeak
		}
		return float64(sum) / (1 << 20), true
	})
}

// sockets is the sum of open sockets.
func sockets(kinds ...string) metric {
	return perTrial(kinds, func(_ *trial, u []results.Usage) (float64, bool) {
		sum := 0
		for _, p := range u {
			sum += p.Sockets
		}
		return float64(sum), true
	})
}

// processes is how many there are.
func processes(kinds ...string) metric {
	return perTrial(kinds, func(_ *trial, u []results.Usage) (float64, bool) { return float64(len(u)), true })
}

func perTrial(kinds []string, of func(*trial, []results.Usage) (float64, bool)) metric {
	return func(t *trial) (float64, bool) {
		var some []results.Usage
		for _, u := range t.Usage {
			if u.Kind == driverKind || len(kinds) > 0 && !slices.Contains(kinds, u.Kind) {
				continue
			}
			some = append(some, u)
		}
		if len(some) == 0 {
			return 0, false
		}
		return of(t, some)
	}
}

// Kinds of processes in records, in the order in which a request meets them; see results.Usage.
const driverKind = "driver"

var (
	kinds      = []string{"gateway", "sidecar", "control", "issuer", "workload"}
	proxyKinds = kinds[:3]
)

func minSamples(q float64) int64 { return stats.MinSamples(q, results.Confidence) }
