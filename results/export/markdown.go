package export

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// MarkdownLimit is how many bytes a summary may have: what a pull request's comment takes.
const MarkdownLimit = 64 << 10

// Markdown builds a summary that is never longer than MarkdownLimit. What does not fit is left out whole, row by row in a table,
// and the end says how much that was. The zero value is empty and ready.
type Markdown struct {
	b    strings.Builder
	left struct{ blocks, rows int }
}

// reserve is kept for the sentence that says what was left out.
const reserve = 200

// block adds text as a block of its own, or counts it as left out. Once something was left out nothing follows it: a summary with
// a hole in the middle would read as whole.
func (m *Markdown) block(text string) bool {
	if m.left.blocks+m.left.rows > 0 || m.b.Len()+len(text)+1 > MarkdownLimit-reserve {
		return false
	}
	m.b.WriteString(text)
	m.b.WriteString("\n")
	return true
}

// Heading adds a heading of level 1 to 6.
func (m *Markdown) Heading(level int, text string) {
	m.text(strings.Repeat("#", max(1, min(level, 6))) + " " + Escape(text) + "\n")
}

// Paragraph adds a paragraph of plain text.
func (m *Markdown) Paragraph(text string) { m.text(Escape(text) + "\n") }

// List adds a list of plain texts.
func (m *Markdown) List(items []string) {
	var b strings.Builder
	for _, item := range items {
		b.WriteString("- " + Escape(item) + "\n")
	}
	m.text(b.String())
}

func (m *Markdown) text(block string) {
	if !m.block(block) {
		m.left.blocks++
	}
}

// Table adds a table of plain texts; every row has as many cells as the header. The first column is set left, the others right.
func (m *Markdown) Table(header []string, rows [][]string) {
	head := row(header) + "\n| :--- " + strings.Repeat("| ---: ", max(0, len(header)-1)) + "|"
	if !m.block(head) {
		m.left.blocks++
		return
	}
	for i, r := range rows {
		if !m.block(row(r)) {
			m.left.rows += len(rows) - i
			return
		}
	}
	m.block("")
}

func row(cells []string) string {
	escaped := make([]string, len(cells))
	for i, c := range cells {
		escaped[i] = Escape(c)
	}
	return "| " + strings.Join(escaped, " | ") + " |"
}

// WriteTo writes the summary.
func (m *Markdown) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, m.String())
	if err != nil {
		return int64(n), fmt.Errorf("writing Markdown: %w", err)
	}
	return int64(n), nil
}

// String returns the summary.
func (m *Markdown) String() string {
	if m.left.blocks+m.left.rows == 0 {
		return m.b.String()
	}
	return m.b.String() + fmt.Sprintf("\n_Cut to %d KiB: %d table rows and %d further blocks are left out; the report has them._\n",
		MarkdownLimit>>10, m.left.rows, m.left.blocks)
}

var escapes = strings.NewReplacer(
	"\r", "", "\n", " ", `\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "|", `\|`, "#", `\#`, "~", `\~`,
	"<", "&lt;", ">", "&gt;", "&", "&amp;",
)

// Escape makes plain text stand in Markdown as it is, on one line. Names that a user chose go through here.
func Escape(text string) string {
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	return escapes.Replace(text)
}
