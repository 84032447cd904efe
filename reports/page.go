package reports

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"crossroads/reports/figure"
	"crossroads/reports/quantity"
	"crossroads/results"
)

var (
	//go:embed page.tmpl.html
	pageTemplate string
	//go:embed page.css
	pageCSS string
)

// page is the template. It writes no number: every one comes spelled out of the model.
var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"cell":  cellHTML,
	"unit":  unitHTML,
	"lower": strings.ToLower,
	"whole": unbroken,
}).Parse(pageTemplate))

// styled is the style sheet with the palette, the same bytes in every report.
func styled() string {
	var light, dark, paint strings.Builder
	for _, c := range figure.Roles() {
		fmt.Fprintf(&light, "--%s:%s;", c.Role, figure.Hex(c.Light))
		fmt.Fprintf(&dark, "--%s:%s;", c.Role, figure.Hex(c.Dark))
		fmt.Fprintf(&paint, ".f-%s{fill:var(--%s)}.s-%s{stroke:var(--%s)}.i-%s{color:var(--%s)}", c.Role, c.Role, c.Role, c.Role, c.Role, c.Role)
	}
	return strings.NewReplacer("/*light*/", light.String(), "/*dark*/", dark.String(), "/*paint*/", paint.String()).Replace(pageCSS)
}

// mostHTML is how large a page may be, in bytes.
const mostHTML = 500_000

// WriteHTML writes the report as one self-contained page. base is the way from the page's directory to that of the records, for
// links; "" leaves links out. A page that would be too large is written lean: one size of each figure, and of the trials only
// those that are not valid; report.json and the records hold the rest.
func WriteHTML(w io.Writer, r *Report, base string) error {
	b, err := html(r, base, false)
	if err == nil && len(b) > mostHTML {
		b, err = html(r, base, true)
	}
	if err != nil {
		return fmt.Errorf("writing the page of %s: %w", r.Header.ID, err)
	}
	_, err = w.Write(b)
	return err
}

func html(r *Report, base string, lean bool) ([]byte, error) {
	css := styled()
	sum := sha256.Sum256([]byte(css))
	v := view{
		Report: r, CSS: template.CSS(css), Base: filepath.ToSlash(base),
		Policy:  "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'",
		Figures: map[string]template.HTML{},
		Lean:    lean,
	}
	for _, f := range r.figures() {
		svg, err := figure.New(f).Inline(lean)
		if err != nil {
			return nil, err
		}
		v.Figures[f.ID] = template.HTML(svg) // made by package figure, which escapes every text
	}
	var b bytes.Buffer
	if err := page.Execute(&b, v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

type view struct {
	*Report
	CSS     template.CSS
	Policy  string
	Base    string
	Figures map[string]template.HTML
	Lean    bool
}

// Table is a table as the page shows it.
func (v view) Table(t *Table) *Table {
	if !v.Lean || t.ID != trialsTable {
		return t
	}
	short := *t
	short.Rows, short.Notes = nil, slices.Clone(t.Notes)
	for _, r := range t.Rows {
		if r.State != string(results.Valid) {
			short.Rows = append(short.Rows, r)
		}
	}
	if n := len(t.Rows) - len(short.Rows); n > 0 {
		short.Notes = append(short.Notes, plural(n, "valid trial")+" not listed to keep the page small; report.json and the records hold them.")
	}
	return &short
}

// Class is how a row is drawn; a valid trial needs nothing.
func (r Row) Class() string {
	if r.State == string(results.Valid) {
		return ""
	}
	return r.State
}

// Matrix is both halves of the decision matrix.
func (v view) Matrix() []*Table { return []*Table{v.Costs, v.Benefits} }

// Href is the address of a file of the run, seen from the page.
func (v view) Href(path string) string { return v.Base + "/" + path }

func (r *Report) figures() []*figure.Figure {
	var all []*figure.Figure
	for _, s := range r.Sections {
		for _, p := range s.Parts {
			if p.Figure != nil {
				all = append(all, p.Figure)
			}
		}
	}
	return all
}

// cellHTML is the inside of a cell: the value, and under it its interval or note.
func cellHTML(c Cell, places int) template.HTML {
	main := template.HTMLEscapeString(c.Main())
	if c.Quantity == nil {
		return template.HTML(main)
	}
	if c.Missing() {
		return template.HTML(`<span class="none">` + main + `</span>`)
	}
	main = template.HTMLEscapeString(padded(c.Main(), places))
	if c.Quantity.Note == ownLevel {
		main = `<span class="own">` + main + `</span>`
	}
	if sub := c.Sub(); sub != "" {
		class := "sub"
		if c.Quantity.Interval == nil {
			class = "sub note"
		}
		main += ` <span class="` + class + `">` + template.HTMLEscapeString(unbroken(sub)) + `</span>`
	}
	return template.HTML(main)
}

// padded adds figure spaces after a number so that the decimal points of a column stand under each other.
func padded(n string, places int) string {
	_, fraction, dot := strings.Cut(n, ".")
	missing := places - len(fraction)
	if missing <= 0 {
		return n
	}
	pad := strings.Repeat("\u2007", missing)
	if !dot {
		pad = "\u2008" + pad // as wide as the point
	}
	return n + pad
}

// Places is the most decimals in a column.
func (t *Table) Places(column int) int {
	most := 0
	for _, r := range t.Rows {
		if c := r.Cells[column]; c.Quantity != nil && c.Quantity.Known() {
			_, fraction, _ := strings.Cut(c.Main(), ".")
			most = max(most, len(fraction))
		}
	}
	return most
}

func unitHTML(u quantity.Unit) string {
	if u == quantity.PerSecond {
		return "per second"
	}
	return string(u)
}

// Swatch is the role of the arm's colour, "" for none.
func (r Row) Swatch() string {
	if r.Ink == 0 {
		return ""
	}
	return figure.Inks[(r.Ink-1)%len(figure.Inks)].Role
}
