package reports

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"crossroads/reports/figure"
	"crossroads/reports/quantity"
	"crossroads/results"
	"crossroads/results/capacity"
	"crossroads/results/stats"
)

// stable is how far the knees of repeated searches may lie apart before a reader is warned.
const stable = 0.05

// searched is the report of a search for capacities: the search is carried out again over the records, so that nothing of it is
// believed but the trials.
func (b *book) searched() (*Report, error) {
	found, err := capacity.Carry(context.Background(), &b.Plan, capacity.Recorded(b.Trials), func(string, float64, string) {})
	unfinished := errors.Is(err, capacity.ErrEnd)
	if err != nil && !unfinished {
		return nil, fmt.Errorf("carrying the search out again: %w", err)
	}
	r := &Report{Schema: Schema, Header: b.header(), Costs: b.capacities(found), Benefits: b.benefits(), Findings: b.capacityFindings(found), run: b.Dir}
	r.Header.Status, r.Header.Reasons = b.judgeSearch(found, unfinished)
	r.Header.Verdict = verdicts[r.Header.Status]
	r.Sections = []Section{b.repetitions(found), b.featuresSection(), b.trialsSection(), b.readingSection(), b.reproduceSection()}
	return r, nil
}

func (b *book) judgeSearch(found []capacity.Arm, unfinished bool) (Status, []string) {
	var reasons []string
	for _, a := range found {
		for _, r := range a.Repetitions {
			if r.Note != "" {
				reasons = append(reasons, fmt.Sprintf("%s, repetition %d: %s", clean(a.Name), r.Number, clean(r.Note)))
			}
		}
		if a.Spread > stable {
			reasons = append(reasons, fmt.Sprintf("%s: repeated searches lie %s apart, more than %s", clean(a.Name), share(a.Spread), share(stable)))
		}
	}
	n, all := b.outcomes(), len(b.Trials)
	if k := n[results.Invalid]; float64(k) > mostInvalid*float64(all) {
		reasons = append(reasons, fmt.Sprintf("%s trials are invalid and were repeated%s", of(k, all), b.invalidity()))
	}
	switch {
	case unfinished:
		return Partial, append([]string{"the search is not finished: go on with it by `crossroads capacity --resume`"}, reasons...)
	case len(reasons) > 0:
		return Degraded, reasons
	}
	return Valid, nil
}

