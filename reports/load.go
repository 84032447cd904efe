package reports

import (
	"fmt"
	"strings"

	"crossroads/reports/figure"
	"crossroads/reports/quantity"
	"crossroads/results"
)

// bend is by how much the p99 at a rate exceeds that at the lowest rate where the knee is said to be reached.
const bend = 3.0

// loadSection is response time against offered load.
func (b *book) loadSection() Section {
	s := Section{ID: "load", Title: "Response time against offered load", Text: b.otherConnections()}
	for _, q := range []struct {
		value float64
		name  string
	}{{0.99, "p99"}, {0.50, "p50"}} {
		f := b.loadFigure(q.value, q.name)
		s.Parts = append(s.Parts, Part{Figure: f, Table: b.loadTable(q.value, q.name)})
	}
	s.Parts = append(s.Parts, Part{Figure: b.achievedFigure(), Table: b.achievedTable()})
	return s
}

func (b *book) otherConnections() []string {
	if len(b.conns) == 1 {
		return nil
	}
	return []string{fmt.Sprintf("Drawn for %s connections, which most trials have; the tables hold the others too.", quantity.Count(b.refConns))}
}

func (b *book) loadFigure(q float64, name string) *figure.Figure {
	l := &figure.Lines{
		X: figure.Axis{Title: "offered, requests per second", Ticks: ticks(b.rates), Scale: b.rateScale()},
		Y: figure.Axis{Title: name + " of the response time, ms (logarithmic)", Scale: figure.Log},
	}
	for arm := range b.Plan.Arms {
		line := figure.Series{Name: b.name(arm), Ink: b.ink(arm), Dash: b.ink(arm), Label: true, Line: true, Dodge: b.dodge(arm)}
		odd := figure.Series{Name: b.name(arm) + ", single trials", Ink: b.ink(arm), Dodge: b.dodge(arm)}
		for _, rate := range b.rates {
			c := b.at(arm, rate, b.refConns)
			if p, ok := c.point(q); ok {
				line.Points = append(line.Points, p)
			}
			odd.Points = append(odd.Points, c.marks(quantileOf(results.Response, q))...)
		}
		l.Series = append(l.Series, line)
		if len(odd.Points) > 0 {
			l.Series = append(l.Series, odd)
		}
	}
	for _, o := range b.Plan.Objectives {
		if o.Metric == "p" && o.Quantile == 100*q {
			l.Limits = append(l.Limits, figure.Limit{Y: o.Value * 1000, Text: "objective " + o.Text})
		}
	}
	return &figure.Figure{
		ID: "load-" + name, Title: name + " against offered load", Lines: l,
		Caption: b.loadCaption(q, name),
		About: fmt.Sprintf("%s of the response time by offered rate, one line for each topology. Bands and whiskers: 95%% interval of the trials. "+
			"Hollow marks: saturated. Struck through: invalid.", name),
	}
}

// point is where the line of an arm passes a rate: the quantile of the valid trials, or, where none is valid, hollow and without
// an interval that of the saturated ones.
func (c *cell) point(q float64) (figure.Point, bool) {
	if p := c.quantile(results.Response, q); p.Known() {
		pt := figure.Point{X: c.rate, Y: p.Value, Mark: figure.Solid}
		if p.Interval != nil {
			pt.Low, pt.High = &p.Interval.Low, &p.Interval.High
		}
		return pt, true
	}
	if len(c.with(results.Valid)) > 0 || !results.Printable(q, c.kept.TotalCount()) {
		return figure.Point{}, false
	}
	return figure.Point{X: c.rate, Y: milliseconds(results.Quantile(c.kept, q)), Mark: figure.Hollow}, true
}

// marks are the trials that are drawn one by one: those that are not valid, and all where there are too few for an interval.
func (c *cell) marks(m metric) []figure.Point {
	few := len(c.with(results.Valid)) < enough
	var points []figure.Point
	for _, t := range c.trials {
		mark := marks[t.Outcome]
		if t.Outcome == results.Valid && !few {
			continue
		}
		if v, ok := m(t); ok {
			points = append(points, figure.Point{X: c.rate, Y: v, Mark: mark})
		}
	}
	return points
}

var marks = map[results.Outcome]figure.Mark{
	results.Valid: figure.Small, results.Saturated: figure.Hollow, results.Invalid: figure.Struck, results.Failed: figure.Cross,
}

