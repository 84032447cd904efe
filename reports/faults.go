package reports

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"crossroads/reports/figure"
	"crossroads/reports/quantity"
	"crossroads/results"
	"crossroads/results/stats"
)

// faults are those that the run declares, as its first trial with them lists them: every trial of a run has the same.
func (b *book) faults() []results.Fault {
	for _, t := range b.Trials {
		if len(t.Faults) > 0 {
			return t.Faults
		}
	}
	return nil
}

// met says which processes of an arm a fault was done to; "" where the arm has none of them, or no trial says.
func (c *cell) met(fault int) string {
	for _, t := range c.trials {
		if fault < len(t.Faults) && t.Faults[fault].Done() {
			var all []string
			for _, a := range t.Faults[fault].Acts {
				all = append(all, a.Process)
			}
			return strings.Join(all, ", ")
		}
	}
	return ""
}

// of makes a metric of one fault of a trial; a trial in which it met nobody gives none.
func ofFault(fault int, f func(*results.Trial, *results.Fault) (float64, bool)) metric {
	return func(t *trial) (float64, bool) {
		if fault >= len(t.Faults) || !t.Faults[fault].Done() {
			return 0, false
		}
		return f(&t.Trial, &t.Faults[fault])
	}
}

// affected is the share of the requests due while the fault lasted that failed or were slow, in per cent.
func affected(fault int) metric {
	return ofFault(fault, func(_ *results.Trial, f *results.Fault) (float64, bool) {
		if f.During == nil || f.During.Due == 0 {
			return 0, false
		}
		return 100 * f.During.Share(), true
	})
}

// success is the share of the requests due while the fault lasted that were answered as they should be, in per cent.
func success(fault int) metric {
	return ofFault(fault, func(_ *results.Trial, f *results.Fault) (float64, bool) {
		if f.During == nil || f.During.Due == 0 {
			return 0, false
		}
		return 100 * float64(f.During.Done+f.During.Declared) / float64(f.During.Due), true
	})
}

// felt is the time from the fault to the last moment in which it was felt, in seconds. A single slow request is chance; a failed one is
// not.
func felt(fault int) metric {
	return ofFault(fault, func(t *results.Trial, f *results.Fault) (float64, bool) {
		if t.Moments == nil {
			return 0, false
		}
		last := int64(0)
		for i, m := range t.Moments.Series {
			from := int64(i) * t.Moments.Length
			if from+t.Moments.Length > f.From && from < f.Next && (m.Affected() > m.Slow || m.Slow > 1) {
				last = max(last, min(m.Last, f.Next)-f.From)
			}
		}
		return float64(last) / 1e9, true
	})
}

// again is the time from the start of a process to its being ready, in seconds.
func again(fault int) metric {
	return ofFault(fault, func(_ *results.Trial, f *results.Fault) (float64, bool) {
		longest := int64(0)
		for _, a := range f.Acts {
			longest = max(longest, a.Ready-a.To)
		}
		return float64(longest) / 1e9, longest > 0 && f.Kind != "service"
	})
}

// edgesReached is the share of the call graph's edges on which a call failed until the next fault, in per cent: the callers' own counts,
// and the driver's.
func (b *book) edgesReached(arm, fault int) metric {
	return ofFault(fault, func(_ *results.Trial, f *results.Fault) (float64, bool) {
		all := b.Plan.Arms[arm].Edges
		reached := 0
		for _, e := range f.Edges {
			if e.Failed > 0 {
				reached++
			}
		}
		if driverFailed(f) {
			reached++
		}
		return 100 * float64(reached) / float64(all), all > 0
	})
}

// faultsSection is what each fault took down with it, side by side for all arms.
func (b *book) faultsSection() Section {
	s := Section{ID: "faults", Title: "Faults"}
	if len(b.faults()) == 0 {
		return s
	}
	s.Text = []string{"Every arm met the same faults at the same times of its blocks, those of them that concern a process it has. " +
		"Latency, CPU and errors elsewhere in this report include them."}
	f := b.momentsFigure()
	s.Parts = []Part{{Figure: f}, {Table: b.faultsTable()}}
	return s
}