// capacities is the decision matrix of a search.
func (b *book) capacities(found []capacity.Arm) *Table {
	t := &Table{
		ID: "costs", Caption: "Highest rate that meets the objectives",
		Columns: []Column{
			{Key: "topology", Title: "Topology"},
			{Key: "highest_rate", Title: "Highest rate that meets the objectives", Unit: quantity.PerSecond, Numeric: true},
			{Key: "interval", Title: "95% interval", Unit: quantity.PerSecond, Numeric: true},
			{Key: "of_direct", Title: "of direct's", Unit: quantity.Percent, Numeric: true},
			{Key: "spread", Title: "Repetitions apart", Unit: quantity.Percent, Numeric: true},
			{Key: "p50_half", Title: "p50 at 50% of it", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "p99_half", Title: "p99 at 50% of it", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "p50_most", Title: "p50 at 80% of it", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "p99_most", Title: "p99 at 80% of it", Unit: quantity.Milliseconds, Numeric: true},
		},
		Notes: []string{"A bracket over all repetitions, not a point: the rate at which half of the steps meet " + b.objectiveTexts() + ". The interval is that of all repetitions together.",
			"Response times at shares of the lower end: the median of the repetitions."},
	}
	for i, a := range found {
		row := Row{Ink: 1 + b.ink(i), Cells: []Cell{text(a.Name), bracketOf(a), text(spelled(a.Range[0], a.Range[1])), number(b.ofDirect(found, a)), number(apart(a))}}
		for share := range 2 {
			for _, of := range []func(capacity.Below) *float64{func(b capacity.Below) *float64 { return b.P50 }, func(b capacity.Below) *float64 { return b.P99 }} {
				row.Cells = append(row.Cells, number(waitBelow(a, share, of)))
			}
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func bracketOf(a capacity.Arm) Cell {
	if len(a.Repetitions) == 0 {
		return number(quantity.Absent("not searched"))
	}
	return text(spelled(a.Low, a.High))
}

// spelled is a bracket without its unit.
func spelled(low, high float64) string {
	at := func(v float64) string { return quantity.Of(v, quantity.PerSecond).Number() }
	switch {
	case low == 0 && high == 0:
		return "not known"
	case high == 0:
		return "at least " + at(low)
	case low == 0:
		return "below " + at(high)
	}
	return at(low) + " to " + at(high)
}

// ofDirect is the arm's knee as a share of direct's.
func (b *book) ofDirect(found []capacity.Arm, a capacity.Arm) quantity.Quantity {
	if b.direct < 0 || found[b.direct].Knee == 0 {
		return quantity.Absent("no capacity of direct")
	}
	if a.Knee == 0 {
		return quantity.Absent("no bracket")
	}
	return quantity.Of(100*a.Knee/found[b.direct].Knee, quantity.Percent)
}

func apart(a capacity.Arm) quantity.Quantity {
	if n := len(a.Repetitions); n < 2 {
		return quantity.Absent("one repetition")
	} else if a.Spread == 0 && (a.Low == 0 || a.High == 0) {
		return quantity.Absent("no bracket")
	}
	q := quantity.Of(100*a.Spread, quantity.Percent)
	q.Note = "of " + quantity.Count(len(a.Repetitions))
	return q
}

func waitBelow(a capacity.Arm, share int, of func(capacity.Below) *float64) quantity.Quantity {
	var values []float64
	why := notMeasured
	for _, r := range a.Repetitions {
		if share < len(r.Below) {
			if v := of(r.Below[share]); v != nil {
				values = append(values, 1e3**v)
			} else {
				why = string(r.Below[share].Outcome)
			}
		}
	}
	if len(values) == 0 {
		return quantity.Absent(why)
	}
	return quantity.Of(stats.Median(values), quantity.Milliseconds)
}

// repetitions lists every search that was made.
func (b *book) repetitions(found []capacity.Arm) Section {
	t := &Table{ID: "repetitions", Caption: "Every repetition of the search", Open: true, Columns: []Column{
		{Key: "topology", Title: "Topology"}, {Key: "repetition", Title: "Repetition", Numeric: true},
		{Key: "highest_rate", Title: "Bracket", Unit: quantity.PerSecond, Numeric: true},
		{Key: "width", Title: "Width", Unit: quantity.Percent, Numeric: true}, {Key: "interval", Title: "95% interval", Unit: quantity.PerSecond, Numeric: true}, {Key: "steps", Title: "Steps", Numeric: true}, {Key: "note", Title: "Note"},
	}}
	for i, a := range found {
		for _, r := range a.Repetitions {
			width := quantity.Absent("open")
			if r.Width > 0 {
				width = quantity.Of(100*r.Width, quantity.Percent)
			}
			t.Rows = append(t.Rows, Row{Ink: 1 + b.ink(i), Cells: []Cell{text(a.Name), number(quantity.Of(float64(r.Number), quantity.None)), text(spelled(r.Low, r.High)),
				number(width), text(spelled(r.Range[0], r.Range[1])), number(quantity.Of(float64(r.Steps), quantity.None)), text(r.Note)}})
		}
	}
	return Section{ID: "capacity", Title: "How it was found", Parts: []Part{{Figure: b.stepsFigure(found)}, {Table: t}}, Text: []string{
		fmt.Sprintf("The rate goes up after a step that met the objectives and down after one that missed them: first by doublings, then in ever smaller strides, at last by %s, %s of each search. "+
			"The capacity is where the share of steps that meet falls through a half; the bracket is the two rates tried around it. All searches take turns step by step in a random order and know nothing of each other's answers, so that arms and repetitions meet the same machine. "+
			"In the end they are estimated together: how slow the machine was in each step is told by the driver's own CPU time per request and lowers all capacities alike, and besides they rise and fall together from turn to turn; those given are of the machine's middle speed. How far repetitions are apart is what the search adds, not what the machine did. A step in which the instrument was at fault is repeated and never counts against the target.",
			share(b.Plan.Search.Width), plural(b.Plan.Search.Fine, "step"))}}
}

// stepsFigure is every step of the search over time.
func (b *book) stepsFigure(found []capacity.Arm) *figure.Figure {
	begun, _ := b.span()
	l := &figure.Lines{X: figure.Axis{Title: "minutes since the search began"}, Y: figure.Axis{Title: "rate of the step, 1/s (logarithmic)", Scale: figure.Log}}
	for i, a := range found {
		s := figure.Series{Name: b.name(i), Ink: b.ink(i), Dash: b.ink(i), Label: true}
		for _, t := range b.Trials {
			if t.Arm != b.Plan.Arms[i].Name || belowCapacity(a, &t) {
				continue
			}
			mark := figure.Small
			switch answer, _ := capacity.Ask(&t, b.Plan.Objectives); answer {
			case capacity.Misses:
				mark = figure.Hollow
			case capacity.Unknown:
				mark = figure.Struck
			}
			s.Points = append(s.Points, figure.Point{X: t.Started.Sub(begun).Minutes(), Y: t.Rate, Mark: mark})
		}
		l.Series = append(l.Series, s)
	}
	return &figure.Figure{ID: "steps", Title: "Every step of the search", Lines: l,
		Caption: "Steps that met the objectives are filled, steps that missed them hollow, steps that are no evidence struck through. A level that moves is a machine, or a target, that changed meanwhile.",
		About:   "For each topology, the rates of all steps over the time at which they were made."}
}

// belowCapacity tells whether a trial was no step but measured the arm at a share of its capacity.
func belowCapacity(a capacity.Arm, t *results.Trial) bool {
	return slices.ContainsFunc(a.Repetitions, func(r capacity.Repetition) bool {
		return r.Number == t.Round && slices.ContainsFunc(r.Below, func(b capacity.Below) bool { return b.Rate == t.Rate })
	})
}

func (b *book) capacityFindings(found []capacity.Arm) []Finding {
	var parts []string
	for i, a := range found {
		if a.Low == 0 || a.High == 0 {
			continue
		}
		one := fmt.Sprintf("%s %s/s", b.name(i), spelled(a.Low, a.High))
		if q := b.ofDirect(found, a); i != b.direct && q.Known() {
			one += fmt.Sprintf(" (%s of direct's)", q.WithUnit())
		}
		parts = append(parts, one)
	}
	if len(parts) == 0 {
		return nil
	}
	all := []Finding{{Rule: "capacity", Shown: true, Text: sentence("Within the objectives (" + b.objectiveTexts() + ") lie: " + strings.Join(parts, "; "))}}
	owns, of := b.groups()
	for _, own := range owns {
		if f, ok := b.capacityBeside(found, own, of[own]); ok {
			all = append(all, f)
		}
	}
	return all
}

// capacityBeside says whose capacity is shown to be higher, or lower, than that of the project's own proxy: intervals that do not meet.
func (b *book) capacityBeside(found []capacity.Arm, own int, rivals []int) (Finding, bool) {
	var higher, lower []string
	o := found[own].Range
	for _, i := range rivals {
		switch r := found[i].Range; {
		case o[1] > 0 && r[0] > o[1]:
			higher = append(higher, b.name(i))
		case r[1] > 0 && o[0] > r[1]:
			lower = append(lower, b.name(i))
		}
	}
	var parts []string
	if len(higher) > 0 {
		parts = append(parts, "higher is that of "+list(higher))
	}
	if len(lower) > 0 {
		parts = append(parts, "lower is that of "+list(lower))
	}
	return Finding{Rule: "rivals", Shown: true, Text: sentence(fmt.Sprintf("Beside the capacity of %s, %s", b.name(own), strings.Join(parts, "; ")))}, len(parts) > 0
}
