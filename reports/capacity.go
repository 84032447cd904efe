package reports

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"crossroads/reports/quantity"
	"crossroads/results"
	"crossroads/results/capacity"
	"crossroads/results/stats"
)

// stable is how far the middles of repeated searches may lie apart before a reader is warned.
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
		for i, r := range a.Repetitions {
			if r.Note != "" {
				reasons = append(reasons, fmt.Sprintf("%s, repetition %d: %s", clean(a.Name), i+1, clean(r.Note)))
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
			{Key: "of_direct", Title: "of direct's", Unit: quantity.Percent, Numeric: true},
			{Key: "spread", Title: "Repetitions apart", Unit: quantity.Percent, Numeric: true},
			{Key: "p50_half", Title: "p50 at 50% of it", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "p99_half", Title: "p99 at 50% of it", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "p50_most", Title: "p50 at 80% of it", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "p99_most", Title: "p99 at 80% of it", Unit: quantity.Milliseconds, Numeric: true},
		},
		Notes: []string{"A bracket over all repetitions, not a point: at every lower end 3 of 3 steps met " + b.objectiveTexts() + ", at every upper end 2 of 3 missed.",
			"Response times at shares of the lower end: the median of the repetitions."},
	}
	for i, a := range found {
		row := Row{Ink: 1 + b.ink(i), Cells: []Cell{text(a.Name), bracketOf(a), number(b.ofDirect(found, a)), number(apart(a))}}
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

// ofDirect is the arm's lower end as a share of direct's.
func (b *book) ofDirect(found []capacity.Arm, a capacity.Arm) quantity.Quantity {
	if b.direct < 0 || found[b.direct].Low == 0 {
		return quantity.Absent("no capacity of direct")
	}
	return quantity.Of(100*a.Low/found[b.direct].Low, quantity.Percent)
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
		{Key: "width", Title: "Width", Unit: quantity.Percent, Numeric: true}, {Key: "steps", Title: "Steps", Numeric: true}, {Key: "note", Title: "Note"},
	}}
	for i, a := range found {
		for j, r := range a.Repetitions {
			width := quantity.Absent("open")
			if r.Width > 0 {
				width = quantity.Of(100*r.Width, quantity.Percent)
			}
			t.Rows = append(t.Rows, Row{Ink: 1 + b.ink(i), Cells: []Cell{text(a.Name), number(quantity.Of(float64(j+1), quantity.None)), text(spelled(r.Low, r.High)),
				number(width), number(quantity.Of(float64(r.Steps), quantity.None)), text(r.Note)}})
		}
	}
	return Section{ID: "capacity", Title: "How it was found", Parts: []Part{{Table: t}}, Text: []string{
		fmt.Sprintf("The rate doubles until a step misses the objectives; the bracket is bisected until it is within %s; then both ends are confirmed. A step in which the instrument was at fault is repeated and never counts against the target. Later repetitions begin near what the one before found and go their own way.",
			share(b.Plan.Search.Width))}}
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

// capacityBeside says whose capacity is shown to be higher, or lower, than that of the project's own proxy: brackets over all repetitions that
// do not meet.
func (b *book) capacityBeside(found []capacity.Arm, own int, rivals []int) (Finding, bool) {
	var higher, lower []string
	o := found[own]
	for _, i := range rivals {
		switch r := found[i]; {
		case o.High > 0 && r.Low > o.High:
			higher = append(higher, b.name(i))
		case r.High > 0 && o.Low > r.High:
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
