package reports

import (
	"fmt"
	"slices"
	"strings"

	"crossroads/reports/figure"
	"crossroads/reports/quantity"
	"crossroads/results"
)

// layersSection is what each layer costs: differences of whole runs, never sums of percentiles.
func (b *book) layersSection() Section {
	s := Section{ID: "layers", Title: "What each layer costs"}
	if b.direct < 0 {
		s.Text = []string{"Not shown: this run has no direct arm to hold the others against."}
		return s
	}
	if len(b.others()) == 0 {
		return Section{}
	}
	s.Parts = append(s.Parts, Part{Figure: b.addedFigure(), Table: b.addedTable()})
	if chain := b.chain(); len(chain) > 2 && !b.paced(economical) {
		for _, q := range []struct {
			value float64
			name  string
		}{{0.50, "p50"}, {0.99, "p99"}} {
			s.Parts = append(s.Parts, b.waterfall(chain, q.value, q.name))
		}
	}
	if !slices.ContainsFunc(b.Trials, func(t results.Trial) bool { return t.Ledger != nil }) {
		s.Notes = []string{"The ledger (time by stage within one request) is not recorded in this run."}
	}
	return s
}

var compared = []struct {
	value float64
	name  string
}{{0.50, "p50"}, {0.99, "p99"}, {0.999, "p99.9"}}

// addedFigure holds every arm against direct.
func (b *book) addedFigure() *figure.Figure {
	r := &figure.Rows{X: figure.Axis{Title: "added to direct's response time, ms", Zero: true}}
	worst, most := "", quantity.Absent("none yet")
	for _, arm := range b.others() {
		for _, q := range compared[:2] {
			v := b.overhead(arm, q.value)
			r.Names = append(r.Names, b.name(arm)+", "+q.name)
			if !v.Known() {
				r.Notes = append(r.Notes, v.Missing)
				continue
			}
			row := len(r.Names) - 1
			r.Notes = append(r.Notes, v.Text())
			d := figure.Dot{Row: row, X: v.Value, Ink: b.ink(arm), Mark: figure.Solid}
			if v.Interval != nil {
				d.Low, d.High = &v.Interval.Low, &v.Interval.High
			} else {
				d.Mark = figure.Small
			}
			r.Dots = append(r.Dots, d)
			if q.name == "p99" && (!most.Known() || v.Value > most.Value) {
				most, worst = v, b.name(arm)
			}
		}
	}
	caption := "No topology can be held against direct at " + quantity.Rate(b.refRate) + "."
	switch {
	case !most.Known():
	case most.Excludes(0) && most.Value > 0:
		caption = fmt.Sprintf("At %s %s adds most to direct's p99: %s.", quantity.Rate(b.refRate), worst, most.Text())
	default:
		caption = fmt.Sprintf("At %s no topology is shown to add to direct's p99; the largest estimate is that of %s, %s.", quantity.Rate(b.refRate), worst, most.Text())
	}
	return &figure.Figure{ID: "added", Title: "Added response time at " + quantity.Rate(b.refRate), Rows: r, Caption: caption,
		About: "What each topology adds to the p50 and p99 of direct, as an estimate over rounds with its 95% interval."}
}

func (b *book) addedTable() *Table {
	t := &Table{
		ID: "added-table", Caption: "Added response time and CPU, arm minus direct in the same round",
		Columns: []Column{
			{Key: "topology", Title: "Topology"}, {Key: "metric", Title: "Metric"},
			{Key: "direct", Title: "Direct", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "added", Title: "Added", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "share", Title: "Added, of direct", Unit: quantity.Percent, Numeric: true},
			{Key: "rounds", Title: "Rounds", Numeric: true},
		},
	}
	row := func(arm int, name string, level, added quantity.Quantity) {
		share, rounds := quantity.Absent("–"), quantity.Absent("–")
		if added.Known() && added.N > 0 {
			rounds = quantity.Of(float64(added.N), quantity.None)
		}
		if added.Known() && level.Known() && level.Value > 0 {
			share = quantity.Of(100*added.Value/level.Value, quantity.Percent)
		}
		if level.Known() {
			level.Interval, level.Note = nil, ""
		}
		t.Rows = append(t.Rows, Row{Ink: 1 + b.ink(arm), Cells: []Cell{text(b.name(arm)), text(name), number(level), number(added), number(share), number(rounds)}})
	}
	d := b.ref(b.direct)
	for _, arm := range b.others() {
		for _, q := range compared {
			row(arm, q.name, d.quantile(results.Response, q.value), b.overhead(arm, q.value))
		}
		row(arm, "CPU per 1,000 requests", d.level(cpu(), quantity.Milliseconds), difference(b.ref(arm), d, cpu(), quantity.Milliseconds))
	}
	if ns := b.Plan.Arms[b.direct].OriginTime; ns > 0 {
		t.Notes = append(t.Notes, fmt.Sprintf("The application's own declared work on the critical path is %s of direct's response time.",
			quantity.Of(milliseconds(ns), quantity.Milliseconds).WithUnit()))
	}
	return t
}

