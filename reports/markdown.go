package reports

import (
	"fmt"
	"io"
	"strings"
)

// mostMarkdown is what a job summary of the common CI services takes, in bytes.
const mostMarkdown = 64 << 10

// Markdown writes the summary: status, matrix, findings, warnings. It is at most 64 KiB; what does not fit is left out from the
// end, and the summary says so.
func Markdown(w io.Writer, r *Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s: %s\n\n%s", plain(r.Header.Name), r.Header.Status, r.Header.Verdict)
	if r.Header.Quick {
		b.WriteString(" **Quick look, not evidence.**")
	}
	b.WriteString("\n")
	bullets(&b, r.Header.Reasons)
	blocks := []string{b.String(), markdownTable(r.Costs), markdownTable(r.Benefits)}
	b.Reset()
	if len(r.Findings) > 0 {
		b.WriteString("## Findings\n\n")
		for i, f := range r.Findings {
			fmt.Fprintf(&b, "%d. %s\n", i+1, plain(f.Text))
		}
	}
	blocks = append(blocks, b.String())
	b.Reset()
	b.WriteString("## The run\n")
	var facts []string
	for _, f := range r.Header.Facts {
		facts = append(facts, f.Name+": "+f.Text)
	}
	bullets(&b, facts)
	if len(r.Header.Warnings) > 0 {
		b.WriteString("\n## Warnings\n")
		bullets(&b, r.Header.Warnings)
	}
	blocks = append(blocks, b.String())
	_, err := io.WriteString(w, upTo(mostMarkdown, blocks))
	return err
}

func upTo(most int, blocks []string) string {
	const rest = "\nThe summary was cut here; the report holds the rest.\n"
	out := ""
	for _, block := range blocks {
		if block == "" {
			continue
		}
		if len(out)+len(block)+len(rest)+1 > most {
			return out + rest
		}
		if out != "" {
			out += "\n"
		}
		out += block
	}
	return out
}

func bullets(b *strings.Builder, all []string) {
	if len(all) > 0 {
		b.WriteString("\n")
	}
	for _, s := range all {
		fmt.Fprintf(b, "- %s\n", plain(s))
	}
}

func markdownTable(t *Table) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n", plain(t.Caption))
	var heads, rules []string
	for _, c := range t.Columns {
		head, rule := c.Title, "---"
		if u := unitHTML(c.Unit); u != "" {
			head += ", " + u
		}
		if c.Numeric {
			rule = "---:"
		}
		heads, rules = append(heads, head), append(rules, rule)
	}
	fmt.Fprintf(&b, "| %s |\n| %s |\n", strings.Join(heads, " | "), strings.Join(rules, " | "))
	for _, r := range t.Rows {
		var cells []string
		for _, c := range r.Cells {
			cells = append(cells, plain(c.Line()))
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	if len(t.Notes) > 0 {
		fmt.Fprintf(&b, "\n%s\n", plain(strings.Join(t.Notes, " ")))
	}
	return b.String()
}

// plain escapes what Markdown, or HTML inside it, would take for its own.
func plain(s string) string {
	return strings.NewReplacer("\\", "\\\\", "|", "\\|", "< ", "< ", "<", "&lt;", "&", "&amp;", "*", "\\*", "_", "\\_", "`", "\\`", "\n", " ", "\r", " ").Replace(clean(s))
}
