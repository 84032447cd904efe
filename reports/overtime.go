package reports

import (
	"fmt"
	"slices"

	"crossroads/reports/figure"
	"crossroads/reports/quantity"
	"crossroads/results"
	"crossroads/results/stats"
)

// timeSection is what happened second by second, and round by round, at the reference rate.
func (b *book) timeSection() Section {
	s := Section{ID: "time", Title: "Over time"}
	if f, t := b.secondsFigure(); f != nil {
		s.Parts = append(s.Parts, Part{Figure: f, Table: t})
	}
	if f := b.roundsFigure(); f != nil {
		s.Parts = append(s.Parts, Part{Figure: f})
	}
	return s
}

// second is one second of all valid trials of a cell.
type second struct {
	at                    int
	done, errors          []float64
	p50, p99, slip99, cpu []float64
	fewest                int64
}

func (c *cell) seconds() []second {
	byAt := map[int]*second{}
	for _, t := range c.with(results.Valid) {
		for _, s := range t.Seconds {
			if s.At >= int(t.Duration/1e9) {
				continue // after the block only stragglers are answered
			}
			x := byAt[s.At]
			if x == nil {
				x = &second{at: s.At, fewest: s.Done}
				byAt[s.At] = x
			}
			x.fewest = min(x.fewest, s.Done)
			x.done, x.errors = append(x.done, float64(s.Done)), append(x.errors, float64(s.Errors))
			x.p50, x.p99 = append(x.p50, milliseconds(s.P50)), append(x.p99, milliseconds(s.P99))
			x.slip99, x.cpu = append(x.slip99, milliseconds(s.Slip99)), append(x.cpu, milliseconds(s.CPU))
		}
	}
	var all []second
	for _, s := range byAt {
		all = append(all, *s)
	}
	slices.SortFunc(all, func(x, y second) int { return x.at - y.at })
	return all
}

// secondsFigure is the median over trials of each second's p99, or of its p50 where a second has too few samples for a p99.
func (b *book) secondsFigure() (*figure.Figure, *Table) {
	quantile, name := 0.99, "p99"
	longest, first := 0, 0
	for arm := range b.Plan.Arms {
		for _, s := range b.ref(arm).seconds() {
			longest, first = max(longest, s.at+1), min(first, s.at)
			if s.at >= 0 && !results.Printable(quantile, s.fewest) {
				quantile, name = 0.50, "p50"
			}
		}
	}
	if longest == 0 {
		return nil, nil
	}
	l := &figure.Lines{
		X: figure.Axis{Title: "seconds since the block began", Ticks: whole(first, longest)},
		Y: figure.Axis{Title: name + " of each second, median over trials, ms (logarithmic)", Scale: figure.Log},
	}
	if first < 0 {
		l.Shades = []figure.Shade{{From: float64(first), To: 0, Text: "warm-up"}}
	}
	for i, f := range b.faults() {
		l.Shades = append(l.Shades, figure.Shade{From: float64(f.From) / 1e9, To: float64(f.To) / 1e9, Text: fmt.Sprintf("fault %d", i+1)})
	}
	t := secondsTable(b.refRate)
	for arm := range b.Plan.Arms {
		s := figure.Series{Name: b.name(arm), Ink: b.ink(arm), Dash: b.ink(arm), Label: true, Line: true}
		for _, x := range b.ref(arm).seconds() {
			v := stats.Median(x.p99)
			if quantile == 0.50 {
				v = stats.Median(x.p50)
			}
			s.Points = append(s.Points, figure.Point{X: float64(x.at) + 0.5, Y: v, Mark: figure.Small})
			t.Rows = append(t.Rows, Row{Ink: 1 + b.ink(arm), Cells: []Cell{text(b.name(arm)), text(quantity.Tick(float64(x.at))),
				number(quantity.Of(stats.Median(x.done), quantity.PerSecond)), number(quantity.Of(sum(x.errors), quantity.None)),
				number(quantity.Of(stats.Median(x.p50), quantity.Milliseconds)), secondP99(x),
				number(quantity.Of(stats.Median(x.slip99), quantity.Milliseconds)), secondCPU(x)}})
		}
		l.Series = append(l.Series, s)
	}
	return &figure.Figure{ID: "seconds", Title: "Within a trial at " + quantity.Rate(b.refRate), Lines: l, Caption: b.trendCaption(),
		About: "For each second of a trial, the median over the valid trials of that second's " + name + ". The warm-up is shaded and not counted."}, t
}

// whole are the whole numbers of a range that is short enough to name them all.
func whole(from, to int) []float64 {
	var all []float64
	for i := from; i <= to && to-from <= 15; i++ {
		all = append(all, float64(i))
	}
	return all
}

