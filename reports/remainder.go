package reports

import (
	"fmt"
	"slices"
	"strings"

	"crossroads/reports/quantity"
	"crossroads/results"
)

// The bar for a remainder's p50: as near to the relays' as 0.02 ms for two of them in a row, or a tenth of theirs where that is more.
const (
	barTime  = 0.02 // ms
	barShare = 0.1
)

// aside is a remainder beside that of floor relays.
type aside struct {
	above quantity.Quantity // p50 less theirs, round by round
	bar   quantity.Quantity // how far it may lie from it
}

// aside compares an arm with one of relays in the same places; floor -1 or the arm itself: nothing to compare.
func (b *book) aside(arm, floor int) aside {
	a := b.Plan.Arms[arm]
	if floor < 0 || floor == arm || a.Gateway == "" && a.Mesh == "" {
		return aside{above: quantity.Absent("–")}
	}
	base := b.ref(floor).level(b.remainderAt(0.50), quantity.Milliseconds)
	if !base.Known() {
		return aside{above: base}
	}
	return aside{difference(b.ref(arm), b.ref(floor), b.remainderAt(0.50), quantity.Milliseconds),
		quantity.Of(max(barTime*max(1, float64(crossings(a))/2), barShare*base.Value), quantity.Milliseconds)}
}

// crossings is how many proxies one request crosses where every edge is crossed once. The edge to the entry is among the edges.
func crossings(a results.ArmInfo) int { return a.EntryHops + a.EdgeHops*(a.Edges-1) }

// within says whether the estimate meets the bar; – where there is nothing to say.
func (a aside) within() string {
	switch {
	case !a.above.Known():
		return "–"
	case a.met():
		return "yes"
	}
	return "no"
}

func (a aside) met() bool { return max(a.above.Value, -a.above.Value) <= a.bar.Value }

// verdict is the same in words, the interval considered.
func (a aside) verdict() string {
	i := a.above.Interval
	inside := i != nil && i.Low >= -a.bar.Value && i.High <= a.bar.Value
	outside := i != nil && (i.Low > a.bar.Value || i.High < -a.bar.Value)
	switch {
	case inside:
		return "is met"
	case outside:
		return "is missed"
	case i == nil && a.met():
		return "is met by the estimate, which has no interval"
	case i == nil:
		return "is missed by the estimate, which has no interval"
	case a.met():
		return "is met by the estimate, but not by all of its interval"
	}
	return "is missed by the estimate, but not by all of its interval"
}

// sides says where an arm's remainder lies: a signed difference in words.
func (a aside) sides() string {
	if a.above.Value < 0 {
		return negated(a.above).Text() + " below"
	}
	return a.above.Text() + " above"
}

// asideArms are the arms that tell of themselves and have relays in the same places.
func (b *book) asideArms() []int {
	var arms []int
	for arm, a := range b.Plan.Arms {
		if floor := b.floorOf(arm); floor >= 0 && !relayed(a) && tells(b.ref(arm)) && b.aside(arm, floor).above.Known() {
			arms = append(arms, arm)
		}
	}
	return arms
}

// remainderVerdicts says in words how far each told arm's remainder lies from the relays', and whether that meets the bar.
func (b *book) remainderVerdicts() []string {
	var all []string
	for _, arm := range b.asideArms() {
		near := b.aside(arm, b.floorOf(arm))
		text := fmt.Sprintf("At %s the remainder's p50 of %s lies %s the floor relays': the bar of %s (10%% of theirs, or 0.02 ms for two relays in a row) %s.",
			quantity.Rate(b.refRate), b.name(arm), near.sides(), near.bar.WithUnit(), near.verdict())
		if busy := b.aside(arm, b.busyFloorOf(arm)); busy.above.Known() {
			text += fmt.Sprintf(" It lies %s that of relays which keep the processor for %s of each request, told like any other time: the bar of %s %s.",
				busy.sides(), b.wasted(arm).WithUnit(), busy.bar.WithUnit(), busy.verdict())
		}
		all = append(all, text)
	}
	if busy := b.busyFinding(); busy != "" {
		all = append(all, busy)
	}
	return all
}

// wasted is what the busy relays of an arm's places spend on a request.
func (b *book) wasted(arm int) quantity.Quantity {
	return quantity.Of(milliseconds(b.Plan.Arms[b.busyFloorOf(arm)].Busy), quantity.Milliseconds)
}