func (b *book) faultsTable() *Table {
	t := &Table{
		ID: "faults", Caption: "What each fault took down with it, at " + quantity.Rate(b.refRate),
		Columns: []Column{
			{Key: "fault", Title: "Fault"},
			{Key: "topology", Title: "Topology"},
			{Key: "met", Title: "What it met"},
			{Key: "requests", Title: "Requests affected while it lasted", Unit: quantity.Percent, Numeric: true},
			{Key: "services", Title: "Services to which a call failed", Unit: quantity.Percent, Numeric: true},
			{Key: "edges", Title: "Edges with a failed call", Unit: quantity.Percent, Numeric: true},
			{Key: "felt", Title: "From the fault to the last request affected", Unit: quantity.Seconds, Numeric: true},
			{Key: "again", Title: "From its end until ready again", Unit: quantity.Seconds, Numeric: true},
		},
	}
	for i, f := range b.faults() {
		for arm := range b.Plan.Arms {
			c := b.ref(arm)
			row := Row{Ink: 1 + b.ink(arm), Cells: []Cell{text(faultName(i, f)), text(b.name(arm))}}
			met := c.part(i)
			if met == "" {
				continue
			}
			ready := quantity.Absent("never")
			if f.Kind == "service" || f.Kind == "pause" || f.Kind == "stale" {
				ready = quantity.Absent("not restarted")
			} else if len(c.values(again(i))) > 0 {
				ready = c.level(again(i), quantity.Seconds)
			}
			row.Cells = append(row.Cells, text(met), number(c.level(affected(i), quantity.Percent)),
				number(c.level(b.servicesReached(arm, i), quantity.Percent)), number(c.level(b.edgesReached(arm, i), quantity.Percent)),
				number(c.level(felt(i), quantity.Seconds)), number(ready))
			t.Rows = append(t.Rows, row)
		}
	}
	t.Notes = []string{
		"An arm without the part has no row: the fault meets nobody there.",
		"Affected: failed" + b.slowWords() + ". Edges are those of the call graph with the driver's own; a failed call makes its caller fail, so that edges above count too.",
		"Effects are laid to a fault until the next one begins. A request keeps to its entry: where one of several gateways is away, its clients are refused and do not turn to another.",
	}
	return t
}

func faultName(i int, f results.Fault) string {
	return fmt.Sprintf("%d: %s, %s to %s", i+1, f.Text, time.Duration(f.From), time.Duration(f.To)) // as the file writes times
}

// slowWords says above which response time a request counts as slow.
func (b *book) slowWords() string {
	for _, t := range b.Trials {
		if t.Moments != nil && t.Moments.Slow > 0 {
			return ", or slower than the objective's " + quantity.Of(float64(t.Moments.Slow)/1e6, quantity.Milliseconds).WithUnit()
		}
	}
	return ""
}

// mostSteps bounds the points of one line of the figure.
const mostSteps = 150

// momentsFigure is the share of requests affected, moment by moment, over all valid trials of an arm.
func (b *book) momentsFigure() *figure.Figure {
	l := &figure.Lines{
		X: figure.Axis{Title: "seconds since the block began"},
		Y: figure.Axis{Title: "requests affected, %", Zero: true},
	}
	for i, f := range b.faults() {
		l.Shades = append(l.Shades, figure.Shade{From: float64(f.From) / 1e9, To: float64(f.To) / 1e9, Text: fmt.Sprint(i + 1)})
	}
	for arm := range b.Plan.Arms {
		s := figure.Series{Name: b.name(arm), Ink: b.ink(arm), Dash: b.ink(arm), Label: true, Line: true}
		s.Points = b.ref(arm).momentPoints()
		l.Series = append(l.Series, s)
	}
	return &figure.Figure{ID: "moments", Title: "Who was affected, and for how long", Lines: l, Caption: b.blastCaption(),
		About: "For each topology, the share of the requests due in each short stretch of the block that failed or were slow, over all valid trials. The faults are shaded and numbered as in the table."}
}

