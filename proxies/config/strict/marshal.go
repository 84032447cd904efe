package strict

import (
	"bytes"
	"encoding"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Marshaler writes a value in its own way: MarshalNode returns what is written in its place (text, a list), or nil where it is
// written like any other value of its type. What it returns must read back, through UnmarshalNode, as the same value.
type Marshaler interface{ MarshalNode() any }

// Marshal writes v as YAML: keys in the order of declaration, a Map in its own, values left out where reading them back gives the
// same (zero, and zero by default). Decode(Marshal(v)) equals v.
func Marshal(v any) ([]byte, error) {
	w := &writer{}
	value := addressable(reflect.ValueOf(v))
	shape, err := w.shape(value, fresh(value.Type()))
	if err != nil {
		return nil, err
	}
	w.block(shape, 0)
	return w.out.Bytes(), nil
}

// shape is a value reduced to what YAML has: text, a list or a mapping.
type shape struct {
	kind  Kind
	text  string
	keys  []string
	items []shape
}

type writer struct {
	out   bytes.Buffer
	depth int
}

func addressable(v reflect.Value) reflect.Value {
	if v.CanAddr() || !v.IsValid() {
		return v
	}
	a := reflect.New(v.Type()).Elem()
	a.Set(v)
	return a
}

// fresh is a value as reading nothing would leave it.
func fresh(t reflect.Type) reflect.Value {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	v := reflect.New(t).Elem()
	fillDefaults(v)
	return v
}

// shape reduces v; unset is what the place holds when nothing is written there.
func (w *writer) shape(v, unset reflect.Value) (shape, error) {
	if w.depth++; w.depth > MaxDepth {
		return shape{}, fmt.Errorf("write YAML: nested deeper than %d", MaxDepth)
	}
	defer func() { w.depth-- }()
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return shape{}, fmt.Errorf("write YAML: a nil %s has no spelling", v.Type())
		}
		v = addressable(v.Elem())
	}
	if m, ok := v.Addr().Interface().(Marshaler); ok {
		if own := m.MarshalNode(); own != nil {
			o := addressable(reflect.ValueOf(own))
			return w.shape(o, fresh(o.Type()))
		}
	}
	if m, ok := v.Addr().Interface().(encoding.TextMarshaler); ok {
		text, err := m.MarshalText()
		if err != nil {
			return shape{}, fmt.Errorf("write YAML: %s: %w", v.Type(), err)
		}
		// A unit such as 500 must stay a number: quotes would be read as text, which a unit accepts as well.
		return w.text(string(text), true)
	}
	if m, ok := v.Addr().Interface().(mapping); ok {
		return w.mapShape(m)
	}
	switch v.Kind() {
	case reflect.Struct:
		return w.structShape(v, unset)
	case reflect.Slice:
		s := shape{kind: List}
		for i := range v.Len() {
			item, err := w.shape(v.Index(i), fresh(v.Type().Elem()))
			if err != nil {
				return shape{}, err
			}
			s.items = append(s.items, item)
		}
		return s, nil
	}
	return w.scalarShape(v)
}

func (w *writer) mapShape(m mapping) (shape, error) {
	s := shape{kind: Mapping}
	for key, value := range m.entries() {
		item, err := w.shape(reflect.ValueOf(value), fresh(reflect.TypeOf(value)))
		if err != nil {
			return shape{}, fmt.Errorf("%s: %w", key, err)
		}
		s.keys, s.items = append(s.keys, key), append(s.items, item)
	}
	return s, nil
}

// structShape leaves out a field that is zero, unless its default is not: then zero was somebody's choice.
func (w *writer) structShape(v, unset reflect.Value) (shape, error) {
	s := shape{kind: Mapping}
	for i, key := range fieldsOf(v.Type()) {
		if key == "" || blank(v.Field(i)) && blank(unset.Field(i)) {
			continue
		}
		below := unset.Field(i)
		if v.Field(i).Kind() == reflect.Pointer {
			if v.Field(i).IsNil() {
				continue
			}
			below = fresh(v.Field(i).Type())
		}
		item, err := w.shape(v.Field(i), below)
		if err != nil {
			return shape{}, fmt.Errorf("%s: %w", key, err)
		}
		if item.kind == Mapping && len(item.keys) == 0 && v.Field(i).Kind() != reflect.Pointer {
			continue // every field of it was left out
		}
		s.keys, s.items = append(s.keys, key), append(s.items, item)
	}
	return s, nil
}

