package strict

import (
	"strconv"
	"strings"
)

// Kind is what a Node is.
type Kind int

const (
	Scalar  Kind = iota // text, not yet understood
	List                // items in order
	Mapping             // entries in order, each key once
	Null                // a key without a value, ~ or null: never a value here

	unreadable // reported already
)

// Node is one value of a file and its place.
type Node struct {
	Kind         Kind
	Line, Column int
	Text         string // of a scalar
	Quoted       bool   // the scalar was written in quotes, or as a block
	Items        []*Node
	Entries      []Entry
	doc          *Document
	depth        int // height of the tree below, itself included
}

// Entry is one key of a mapping with its value and the key's own place.
type Entry struct {
	Key          string
	Line, Column int
	Value        *Node
}

// Get returns the value of a key of a mapping, or nil.
func (n *Node) Get(key string) *Node {
	for i := range n.Entries {
		if n.Entries[i].Key == key {
			return n.Entries[i].Value
		}
	}
	return nil
}

// Replace puts another value where a key of a mapping stands; faults found in it later still point at its own places.
func (n *Node) Replace(key string, value *Node) {
	for i := range n.Entries {
		if n.Entries[i].Key == key {
			n.Entries[i].Value = value
		}
	}
}

// Merge lays over onto n key by key and returns the result; both stay as they are. Where both are mappings they merge, anything
// else of over wins whole.
func (n *Node) Merge(over *Node) *Node {
	if n.Kind != Mapping || over.Kind != Mapping {
		return over
	}
	merged := *over
	merged.Entries = append([]Entry(nil), n.Entries...)
	at := make(map[string]int, len(n.Entries))
	for i, e := range n.Entries {
		at[e.Key] = i
	}
	for _, e := range over.Entries {
		if i, below := at[e.Key]; below {
			e.Value = n.Entries[i].Value.Merge(e.Value)
			merged.Entries[i] = e
			continue
		}
		merged.Entries = append(merged.Entries, e)
	}
	return &merged
}

// Without returns a mapping that lacks a key; n stays as it is.
func (n *Node) Without(key string) *Node {
	less := *n
	less.Entries = nil
	for _, e := range n.Entries {
		if e.Key != key {
			less.Entries = append(less.Entries, e)
		}
	}
	return &less
}

// Report adds a fault at this value's place.
func (n *Node) Report(format string, args ...any) {
	n.doc.add(n.doc.faultAt(n.Line, n.Column, format, args...))
}

// String describes the value for a message: text "5", a list, a mapping.
func (n *Node) String() string {
	switch n.Kind {
	case List:
		return "a list"
	case Mapping:
		return "a mapping"
	case Null:
		return "nothing"
	}
	text := n.Text
	if r := []rune(text); len(r) > 40 {
		text = string(r[:40]) + "..."
	}
	return strconv.Quote(text)
}

// Lookup returns the value at a path such as $.topologies.mesh.extends[0], or nil. A key that contains a dot or a bracket is
// written in brackets and quotes; Key does that.
func (n *Node) Lookup(path string) *Node {
	at := n
	for path = strings.TrimPrefix(path, "$"); path != ""; {
		e, ok := at.step(&path)
		if !ok {
			return nil
		}
		at = e.Value
	}
	return at
}

// place is where a fault at path points: a scalar or list item itself, otherwise its key; the deepest part that exists.
func (n *Node) place(path string) (line, column int) {
	line, column = n.Line, n.Column
	at := n
	for path = strings.TrimPrefix(path, "$"); path != ""; {
		e, ok := at.step(&path)
		if !ok {
			break
		}
		at, line, column = e.Value, e.Line, e.Column
		if at.Kind == Scalar {
			line, column = at.Line, at.Column
		}
	}
	return line, column
}

// step takes one segment off the path and follows it.
func (n *Node) step(path *string) (Entry, bool) {
	p := *path
	switch {
	case strings.HasPrefix(p, `["`):
		quoted, err := strconv.QuotedPrefix(p[1:])
		if err != nil || !strings.HasPrefix(p[1+len(quoted):], "]") {
			return Entry{}, false
		}
		key, _ := strconv.Unquote(quoted)
		*path = p[len(quoted)+2:]
		return n.entry(key)
	case strings.HasPrefix(p, "["):
		index, rest, found := strings.Cut(p[1:], "]")
		i, err := strconv.Atoi(index)
		if !found || err != nil || i < 0 || i >= len(n.Items) {
			return Entry{}, false
		}
		*path = rest
		return Entry{Line: n.Items[i].Line, Column: n.Items[i].Column, Value: n.Items[i]}, true
	}
	p = strings.TrimPrefix(p, ".")
	end := strings.IndexAny(p, ".[")
	if end < 0 {
		end = len(p)
	}
	*path = p[end:]
	return n.entry(p[:end])
}

func (n *Node) entry(key string) (Entry, bool) {
	for _, e := range n.Entries {
		if e.Key == key {
			return e, true
		}
	}
	return Entry{}, false
}

// Key appends a key to a path, in quotes where it needs them.
func Key(path, key string) string {
	if key == "" || strings.ContainsAny(key, `.["]`) {
		return path + "[" + strconv.Quote(key) + "]"
	}
	return path + "." + key
}

// Index appends the index of a list item to a path.
func Index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