// loadCaption says who is fastest and slowest at the reference rate, and where the knees are.
func (b *book) loadCaption(q float64, name string) string {
	low, high := -1, -1
	at := map[int]quantity.Quantity{}
	for arm := range b.Plan.Arms {
		p := b.ref(arm).quantile(results.Response, q)
		if !p.Known() {
			continue
		}
		at[arm] = p
		if low < 0 || p.Value < at[low].Value {
			low = arm
		}
		if high < 0 || p.Value > at[high].Value {
			high = arm
		}
	}
	rate := quantity.Rate(b.refRate)
	var parts []string
	switch {
	case low < 0:
		parts = append(parts, fmt.Sprintf("No topology has a valid %s at %s", name, rate))
	case len(at) == 1:
		parts = append(parts, fmt.Sprintf("At %s the %s of %s is %s", rate, name, b.name(low), at[low].WithUnit()))
	default:
		parts = append(parts, fmt.Sprintf("At %s %s runs from %s (%s) to %s (%s)", rate, name, at[low].WithUnit(), b.name(low), at[high].WithUnit(), b.name(high)))
	}
	var knees []string
	for arm := range b.Plan.Arms {
		if k, ok := b.knee(arm, q); ok {
			knees = append(knees, fmt.Sprintf("%s at %s", b.name(arm), quantity.Rate(k)))
		}
	}
	if len(knees) > 0 {
		parts = append(parts, "knee of "+list(knees))
	} else if low >= 0 && len(b.rates) > 1 {
		parts = append(parts, "no knee up to "+quantity.Rate(b.rates[len(b.rates)-1]))
	}
	return sentence(strings.Join(parts, "; "))
}

// knee is the first rate at which trials saturated, or at which the quantile is several times that of the lowest rate.
func (b *book) knee(arm int, q float64) (float64, bool) {
	first := b.at(arm, b.rates[0], b.refConns).quantile(results.Response, q)
	for _, rate := range b.rates {
		c := b.at(arm, rate, b.refConns)
		p := c.quantile(results.Response, q)
		if len(c.with(results.Saturated)) > 0 || first.Known() && p.Known() && p.Value > bend*first.Value {
			return rate, true
		}
	}
	return 0, false
}

func (b *book) loadTable(q float64, name string) *Table {
	t := &Table{
		ID: "load-" + name + "-table", Caption: fmt.Sprintf("%s of the response time, by topology and offered rate", name),
		Columns: []Column{
			{Key: "topology", Title: "Topology"},
			{Key: "rate", Title: "Offered", Unit: quantity.PerSecond, Numeric: true},
			{Key: "connections", Title: "Connections", Numeric: true},
			{Key: name, Title: name, Unit: quantity.Milliseconds, Numeric: true},
			{Key: "samples", Title: "Samples", Numeric: true},
			{Key: "trials", Title: "Trials: valid, saturated, invalid, failed"},
		},
	}
	b.each(func(arm int, c *cell) {
		row := Row{Ink: 1 + b.ink(arm), Cells: []Cell{text(b.name(arm)), number(quantity.Of(c.rate, quantity.PerSecond)),
			number(quantity.Of(float64(c.conns), quantity.None)), number(c.quantile(results.Response, q))}}
		samples := int64(0)
		for _, t := range c.with(results.Valid) {
			samples += t.Times[results.Response].Count
		}
		row.Cells = append(row.Cells, number(quantity.Of(float64(samples), quantity.None)), text(c.tally()))
		t.Rows = append(t.Rows, row)
	})
	return t
}

// each calls f for every cell that has trials, in the order of tables: arm, connections, rate.
func (b *book) each(f func(arm int, c *cell)) {
	for arm := range b.Plan.Arms {
		for _, conns := range b.conns {
			for _, rate := range b.rates {
				if c := b.at(arm, rate, conns); len(c.trials) > 0 {
					f(arm, c)
				}
			}
		}
	}
}

func (c *cell) tally() string {
	var all []string
	for _, o := range []results.Outcome{results.Valid, results.Saturated, results.Invalid, results.Failed} {
		all = append(all, fmt.Sprint(len(c.with(o))))
	}
	return strings.Join(all, ", ")
}

// ticks stand at the rates that were run, as long as they can be told apart.
func ticks(rates []float64) []float64 {
	if len(rates) > 8 {
		return nil
	}
	return rates
}

// rateScale is logarithmic where rates were doubled several times.
func (b *book) rateScale() figure.Scale {
	if low := b.rates[0]; low > 0 && b.rates[len(b.rates)-1]/low >= 8 {
		return figure.Log
	}
	return figure.Linear
}

// dodge sets the arms' marks side by side.
func (b *book) dodge(arm int) float64 {
	n := len(b.Plan.Arms)
	step := min(6, 36/float64(n))
	return (float64(arm) - float64(n-1)/2) * step
}
