// Package reports is what it means: it computes a report from the records of a run, and writes it as a page, figures, Markdown,
// JSON and text for a terminal.
//
// Its one invariant: a report is a pure function of the records. Every sentence is built from the numbers that the tables show,
// every number is spelled in one way (package quantity), and every form of the report is written from the one model, Report.
// Percentiles are never averaged: histograms of valid trials are merged. An interval comes from trials or rounds, never from
// requests.
//
// It measures nothing, judges no trial (results.Judge did) and fails no build (package ci does).
package reports

import (
	"encoding/json"

	"crossroads/reports/figure"
	"crossroads/reports/quantity"
)

// Schema is the version of the model as JSON.
const Schema = 1

// Report is everything that a page says, without how it looks.
type Report struct {
	Schema   int       `json:"schema"`
	Header   Header    `json:"header"`
	Costs    *Table    `json:"costs"`    // the decision matrix, first half
	Benefits *Table    `json:"benefits"` // and second half: what it buys
	Findings []Finding `json:"findings"`
	Sections []Section `json:"sections"`

	run string // directory of the records, for links
}

// Status of a run as evidence.
type Status string

// The states of a run. Partial gives no verdict.
const (
	Valid    Status = "VALID"
	Degraded Status = "DEGRADED"
	Invalid  Status = "INVALID"
	Partial  Status = "PARTIAL"
)

// Header says what was measured and how far it can be believed.
type Header struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Status   Status   `json:"status"`
	Verdict  string   `json:"verdict"` // the status in one sentence
	Reasons  []string `json:"reasons,omitempty"`
	Quick    bool     `json:"quick_look,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	Summary  string   `json:"summary"` // what was measured, when, where, from which source
	Facts    []Fact   `json:"facts"`
}

// Fact is one line of the header or of the means to reproduce.
type Fact struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// Finding is one sentence with its evidence. Shown tells whether a difference is claimed.
type Finding struct {
	Rule     string     `json:"rule"`
	Text     string     `json:"text"`
	Shown    bool       `json:"shown"`
	Evidence []Evidence `json:"evidence,omitempty"`
}

// Evidence is a number behind a finding, and the margin that its interval had to leave.
type Evidence struct {
	Arm    string            `json:"arm"`
	Metric string            `json:"metric"`
	Value  quantity.Quantity `json:"value"`
	Margin quantity.Quantity `json:"margin"`
}

// Section is one part of the report below the matrix.
type Section struct {
	ID    string   `json:"id"`
	Title string   `json:"title"`
	Text  []string `json:"text,omitempty"`
	Parts []Part   `json:"parts,omitempty"`
	Notes []string `json:"notes,omitempty"` // what the section would hold but for this run
}

// Part is a figure with the table of its numbers, or a table alone, or a text to be shown as it is.
type Part struct {
	Figure *figure.Figure `json:"figure,omitempty"`
	Table  *Table         `json:"table,omitempty"`
	Terms  []Fact         `json:"terms,omitempty"`
	Code   *Code          `json:"code,omitempty"`
	Links  []Link         `json:"links,omitempty"`
}

// Code is text that is shown as it stands.
type Code struct {
	Title string `json:"title"`
	Text  string `json:"text"`
	Fold  bool   `json:"-"` // long: shown on demand
}

// Link to a file of the run, by its path in the run directory.
type Link struct {
	Path string `json:"path"`
	Text string `json:"text"`
}

// Table is rows of cells. The unit stands once, in the head of its column.
type Table struct {
	ID      string   `json:"id"`
	Caption string   `json:"caption"`
	Columns []Column `json:"columns"`
	Rows    []Row    `json:"rows"`
	Notes   []string `json:"notes,omitempty"`
	Fold    bool     `json:"-"` // long: shown on demand
	Open    bool     `json:"-"` // what its section is about: shown beside its figure without a demand
}

// Column of a table. Numeric columns are set to the right.
type Column struct {
	Key     string        `json:"key"`
	Title   string        `json:"title"`
	Unit    quantity.Unit `json:"unit,omitempty"`
	Numeric bool          `json:"numeric,omitempty"`
}

// Row of a table. State is an outcome that is drawn: invalid is struck through, saturated hollow, failed marked.
type Row struct {
	State string `json:"state,omitempty"`
	Ink   int    `json:"-"` // 1 + the ink of the arm; 0: none
	Cells []Cell `json:"cells"`
}

// Cell is a text or a quantity.
type Cell struct {
	Text     string
	Quantity *quantity.Quantity
}

// MarshalJSON writes a text as a string and a quantity as an object.
func (c Cell) MarshalJSON() ([]byte, error) {
	if c.Quantity != nil {
		return json.Marshal(c.Quantity)
	}
	return json.Marshal(c.Text)
}

// Main and Sub are the two lines of a cell: the value, and what qualifies it.
func (c Cell) Main() string {
	switch {
	case c.Quantity == nil:
		return c.Text
	case !c.Quantity.Known():
		return c.Quantity.Missing
	}
	return c.Quantity.Number()
}

// Sub is the interval, or why there is none.
func (c Cell) Sub() string {
	if c.Quantity == nil || !c.Quantity.Known() {
		return ""
	}
	if r := c.Quantity.Range(); r != "" {
		return r
	}
	return c.Quantity.Note
}

// Missing tells whether the cell has no number where one was to be.
func (c Cell) Missing() bool { return c.Quantity != nil && !c.Quantity.Known() }

// Line is the cell in one line.
func (c Cell) Line() string {
	if c.Quantity == nil {
		return c.Text
	}
	return c.Quantity.Bare()
}

func text(s string) Cell              { return Cell{Text: clean(s)} }
func number(q quantity.Quantity) Cell { return Cell{Quantity: &q} }
