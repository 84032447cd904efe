package export_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/results/export"
)

func TestMarkdown(t *testing.T) {
	var m export.Markdown
	m.Heading(2, "Overhead of gateway+mesh")
	m.Paragraph("At 1,000/s the gateway adds 0.31 ms.")
	m.List([]string{"one", "two"})
	m.Table([]string{"arm", "p99"}, [][]string{{"a|b", "1 ms"}, {"<script>", "2 ms"}})
	m.Paragraph("end")
	require.Equal(t, `## Overhead of gateway+mesh

At 1,000/s the gateway adds 0.31 ms.

- one
- two

| arm | p99 |
| :--- | ---: |
| a\|b | 1 ms |
| &lt;script&gt; | 2 ms |

end

`, m.String())
}

func TestMarkdownFits(t *testing.T) {
	var m export.Markdown
	m.Heading(1, "Run")
	rows := make([][]string, 10_000)
	for i := range rows {
		rows[i] = []string{fmt.Sprint("trial ", i), strings.Repeat("x", 20)}
	}
	m.Table([]string{"trial", "text"}, rows)
	m.Paragraph("after the table")
	m.Table([]string{"another"}, rows)
	text := m.String()
	require.LessOrEqual(t, len(text), export.MarkdownLimit)
	require.Greater(t, len(text), export.MarkdownLimit*9/10)
	require.NotContains(t, text, "after the table", "nothing follows a hole")
	written := strings.Count(text, "| trial ") - 1 // the header
	require.Contains(t, text, fmt.Sprintf("_Cut to 64 KiB: %d table rows and 2 further blocks are left out", len(rows)-written))

	var long export.Markdown
	long.Paragraph(strings.Repeat("y", export.MarkdownLimit))
	long.Paragraph("short")
	require.NotContains(t, long.String(), "y y")
	require.Contains(t, long.String(), "2 further blocks")
}

func FuzzEscape(f *testing.F) {
	f.Add("a|b\n<img src=x onerror=y>`code`")
	f.Add("\xff\x00")
	f.Fuzz(func(t *testing.T, text string) {
		got := export.Escape(text)
		require.NotContains(t, got, "\n")
		require.NotContains(t, got, "<")
		for i := range len(got) { // no bar or backtick without a backslash before it
			if got[i] == '|' || got[i] == '`' {
				require.True(t, i > 0 && got[i-1] == '\\')
			}
		}
	})
}
