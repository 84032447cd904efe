// Package strict reads YAML files the way the house wants every file read: unknown keys, duplicate keys, wrong units and wrong
// types are faults; each fault names file, line and column, shows the line with a caret, and offers the nearest known word; all
// faults of a file are reported at once.
//
// Its one invariant: what was not understood is never ignored. It does not know what a key means; the callers check meaning and
// report through the same Document, so that a user sees one list.
//
// The way of a file: parse turns bytes into Nodes (goccy/go-yaml reads the YAML; tags, nulls and several documents are refused),
// Decode walks the Nodes over a Go value, the caller checks meaning with Report, Err gives everything in the order of the file.
package strict

import "reflect"

// Limits of a file. The largest that anybody means is a gateway's with tens of thousands of routes, written by a program; what exceeds
// these is a mistake or an attack.
const (
	MaxBytes  = 8 << 20 // of a file
	MaxDepth  = 64      // of nesting
	MaxNodes  = 500_000 // values decoded, every use of an alias counted
	MaxFaults = 100     // reported; one more says that the rest is not shown
)

// Document is a file that was read: where each of its values stands, and what is wrong with it.
type Document struct {
	file    string
	lines   []string
	root    *Node
	faults  Faults
	seen    map[Fault]bool
	visited int
}

// Decode reads data into the value that into points at. Keys that are present overwrite, all others keep what they hold. The
// document is never nil; where the error is not nil it is Faults, all of them, and into holds whatever could be read, so that a
// caller may go on to check meaning (unless Broken) and report everything at once.
func Decode(file string, data []byte, into any) (*Document, error) {
	d := &Document{file: file, seen: map[Fault]bool{}}
	d.parse(data)
	if d.root != nil {
		v := reflect.ValueOf(into)
		if v.Kind() != reflect.Pointer || v.IsNil() {
			panic("strict: Decode needs a pointer")
		}
		fillDefaults(v.Elem())
		d.decode(d.root, v.Elem())
	}
	return d, d.Err()
}

// Broken says that the file could not be read as YAML at all: there is nothing to check beyond its faults.
func (d *Document) Broken() bool { return d.root == nil }

// Root is the top of the file; nil where the file is broken.
func (d *Document) Root() *Node { return d.root }

// Err returns every fault so far in the order of the file, as Faults, or nil.
func (d *Document) Err() error { return d.faults.Err() }

// Fault makes the fault for a value named by its path; see Lookup. A path that leads beyond what is written points at the deepest
// part that is.
func (d *Document) Fault(path string, format string, args ...any) Fault {
	line, column := 1, 1
	if d.root != nil {
		line, column = d.root.place(path)
	}
	return d.faultAt(line, column, format, args...)
}

// Report adds the fault for a value named by its path.
func (d *Document) Report(path string, format string, args ...any) {
	d.add(d.Fault(path, format, args...))
}

// Has says whether the file itself writes a value at path.
func (d *Document) Has(path string) bool { return d.root != nil && d.root.Lookup(path) != nil }