func (c *cell) momentPoints() []figure.Point {
	var sums []results.Count
	length := 0.0
	for _, t := range c.with(results.Valid) {
		if t.Moments == nil {
			continue
		}
		length = float64(t.Moments.Length) / 1e9
		for i, m := range t.Moments.Series {
			if i == len(sums) {
				sums = append(sums, results.Count{})
			}
			sums[i].Due, sums[i].Done = sums[i].Due+m.Due, sums[i].Done+m.Done
			sums[i].Declared, sums[i].Slow = sums[i].Declared+m.Declared, sums[i].Slow+m.Slow
		}
	}
	group := 1 + len(sums)/mostSteps
	var points []figure.Point
	for i := 0; i < len(sums); i += group {
		var whole results.Count
		for _, m := range sums[i:min(i+group, len(sums))] {
			whole.Due, whole.Done, whole.Declared, whole.Slow = whole.Due+m.Due, whole.Done+m.Done, whole.Declared+m.Declared, whole.Slow+m.Slow
		}
		if whole.Due > 0 {
			points = append(points, figure.Point{X: (float64(i) + float64(group)/2) * length, Y: 100 * whole.Share()})
		}
	}
	return points
}

// onlyProxy says which fault took exactly one proxy of an arm away and reached most; -1: none did.
func (b *book) onlyProxy(arm int) int {
	worst, most := -1, -1.0
	for i, f := range b.faults() {
		met := b.ref(arm).met(i)
		proxy := strings.HasPrefix(met, "gateway-") || strings.HasPrefix(met, "sidecar-")
		values := b.ref(arm).values(affected(i))
		if (f.Kind == "kill" || f.Kind == "terminate") && proxy && !strings.Contains(met, ",") && len(values) > 0 {
			if v := stats.Median(values); v > most {
				worst, most = i, v
			}
		}
	}
	return worst
}

// failingReplica is the standard fault: one replica of a service that answers badly, all others well; -1: the run has none.
func (b *book) failingReplica() int {
	return slices.IndexFunc(b.faults(), func(f results.Fault) bool {
		return f.Kind == "service" && strings.Contains(f.Text, "errors 100%") && len(f.Acts) == 1
	})
}

// blast is the matrix's cell on the loss of one proxy.
func (b *book) blast(arm int) Cell {
	a := b.Plan.Arms[arm]
	if a.Proxies == 0 && a.External == "" {
		return text("no proxy")
	}
	fault := b.onlyProxy(arm)
	if fault < 0 {
		return number(quantity.Absent(notMeasured))
	}
	q := b.ref(arm).level(affected(fault), quantity.Percent)
	if q.Known() && q.Interval == nil {
		q.Note = b.faults()[fault].Text + ", " + q.Note
	}
	return number(q)
}

// underFault are the matrix's cells on the standard fault: success, and the p99 of the successes.
func (b *book) underFault(arm int) (succeeded, p99 quantity.Quantity) {
	fault := b.failingReplica()
	if fault < 0 || b.ref(arm).met(fault) == "" {
		return quantity.Absent(notMeasured), quantity.Absent(notMeasured)
	}
	c := b.ref(arm)
	return c.level(success(fault), quantity.Percent), c.faultQuantile(fault, 0.99)
}

// faultQuantile is a quantile of the response time of the successes while a fault lasted, of all valid trials together; its interval is
// that of the trials' own.
func (c *cell) faultQuantile(fault int, q float64) quantity.Quantity {
	merged, n := results.NewTimes(), 0
	own := func(t *trial) (float64, bool) {
		if fault >= len(t.Faults) || t.Faults[fault].During == nil || t.Faults[fault].During.Times == nil {
			return 0, false
		}
		h, err := t.Faults[fault].During.Times.Decode()
		if err != nil {
			return 0, false
		}
		merged.Merge(h)
		n++
		return milliseconds(results.Quantile(h, q)), results.Printable(q, h.TotalCount())
	}
	values := c.values(own)
	if n == 0 {
		return quantity.Absent(c.why())
	}
	if total := merged.TotalCount(); !results.Printable(q, total) {
		return quantity.Absent(tooFew(total, q))
	}
	at := quantity.Of(milliseconds(results.Quantile(merged, q)), quantity.Milliseconds)
	at.N = n
	if within := estimate(values, quantity.Milliseconds, "trials"); within.Known() && within.Interval != nil {
		at.Interval = &quantity.Interval{Low: min(within.Interval.Low, at.Value), High: max(within.Interval.High, at.Value)}
	} else {
		at.Note = "no interval: trials have too few samples"
	}
	return at
}
