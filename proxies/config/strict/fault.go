package strict

import (
	"fmt"
	"sort"
	"strings"
)

// Fault is one thing wrong with a user's file. Line and Column count from 1; zero means that the place is not known.
type Fault struct {
	File         string
	Line, Column int
	Text         string // the offending line as it stands in the file
	Message      string // what is wrong and how to mend it
}

// lineWidth is how much of a very long line a fault shows, in characters.
const lineWidth = 160

// String writes file:line:column: message, then the line and a caret below it.
func (f Fault) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: %s", f.File, f.Line, f.Column, f.Message)
	if f.Text != "" {
		text, column := window(f.Text, f.Column)
		fmt.Fprintf(&b, "\n  %s\n  %s^", text, caretIndent(text, column))
	}
	return b.String()
}

// window cuts a long line to the part around the column.
func window(text string, column int) (string, int) {
	runes := []rune(text)
	if len(runes) <= lineWidth {
		return text, column
	}
	from := max(0, min(column-1-lineWidth/2, len(runes)-lineWidth))
	return string(runes[from : from+lineWidth]), column - from
}

// caretIndent keeps tabs, so that the caret stands below its column whatever the width of a tab.
func caretIndent(text string, column int) string {
	var b strings.Builder
	for i, r := range []rune(text) {
		if i >= column-1 {
			break
		}
		if r == '\t' {
			b.WriteByte('\t')
		} else {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// Faults is everything wrong with a file. It is an error when it is not empty; use Err.
type Faults []Fault

// Error writes every fault, in the order of the file.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

// Err returns the faults in the order of the file, or nil where there is none.
func (f Faults) Err() error {
	if len(f) == 0 {
		return nil
	}
	sort.SliceStable(f, func(i, j int) bool {
		if f[i].Line != f[j].Line {
			return f[i].Line < f[j].Line
		}
		return f[i].Column < f[j].Column
	})
	return f
}

// add keeps a fault once: a value that is used twice (alias, extends) is wrong in one place only.
func (d *Document) add(f Fault) {
	if d.seen[f] || len(d.faults) > MaxFaults {
		return
	}
	if len(d.faults) == MaxFaults {
		f.Message = fmt.Sprintf("more than %d faults: the rest is not shown", MaxFaults)
	}
	d.seen[f] = true
	d.faults = append(d.faults, f)
}

func (d *Document) faultAt(line, column int, format string, args ...any) Fault {
	f := Fault{File: d.file, Line: line, Column: column, Message: fmt.Sprintf(format, args...)}
	if line >= 1 && line <= len(d.lines) {
		f.Text = d.lines[line-1]
	}
	return f
}
