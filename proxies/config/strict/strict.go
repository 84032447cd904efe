// Package strict reads YAML files the way the house wants every file read: unknown keys, duplicate keys, wrong units and wrong
// types are faults; each fault names file, line and column, shows the line with a caret, and offers the nearest known word; all
// faults of a file are reported at once.
//
// Its one invariant: what was not understood is never ignored. It does not know what a key means; the callers check meaning and
// report through the same Faults, so that a user sees one list.
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

// String writes file:line:column: message, then the line and a caret below it.
func (f Fault) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: %s", f.File, f.Line, f.Column, f.Message)
	if f.Text != "" {
		fmt.Fprintf(&b, "\n  %s\n  %s^", f.Text, caretIndent(f.Text, f.Column))
	}
	return b.String()
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
