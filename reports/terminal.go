package reports

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"
)

// Terminal writes status, decision matrix and findings as text. A table that is wider than the terminal is turned: one line for
// each number.
func Terminal(w io.Writer, r *Report, color bool, width int) error {
	t := &terminal{color: color, width: max(width, 40)}
	t.line(t.paint(statusColors[r.Header.Status], string(r.Header.Status)) + "  " + clean(r.Header.Name))
	t.wrap("", r.Header.Verdict)
	for _, reason := range r.Header.Reasons {
		t.wrap("  - ", reason)
	}
	for _, table := range []*Table{r.Costs, r.Benefits} {
		t.line("")
		t.table(table)
	}
	if len(r.Findings) > 0 {
		t.line("")
		t.line(t.paint(bold, "Findings"))
		for i, f := range r.Findings {
			t.wrap(fmt.Sprintf("%2d. ", i+1), f.Text)
		}
	}
	for _, warning := range r.Header.Warnings {
		t.wrap("warning: ", warning)
	}
	_, err := io.WriteString(w, strings.ReplaceAll(t.b.String(), "\u00a0", " "))
	return err
}

// Escape sequences of ECMA-48, select graphic rendition.
const (
	bold   = "1"
	dim    = "2"
	red    = "31;1"
	green  = "32;1"
	yellow = "33;1"
)

var statusColors = map[Status]string{Valid: green, Degraded: yellow, Partial: yellow, Invalid: red}

// columns counts those of text; the width of ambiguous characters does not depend on whose locale it is.
var columns = &runewidth.Condition{}

type terminal struct {
	b     strings.Builder
	color bool
	width int
}

func (t *terminal) paint(sgr, s string) string {
	if !t.color {
		return s
	}
	return "\x1b[" + sgr + "m" + s + "\x1b[0m"
}

func (t *terminal) line(s string) { t.b.WriteString(strings.TrimRight(s, " ") + "\n") }

// wrap breaks text at spaces; the lines after the first stand under it.
func (t *terminal) wrap(head, s string) {
	indent := strings.Repeat(" ", utf8.RuneCountInString(head))
	line, used := head, columns.StringWidth(head)
	for i, word := range strings.Split(unbroken(clean(s)), " ") {
		n := columns.StringWidth(word)
		if i > 0 && used+1+n > t.width {
			t.line(line)
			line, used = indent, len(indent)
		} else if i > 0 {
			line, used = line+" ", used+1
		}
		line, used = line+word, used+n
	}
	t.line(line)
}

var glue = regexp.MustCompile(`\[\S+, \S+\]|\d (ms|s|MiB)\b|\(n = \d+( \w+)?\)|n = \d+|\d+ of [\d,]+`)

// unbroken keeps numbers whole: a line ends neither before a unit nor within an interval.
func unbroken(s string) string {
	return glue.ReplaceAllStringFunc(s, func(n string) string { return strings.ReplaceAll(n, " ", "\u00a0") })
}

// clean takes control characters out of what users named: they could drive the terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, s)
}

// grid is a table as text: head, value lines and the lines under them.
type grid struct {
	rows  [][]string
	right []bool
	sub   []bool // the line qualifies the one above
}

func (t *terminal) table(table *Table) {
	t.line(t.paint(bold, clean(table.Caption)))
	table, absent := measured(table)
	if len(absent) > 0 {
		defer t.wrap("  ", sentence("Not measured in this run: "+strings.Join(absent, ", ")))
	}
	for _, fold := range foldWidths {
		if g := gridOf(table, fold); total(g.widths()) <= t.width {
			t.grid(g)
			return
		}
	}
	t.turned(table)
}

// measured leaves out the columns in which nothing was measured, and says which.
func measured(table *Table) (*Table, []string) {
	var absent []string
	short := *table
	short.Columns, short.Rows = nil, make([]Row, len(table.Rows))
	for j, c := range table.Columns {
		blank := slices.ContainsFunc(table.Rows, func(r Row) bool { return r.Cells[j].Missing() && r.Cells[j].Main() == notMeasured }) &&
			!slices.ContainsFunc(table.Rows, func(r Row) bool { return r.Cells[j].Quantity != nil && !r.Cells[j].Missing() })
		if blank {
			absent = append(absent, c.Title)
			continue
		}
		short.Columns = append(short.Columns, c)
		for i, r := range table.Rows {
			short.Rows[i].Cells = append(short.Rows[i].Cells, r.Cells[j])
		}
	}
	return &short, absent
}