// busyFinding says what the mere passing of time in the proxies' place costs elsewhere.
func (b *book) busyFinding() string {
	for arm, a := range b.Plan.Arms {
		if !relayed(a) || a.Busy == 0 {
			continue
		}
		if near := b.aside(arm, b.floorOf(arm)); near.above.Known() {
			return fmt.Sprintf("The busy relays' own remainder lies %s the idle ones', although all of the %s that they keep the processor is subtracted: "+
				"so much does time spent in a proxy's place cost outside of it.", near.sides(), b.wasted(arm).WithUnit())
		}
	}
	return ""
}

// remainderFinding is the shortest form of it, for the summary.
func (b *book) remainderFinding() (Finding, bool) {
	f := Finding{Rule: "remainder", Shown: true}
	var parts []string
	for _, arm := range b.asideArms() {
		near := b.aside(arm, b.floorOf(arm))
		f.Evidence = append(f.Evidence, Evidence{b.name(arm), "remainder p50", near.above, near.bar})
		part := fmt.Sprintf("%s's lies %s the floor relays', and the bar of %s %s", b.name(arm), near.sides(), near.bar.WithUnit(), near.verdict())
		if busy := b.aside(arm, b.busyFloorOf(arm)); busy.above.Known() {
			part += fmt.Sprintf("; it lies %s the busy relays'", busy.sides())
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return f, false
	}
	f.Text = fmt.Sprintf("Of the p50 of what no proxy and no application claims of a request at %s: %s.", quantity.Rate(b.refRate), strings.Join(parts, "; "))
	return f, true
}

// remainderTable is what nobody claims of the service time, beside that of floor relays in the same places.
func (b *book) remainderTable() *Table {
	t := &Table{ID: "remainder-table", Caption: "The ledger's remainder at " + quantity.Rate(b.refRate) + ": service time less what every proxy and application tells of itself",
		Columns: []Column{{Key: "topology", Title: "Topology"}, {Key: "samples", Title: "Requests", Numeric: true},
			{Key: "told", Title: "Told, mean", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "p50", Title: "Remainder p50", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "p99", Title: "Remainder p99", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "above", Title: "p50 above the relays'", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "close", Title: "Within 10%, or 0.02 ms for two"}}}
	busy := slices.ContainsFunc(b.Plan.Arms, func(a results.ArmInfo) bool { return relayed(a) && a.Busy > 0 })
	if busy {
		t.Columns = append(t.Columns, Column{Key: "busy", Title: "p50 above the busy relays'", Unit: quantity.Milliseconds, Numeric: true},
			Column{Key: "closebusy", Title: "Within"})
	}
	for arm, a := range b.Plan.Arms {
		c := b.ref(arm)
		samples, told := ledgerOf(c)
		if samples == 0 || (a.Mesh != "" || a.Gateway != "") && !relayed(a) && !tells(c) {
			continue
		}
		near := b.aside(arm, b.floorOf(arm))
		cells := []Cell{text(b.name(arm)), number(quantity.Of(float64(samples), quantity.None)),
			number(quantity.Of(told+milliseconds(a.Busy), quantity.Milliseconds)), number(c.level(b.remainderAt(0.50), quantity.Milliseconds)),
			number(c.level(b.remainderAt(0.99), quantity.Milliseconds)), number(near.above), text(near.within())}
		if busy {
			near := b.aside(arm, b.busyFloorOf(arm))
			if relayed(a) { // the idle ones are below
				near = aside{above: quantity.Absent("–")}
			}
			cells = append(cells, number(near.above), text(near.within()))
		}
		t.Rows = append(t.Rows, Row{Ink: 1 + b.ink(arm), Cells: cells})
	}
	t.Notes = []string{"Relays tell nothing of themselves: all of their time is in their remainder, but for what busy ones are told to spend for nothing."}
	return t
}

// remainderAt is a quantile of a trial's remainders, less what busy relays spent in every one of them.
func (b *book) remainderAt(q float64) metric {
	busy := map[string]int64{}
	for _, a := range b.Plan.Arms {
		busy[a.Name] = a.Busy
	}
	return func(t *trial) (float64, bool) {
		if t.Ledger == nil {
			return 0, false
		}
		h, err := t.Ledger.Remainder.Decode()
		if err != nil || !results.Printable(q, h.TotalCount()) {
			return 0, false
		}
		return milliseconds(results.Quantile(h, q) - busy[t.Arm]), true
	}
}
