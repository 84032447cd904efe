package reports

import (
	"fmt"

	"crossroads/reports/figure"
	"crossroads/reports/quantity"
	"crossroads/results"
)

// achievedFigure is every trial's achieved rate beside what was offered.
func (b *book) achievedFigure() *figure.Figure {
	l := &figure.Lines{
		Flat:   true,
		X:      figure.Axis{Title: "offered, requests per second", Ticks: ticks(b.rates), Scale: b.rateScale()},
		Y:      figure.Axis{Title: "achieved, % of offered"},
		Limits: []figure.Limit{{Y: 99, Text: "saturated below 99%"}},
	}
	for arm := range b.Plan.Arms {
		s := figure.Series{Name: b.name(arm), Ink: b.ink(arm), Dodge: b.dodge(arm)}
		for _, rate := range b.rates {
			for _, t := range b.at(arm, rate, b.refConns).trials {
				if v, ok := achieved(t); ok {
					mark := marks[t.Outcome]
					if t.Outcome == results.Valid {
						mark = figure.Solid
					}
					s.Points = append(s.Points, figure.Point{X: rate, Y: v, Mark: mark})
				}
			}
		}
		l.Series = append(l.Series, s)
	}
	return &figure.Figure{ID: "load-achieved", Title: "Achieved against offered load", Lines: l, Caption: b.achievedCaption(),
		About: "Achieved rate in per cent of the offered rate, one mark for each trial; hollow: saturated, struck through: invalid, cross: failed."}
}

// achieved is in per cent of what was due; a failure that the application was told to make is an answer.
func achieved(t *trial) (float64, bool) {
	if t.Counts.Planned == 0 {
		return 0, false
	}
	return 100 * float64(t.Counts.Done+t.Counts.Declared) / float64(t.Counts.Planned), true
}

// achievedCaption says where a target did not keep up, or that every one did.
func (b *book) achievedCaption() string {
	var short []string
	valid := 0
	for _, what := range []struct {
		outcome results.Outcome
		verb    string
	}{{results.Failed, "failed"}, {results.Saturated, "was saturated"}} {
		for arm := range b.Plan.Arms {
			for _, rate := range b.rates {
				if n := len(b.at(arm, rate, b.refConns).with(what.outcome)); n > 0 {
					short = append(short, fmt.Sprintf("%s %s at %s (%s)", b.name(arm), what.verb, quantity.Rate(rate), plural(n, "trial")))
				}
			}
		}
	}
	for _, t := range b.Trials {
		if t.Outcome == results.Valid {
			valid++
		}
	}
	switch {
	case len(short) > 0:
		return sentence(list(short))
	case valid == 0:
		return "No valid trial tells what was achieved."
	}
	return "No trial was saturated and none failed: what was offered was achieved."
}

func (b *book) achievedTable() *Table {
	t := &Table{
		ID: "load-achieved-table", Caption: "Achieved rate, over the trials in which the instrument was not at fault",
		Columns: []Column{
			{Key: "topology", Title: "Topology"},
			{Key: "rate", Title: "Offered", Unit: quantity.PerSecond, Numeric: true},
			{Key: "connections", Title: "Connections", Numeric: true},
			{Key: "achieved", Title: "Achieved, least of all trials", Unit: quantity.Percent, Numeric: true},
			{Key: "waited", Title: "Requests that waited for a connection", Numeric: true},
			{Key: "dials", Title: "Connections opened in the block", Numeric: true},
		},
	}
	b.each(func(arm int, c *cell) {
		least, waited, dials := quantity.Absent(c.why()), int64(0), int64(0)
		for _, tr := range c.with(results.Valid, results.Saturated, results.Failed) {
			waited, dials = waited+tr.Counts.Waited, dials+tr.Driver.Dials
			if v, ok := achieved(tr); ok && (!least.Known() || v < least.Value) {
				least = quantity.Of(v, quantity.Percent)
			}
		}
		t.Rows = append(t.Rows, Row{Ink: 1 + b.ink(arm), Cells: []Cell{text(b.name(arm)), number(quantity.Of(c.rate, quantity.PerSecond)),
			number(quantity.Of(float64(c.conns), quantity.None)), number(least), number(quantity.Of(float64(waited), quantity.None)),
			number(quantity.Of(float64(dials), quantity.None))}})
	})
	return t
}
