package reports

import (
	"fmt"
	"strings"

	"crossroads/reports/quantity"
	"crossroads/results"
)

// longTable is how many rows a table may have before it is folded.
const longTable = 24

// trialsTable lists every trial.
const trialsTable = "trials-table"

// trialsSection lists every trial with its outcome and why, and what parity kept out.
func (b *book) trialsSection() Section {
	s := Section{ID: "trials", Title: "Every trial"}
	t := &Table{
		ID: trialsTable, Caption: "Trials in the order in which they ran",
		Columns: []Column{
			{Key: "id", Title: "Trial"}, {Key: "outcome", Title: "Outcome"},
			{Key: "achieved", Title: "Achieved", Unit: quantity.Percent, Numeric: true},
			{Key: "p50", Title: "p50", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "p99", Title: "p99", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "slip", Title: "Slip p99", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "why", Title: "Why, and what to know"},
		},
	}
	byID := map[string]*trial{}
	for _, c := range b.cells {
		for _, tr := range c.trials {
			byID[tr.ID] = tr
		}
	}
	for _, rec := range b.Trials {
		t.Rows = append(t.Rows, b.trialRow(byID[rec.ID]))
	}
	if odd := notValid(t); len(odd.Rows) > 0 && len(odd.Rows) < len(t.Rows) {
		s.Parts = append(s.Parts, Part{Table: odd})
	}
	t.Caption = fmt.Sprintf("%s in the order in which they ran", plural(len(t.Rows), "trial"))
	t.Fold = len(t.Rows) > longTable
	s.Parts = append(s.Parts, Part{Table: t})
	for _, rec := range b.Trials {
		if rec.Failure != nil && len(rec.Failure.Log) > 0 {
			s.Parts = append(s.Parts, Part{Code: &Code{Title: fmt.Sprintf("Last lines of %s in trial %s", orTarget(rec.Failure.Process), rec.ID),
				Text: strings.Join(rec.Failure.Log, "\n")}})
		}
	}
	if len(b.Exclusions) > 0 {
		s.Parts = append(s.Parts, Part{Table: b.exclusionsTable()})
	}
	return s
}

// notValid is the part of the table that a reader must not miss.
func notValid(t *Table) *Table {
	odd := *t
	odd.ID, odd.Caption, odd.Rows = "odd-trials", "Trials that are not valid", nil
	for _, r := range t.Rows {
		if r.State != string(results.Valid) {
			odd.Rows = append(odd.Rows, r)
		}
	}
	return &odd
}

func orTarget(process string) string {
	if process == "" {
		return "the target"
	}
	return process
}

func (b *book) trialRow(t *trial) Row {
	row := Row{State: string(t.Outcome)}
	for i, a := range b.Plan.Arms {
		if a.Name == t.Arm {
			row.Ink = 1 + b.ink(i)
		}
	}
	got := quantity.Absent("–")
	if v, ok := achieved(t); ok {
		got = quantity.Of(v, quantity.Percent)
	}
	row.Cells = []Cell{text(t.ID), text(string(t.Outcome)), number(got), number(t.quantile(results.Response, 0.50)),
		number(t.quantile(results.Response, 0.99)), number(t.quantile(results.Slip, 0.99)), text(t.why())}
	return row
}

func (t *trial) quantile(times string, q float64) quantity.Quantity {
	if v, ok := quantileOf(times, q)(t); ok {
		return quantity.Of(v, quantity.Milliseconds)
	}
	return quantity.Absent("–")
}

func (t *trial) why() string {
	var all []string
	for _, r := range t.Reasons {
		all = append(all, r.Text)
	}
	if t.Failure != nil && len(t.Reasons) == 0 {
		all = append(all, join(t.Failure.Process, t.Failure.Reason))
	}
	for _, r := range t.Flags {
		all = append(all, r.Rule+": "+r.Text)
	}
	if t.Attempt > 1 {
		all = append(all, fmt.Sprintf("attempt %d", t.Attempt))
	}
	return strings.Join(all, "; ")
}

func (b *book) exclusionsTable() *Table {
	t := &Table{ID: "exclusions", Caption: "Kept out by parity: the arm does not do the same work as the others",
		Columns: []Column{{Key: "topology", Title: "Topology"}, {Key: "round", Title: "Round", Numeric: true}, {Key: "probe", Title: "Probe"}, {Key: "text", Title: "What it found"}}}
	for _, e := range b.Exclusions {
		t.Rows = append(t.Rows, Row{Cells: []Cell{text(e.Arm), number(quantity.Of(float64(e.Round), quantity.None)), text(e.Probe), text(e.Text)}})
	}
	return t
}