// layers of an arm, as a reader names them.
func layers(a results.ArmInfo) []string {
	var all []string
	switch a.Gateway {
	case "":
	case "reference":
		all = append(all, "gateway")
	default:
		all = append(all, a.Gateway)
	}
	if a.MeshUse != "" { // what a relay does is no part of a sidecar's
		return append(all, a.MeshUse+"s at "+a.Mesh)
	}
	switch a.Mesh {
	case "both":
		all = append(all, "client sidecars", "server sidecars")
	case "client", "server":
		all = append(all, a.Mesh+" sidecars")
	}
	if a.Mesh != "" && (a.MTLS == "strict" || a.MTLS == "permissive") {
		all = append(all, "mTLS")
	}
	return all
}

// chain is the longest way from direct on which every arm has all layers of the one before it and more; of equally long ones, the
// first in the plan's order.
func (b *book) chain() []int {
	best := map[int][]int{b.direct: {b.direct}}
	order := append([]int{b.direct}, b.others()...)
	slices.SortStableFunc(order, func(x, y int) int { return len(layers(b.Plan.Arms[x])) - len(layers(b.Plan.Arms[y])) })
	longest := best[b.direct]
	for _, arm := range order {
		if b.Plan.Arms[arm].External != "" || arm == b.direct {
			continue
		}
		for _, before := range order {
			if way := best[before]; len(way) > 0 && len(way) >= len(best[arm]) && b.within(before, arm) {
				best[arm] = append(slices.Clone(way), arm)
			}
		}
		if len(best[arm]) > len(longest) {
			longest = best[arm]
		}
	}
	return longest
}

// within tells whether an arm has all layers of another and more.
func (b *book) within(small, large int) bool {
	s, l := layers(b.Plan.Arms[small]), layers(b.Plan.Arms[large])
	return len(s) < len(l) && !slices.ContainsFunc(s, func(x string) bool { return !slices.Contains(l, x) })
}

// step names what an arm has over another.
func (b *book) step(from, to int) string {
	var more []string
	before := layers(b.Plan.Arms[from])
	for _, l := range layers(b.Plan.Arms[to]) {
		if !slices.Contains(before, l) {
			more = append(more, l)
		}
	}
	joined := strings.Join(more, ", ")
	return "+ " + strings.Replace(joined, "client sidecars, server sidecars", "sidecars", 1)
}

// waterfall draws the chain from the bottom: each bar is the difference of two arms, the last that of the whole chain.
func (b *book) waterfall(chain []int, q float64, name string) Part {
	m := quantileOf(results.Response, q)
	r := &figure.Rows{X: figure.Axis{Title: "added to direct's " + name + ", ms", Zero: true}, Steps: true}
	t := &Table{ID: "layers-" + name + "-table", Caption: "Cost of each layer in " + name + ", a difference of whole runs",
		Columns: []Column{{Key: "layer", Title: "Layer"}, {Key: "from", Title: "From"}, {Key: "to", Title: "To"},
			{Key: "added", Title: "Added", Unit: quantity.Milliseconds, Numeric: true}, {Key: "rounds", Title: "Rounds", Numeric: true}}}
	sum, complete := 0.0, true
	bar := func(label string, from, to int, start float64) quantity.Quantity {
		v := difference(b.ref(to), b.ref(from), m, quantity.Milliseconds)
		r.Names, r.Notes = append(r.Names, label), append(r.Notes, v.Text())
		if v.Known() {
			end := start + v.Value
			piece := figure.Bar{Row: len(r.Names) - 1, From: start, To: end, Ink: b.ink(to)}
			if v.Interval != nil {
				low, high := start+v.Interval.Low, start+v.Interval.High
				piece.Low, piece.High = &low, &high
			}
			r.Bars = append(r.Bars, piece)
		}
		t.Rows = append(t.Rows, Row{Ink: 1 + b.ink(to), Cells: []Cell{text(label), text(b.name(from)), text(b.name(to)), number(v),
			number(quantity.Of(float64(v.N), quantity.None))}})
		return v
	}
	var steps []string
	for i := 1; i < len(chain); i++ {
		label := b.step(chain[i-1], chain[i])
		if v := bar(label, chain[i-1], chain[i], sum); v.Known() {
			sum += v.Value
			steps = append(steps, fmt.Sprintf("%s %s", label, v.WithUnit()))
		} else {
			complete = false
		}
	}
	last := chain[len(chain)-1]
	whole := bar("all, measured at once", b.direct, last, 0)
	f := &figure.Figure{ID: "layers-" + name, Title: "Layers of " + b.name(last) + " in " + name, Rows: r,
		About: "A waterfall from direct: each bar is the difference between two arms, the last bar the difference between the first and the last arm."}
	switch {
	case complete && whole.Known():
		f.Caption = fmt.Sprintf("In %s at %s: %s; %s all at once. Estimates of differences need not add up.",
			name, quantity.Rate(b.refRate), strings.Join(steps, ", "), whole.WithUnit())
	default:
		f.Caption = "Not every layer has valid trials at " + quantity.Rate(b.refRate) + "."
	}
	return Part{Figure: f, Table: t}
}