// secondCPU is absent where the record has none: no second of a working target takes no CPU.
func secondCPU(x second) Cell {
	if sum(x.cpu) == 0 {
		return number(quantity.Absent(notRecorded))
	}
	return number(quantity.Of(stats.Median(x.cpu), quantity.Milliseconds))
}

func secondP99(x second) Cell {
	if !results.Printable(0.99, x.fewest) {
		return number(quantity.Absent("too few samples"))
	}
	return number(quantity.Of(stats.Median(x.p99), quantity.Milliseconds))
}

func secondsTable(rate float64) *Table {
	return &Table{
		ID: "seconds-table", Caption: "Second by second at " + quantity.Rate(rate) + ", medians over the valid trials",
		Columns: []Column{
			{Key: "topology", Title: "Topology"}, {Key: "second", Title: "Second", Numeric: true},
			{Key: "done", Title: "Answered", Unit: quantity.PerSecond, Numeric: true}, {Key: "errors", Title: "Errors, all trials", Numeric: true},
			{Key: "p50", Title: "p50", Unit: quantity.Milliseconds, Numeric: true}, {Key: "p99", Title: "p99", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "slip", Title: "Slip p99", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "cpu", Title: "CPU of the target", Unit: quantity.Milliseconds, Numeric: true},
		},
	}
}

func sum(x []float64) float64 {
	total := 0.0
	for _, v := range x {
		total += v
	}
	return total
}

// trendCaption counts the trials that the rule "steady" flagged.
func (b *book) trendCaption() string {
	n, flagged := 0, 0
	for arm := range b.Plan.Arms {
		for _, t := range b.ref(arm).with(results.Valid) {
			if len(t.Windows) < results.Windows {
				continue // without windows the rule was not assessed
			}
			n++
			if slices.ContainsFunc(t.Flags, func(r results.Reason) bool { return r.Rule == results.RuleSteady }) {
				flagged++
			}
		}
	}
	switch {
	case n == 0:
		return "Whether trials were steady was not assessed: their records have no windows."
	case flagged == 0:
		return fmt.Sprintf("Steady: none of the %s at %s has a trend.", plural(n, "valid trial"), quantity.Rate(b.refRate))
	}
	return fmt.Sprintf("%s valid trials at %s have a trend over the block: a longer warm-up may be needed.", of(flagged, n), quantity.Rate(b.refRate))
}

// roundsFigure is every trial at the reference rate in its round: drift over the run is seen here.
func (b *book) roundsFigure() *figure.Figure {
	l := &figure.Lines{
		X: figure.Axis{Title: "round"},
		Y: figure.Axis{Title: "p99 of each trial, ms (logarithmic)", Scale: figure.Log},
	}
	for r := 1; r <= b.Plan.Rounds && b.Plan.Rounds <= 24; r++ {
		l.X.Ticks = append(l.X.Ticks, float64(r))
	}
	n := 0
	for arm := range b.Plan.Arms {
		s := figure.Series{Name: b.name(arm), Ink: b.ink(arm), Dash: b.ink(arm), Label: true, Line: true, Dodge: b.dodge(arm) / 2}
		for _, t := range b.ref(arm).trials {
			if v, ok := quantileOf(results.Response, 0.99)(t); ok {
				mark := marks[t.Outcome]
				if t.Outcome == results.Valid {
					mark = figure.Solid
				}
				s.Points = append(s.Points, figure.Point{X: float64(t.Round), Y: v, Mark: mark})
				n++
			}
		}
		l.Series = append(l.Series, s)
	}
	if n == 0 || b.Plan.Rounds < 2 {
		return nil
	}
	return &figure.Figure{ID: "rounds", Title: "Every trial at " + quantity.Rate(b.refRate) + ", round by round", Lines: l,
		Caption: b.driftCaption(), About: "The p99 of each trial by round. Hollow: saturated. Struck through: invalid. The numbers are in the table of trials."}
}

// driftCaption tests direct for a trend over rounds: the machine, not a proxy, would be the reason.
func (b *book) driftCaption() string {
	if b.direct < 0 {
		return "Each line is one topology."
	}
	values := b.ref(b.direct).values(quantileOf(results.Response, 0.99))
	if len(values) < enough {
		return "Too few rounds to tell whether the machine drifted."
	}
	if t := stats.MannKendall(values); t.P < 0.01 {
		return fmt.Sprintf("The machine drifted: direct's p99 changed steadily over the rounds (Mann-Kendall, p = %s).", quantity.Of(t.P, quantity.None).Number())
	}
	return fmt.Sprintf("No drift of the machine shown: direct's p99 has no trend over %s.", plural(len(values), "round"))
}