// blank says that there is nothing to write: zero, or an empty list or Map.
func blank(v reflect.Value) bool {
	if v.Kind() == reflect.Slice {
		return v.Len() == 0
	}
	return v.IsZero()
}

func (w *writer) scalarShape(v reflect.Value) (shape, error) {
	switch v.Kind() {
	case reflect.String:
		return w.text(v.String(), false)
	case reflect.Bool:
		return shape{text: strconv.FormatBool(v.Bool())}, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return shape{text: strconv.FormatInt(v.Int(), 10)}, nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return shape{text: strconv.FormatUint(v.Uint(), 10)}, nil
	case reflect.Float32, reflect.Float64:
		if f := v.Float(); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return shape{text: strconv.FormatFloat(f, 'g', -1, v.Type().Bits())}, nil
		}
	}
	return shape{}, fmt.Errorf("write YAML: %s %v has no spelling", v.Type(), v)
}

// plain is text that every YAML reader takes as it stands, whatever stands around it.
var plain = regexp.MustCompile(`^[A-Za-z0-9/_$][A-Za-z0-9/_.+$%()<>=;-]*( [A-Za-z0-9/_.+$%()<>=;-]+)*$`)

// number is text that some reader takes for a number or a time.
var number = regexp.MustCompile(`^[-+.]?[0-9]`)

func (w *writer) text(s string, unit bool) (shape, error) {
	if !utf8.ValidString(s) {
		return shape{}, fmt.Errorf("write YAML: %q is not UTF-8", s)
	}
	if !plain.MatchString(s) || !unit && (number.MatchString(s) || reserved(s)) {
		return shape{text: quote(s)}, nil
	}
	return shape{text: s}, nil
}

// reserved words are null or, to readers of YAML 1.1, truth values; on and off are this house's own words for modes and stay bare.
func reserved(s string) bool {
	switch strings.ToLower(s) {
	case "null", "true", "false", "yes", "no", "y", "n":
		return true
	}
	return false
}

// quote writes double quotes with escapes that YAML knows. Line separators and byte order marks are content here, not layout.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x100 && !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\x%02x`, r)
		case !unicode.IsPrint(r) && r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		case !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// block writes a shape whose first line starts at the given indentation, in block style; empty and short lists in brackets.
func (w *writer) block(s shape, indent int) {
	switch {
	case s.kind == Mapping && len(s.keys) > 0:
		for i, key := range s.keys {
			if i > 0 {
				w.pad(indent)
			}
			k, err := w.text(key, false)
			if err != nil {
				k.text = quote(strings.ToValidUTF8(key, "\ufffd"))
			}
			w.out.WriteString(k.text + ":")
			w.value(s.items[i], indent)
		}
	case s.kind == List && len(s.items) > 0:
		for i, item := range s.items {
			if i > 0 {
				w.pad(indent)
			}
			w.out.WriteString("- ")
			w.block(item, indent+2)
		}
	default:
		w.out.WriteString(s.inline() + "\n")
	}
}

// value writes what follows "key:".
func (w *writer) value(s shape, indent int) {
	if s.flat() {
		w.out.WriteString(" " + s.inline() + "\n")
		return
	}
	w.out.WriteByte('\n')
	w.pad(indent + 2)
	w.block(s, indent+2)
}

func (w *writer) pad(indent int) { w.out.WriteString(strings.Repeat(" ", indent)) }

// flat says that a value stands behind its key: text, anything empty, a list of text.
func (s shape) flat() bool {
	for _, item := range s.items {
		if s.kind != List || item.kind != Scalar {
			return false
		}
	}
	return true
}

// inline writes a flat shape.
func (s shape) inline() string {
	switch s.kind {
	case Mapping:
		return "{}"
	case List:
		texts := make([]string, len(s.items))
		for i, item := range s.items {
			texts[i] = item.text
		}
		return "[" + strings.Join(texts, ", ") + "]"
	}
	return s.text
}
