package strict

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// Defaulter fills in what a value holds where the file says nothing. It is called on a value that is still zero, before anything
// is decoded over it: the root, struct fields (before the struct around them, which may overrule), list items, values of a Map
// and what pointers point at.
type Defaulter interface{ SetDefaults() }

// Unmarshaler reads a value in its own way: on | off or a mapping, one number or a list. The error, if any, is reported at the node;
// faults inside are reported by Node.Decode and Node.Report as they are found.
type Unmarshaler interface{ UnmarshalNode(n *Node) error }

// Decode reads this part of the file into the value that into points at; what is wrong goes into the document. It reports whether
// nothing was.
func (n *Node) Decode(into any) bool {
	before := len(n.doc.faults)
	v := reflect.ValueOf(into).Elem()
	fillDefaults(v)
	n.doc.decode(n, v)
	return len(n.doc.faults) == before
}

// DecodeFields reads a mapping into a struct over its fields, as if the struct had no UnmarshalNode of its own: what an
// UnmarshalNode calls for the form that is a mapping.
func (n *Node) DecodeFields(into any) {
	n.doc.decodePlain(n, reflect.ValueOf(into).Elem())
}

func (d *Document) decode(n *Node, v reflect.Value) {
	if d.visited++; d.visited > MaxNodes {
		if d.visited == MaxNodes+1 {
			n.Report("more than %d values, aliases expanded: the rest is not read", MaxNodes)
		}
		return
	}
	if len(d.faults) > MaxFaults || n.Kind == unreadable {
		return
	}
	if v.Kind() == reflect.Pointer {
		if n.Kind == Null {
			d.refuseNull(n, v.Type().Elem())
			return
		}
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
			fillDefaults(v.Elem())
		}
		d.decode(n, v.Elem())
		return
	}
	if n.Kind == Null {
		d.refuseNull(n, v.Type())
		return
	}
	if u, ok := v.Addr().Interface().(Unmarshaler); ok {
		if err := u.UnmarshalNode(n); err != nil {
			n.Report("%s", err)
		}
		return
	}
	d.decodePlain(n, v)
}

func (d *Document) decodePlain(n *Node, v reflect.Value) {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		d.decodeText(n, v, u)
		return
	}
	if m, ok := v.Addr().Interface().(mapping); ok {
		if d.expect(n, Mapping, v) {
			for _, e := range n.Entries {
				m.decodeEntry(e.Key, func(into any) { e.Value.Decode(into) })
			}
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		if d.expect(n, Mapping, v) {
			d.decodeStruct(n, v)
		}
	case reflect.Slice:
		if d.expect(n, List, v) {
			if len(n.Items) == 0 {
				v.SetZero() // one spelling of empty, so that what Marshal writes reads back equal
				return
			}
			list := reflect.MakeSlice(v.Type(), len(n.Items), len(n.Items))
			for i, item := range n.Items {
				fillDefaults(list.Index(i))
				d.decode(item, list.Index(i))
			}
			v.Set(list)
		}
	default:
		if d.expect(n, Scalar, v) {
			d.decodeScalar(n, v)
		}
	}
}

func (d *Document) decodeStruct(n *Node, v reflect.Value) {
	fields := fieldsOf(v.Type())
	for _, e := range n.Entries {
		i := fields.index(e.Key)
		if i < 0 {
			d.add(d.faultAt(e.Line, e.Column, "%s", Unknown("key", e.Key, fields.names())))
			continue
		}
		if e.Value.Kind == Null {
			// A key without a value has no place of its own worth showing: point at the key.
			at := *e.Value
			at.Line, at.Column = e.Line, e.Column
			d.decode(&at, v.Field(i))
			continue
		}
		d.decode(e.Value, v.Field(i))
	}
}

func (d *Document) decodeText(n *Node, v reflect.Value, u encoding.TextUnmarshaler) {
	if !d.expect(n, Scalar, v) {
		return
	}
	if err := u.UnmarshalText([]byte(n.Text)); err != nil {
		n.Report("%s", err)
	}
}

func (d *Document) decodeScalar(n *Node, v reflect.Value) {
	if n.Quoted && v.Kind() != reflect.String {
		n.Report("expected %s, found text in quotes: write it without", describe(v.Type()))
		return
	}
	var err error
	switch v.Kind() {
	case reflect.String:
		v.SetString(n.Text)
	case reflect.Bool:
		switch n.Text {
		case "true", "false":
			v.SetBool(n.Text == "true")
		default:
			err = errSyntax
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		var x int64
		if x, err = strconv.ParseInt(n.Text, 10, v.Type().Bits()); err == nil {
			v.SetInt(x)
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		var x uint64
		if x, err = strconv.ParseUint(n.Text, 10, v.Type().Bits()); err == nil {
			v.SetUint(x)
		}
	case reflect.Float32, reflect.Float64:
		var x float64
		if x, err = strconv.ParseFloat(n.Text, v.Type().Bits()); err == nil && (math.IsNaN(x) || math.IsInf(x, 0)) {
			err = errSyntax
		}
		if err == nil {
			v.SetFloat(x)
		}
	default:
		panic(fmt.Sprintf("strict: a field of type %s cannot be read", v.Type()))
	}
	switch {
	case errors.Is(err, strconv.ErrRange):
		n.Report("%s is out of range for %s", n, describe(v.Type()))
	case err != nil, leadingZero(n.Text) && v.CanInt():
		// 010 is ten in YAML 1.2 and eight in 1.1: refused rather than guessed.
		n.Report("expected %s, found %s", describe(v.Type()), n)
	}
}

var errSyntax = errors.New("syntax")

func leadingZero(s string) bool {
	s = strings.TrimLeft(s, "+-")
	return len(s) > 1 && s[0] == '0'
}

func (d *Document) refuseNull(n *Node, t reflect.Type) {
	if k := t.Kind(); k == reflect.Struct && !reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		n.Report("there is no value here: write {} for one with all defaults, or leave the key out")
		return
	}
	n.Report("there is no value here: expected %s", describe(t))
}

func (d *Document) expect(n *Node, k Kind, v reflect.Value) bool {
	if n.Kind == k {
		return true
	}
	n.Report("expected %s, found %s", describe(v.Type()), n)
	return false
}

func describe(t reflect.Type) string {
	if reflect.PointerTo(t).Implements(reflect.TypeFor[mapping]()) {
		return "a mapping"
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return "a " + strings.ToLower(t.Name())
	}
	switch t.Kind() {
	case reflect.Struct:
		return "a mapping"
	case reflect.Slice:
		return "a list"
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number, zero or more"
	}
	return "a whole number"
}