func (t *terminal) grid(g grid) {
	widths := g.widths()
	for i, row := range g.rows {
		var line strings.Builder
		for j, s := range row {
			space := strings.Repeat(" ", widths[j]-columns.StringWidth(s))
			if g.right[j] {
				s = space + s
			} else {
				s += space
			}
			line.WriteString("  " + s)
		}
		if text := line.String(); g.sub[i] {
			t.line(t.paint(dim, strings.TrimRight(text, " ")))
		} else {
			t.line(text)
		}
	}
}

func (g grid) widths() []int {
	widths := make([]int, len(g.right))
	for _, row := range g.rows {
		for j, s := range row {
			widths[j] = max(widths[j], columns.StringWidth(s))
		}
	}
	return widths
}

func total(widths []int) int {
	sum := 0
	for _, w := range widths {
		sum += w + 2
	}
	return sum
}

// foldWidths are the widths to which heads and notes are folded, so that they do not make columns wider than their numbers: the
// first with which the table fits is taken.
var foldWidths = []int{14, 12, 10, 8}

func gridOf(table *Table, width int) grid {
	g := grid{}
	var heads [][]string
	tallest := 0
	for _, c := range table.Columns {
		lines := fold(c.Title, width)
		if u := unitHTML(c.Unit); u != "" {
			lines = append(lines, u)
		}
		heads, tallest = append(heads, lines), max(tallest, len(lines))
		g.right = append(g.right, c.Numeric)
	}
	for i := range tallest {
		row := make([]string, len(heads))
		for j, lines := range heads {
			if k := i - (tallest - len(lines)); k >= 0 {
				row[j] = lines[k]
			}
		}
		g.rows, g.sub = append(g.rows, row), append(g.sub, true)
	}
	for _, r := range table.Rows {
		g.add(table, r, width)
	}
	return g
}

// add appends the lines of a row: values first, then what qualifies them, folded like the heads.
func (g *grid) add(table *Table, r Row, width int) {
	stacks := make([][]string, len(r.Cells))
	tallest := 0
	for j, c := range r.Cells {
		switch {
		case c.Missing():
			stacks[j] = fold(clean(c.Main()), width)
		case c.Quantity != nil:
			stacks[j] = append([]string{spaced(c.Main(), table.Places(j))}, foldSub(c.Sub(), width)...)
		default:
			stacks[j] = []string{clean(c.Main())}
		}
		tallest = max(tallest, len(stacks[j]))
	}
	for i := range tallest {
		row := make([]string, len(stacks))
		for j, lines := range stacks {
			if i < len(lines) {
				row[j] = lines[i]
			}
		}
		g.rows, g.sub = append(g.rows, row), append(g.sub, i > 0)
	}
}

func foldSub(s string, width int) []string {
	if strings.HasPrefix(s, "[") {
		return []string{s}
	}
	return fold(s, width)
}

func spaced(n string, places int) string {
	return strings.NewReplacer("\u2007", " ", "\u2008", " ").Replace(padded(n, places))
}

// fold breaks text at spaces into lines of at most width columns, longer words excepted.
func fold(s string, width int) []string {
	var lines []string
	words := strings.Fields(s)
	if width >= foldWidths[0] {
		words = strings.Split(unbroken(s), " ")
	}
	for _, word := range words {
		if n := len(lines); n > 0 && columns.StringWidth(lines[n-1])+1+columns.StringWidth(word) <= width {
			lines[n-1] += " " + word
		} else {
			lines = append(lines, word)
		}
	}
	return lines
}

// turned writes a table as blocks: the name of the row, then a line for each column.
func (t *terminal) turned(table *Table) {
	widest := 0
	title := func(c Column) string {
		if u := unitHTML(c.Unit); u != "" {
			return c.Title + ", " + u
		}
		return c.Title
	}
	for _, c := range table.Columns[1:] {
		widest = max(widest, len(title(c)))
	}
	for _, r := range table.Rows {
		t.line("  " + clean(r.Cells[0].Main()))
		for j, c := range r.Cells[1:] {
			value := clean(c.Line())
			if widest > t.width/2 {
				t.wrap("    ", title(table.Columns[j+1])+": "+value)
			} else {
				t.wrap(fmt.Sprintf("    %-*s  ", widest, title(table.Columns[j+1])), value)
			}
		}
	}
}
