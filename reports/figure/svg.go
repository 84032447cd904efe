package figure

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// sheet says how the parts of an SVG are written out: for a page, or as a file.
type sheet interface {
	open(viewBox string) string // the root element, with its title and description
	paint(property, hex string) string
	inherits(element, name, value string) bool // the attribute follows from the root or the page's style sheet
}

// page is an SVG inside a page: colours are classes, because a content security policy with hashes forbids style attributes, and
// because the paper may be dark.
type page struct{ id, class, title, about string }

func (p page) open(viewBox string) string {
	return fmt.Sprintf(`<svg class="%s" viewBox="%s" role="img" aria-labelledby="%s-t %s-d"><title id="%s-t">%s</title><desc id="%s-d">%s</desc>`,
		p.class, viewBox, p.id, p.id, p.id, escape(p.title), p.id, escape(p.about))
}

func (p page) paint(property, hex string) string {
	for _, c := range Roles() {
		if alike(Hex(c.Light), hex) {
			return fmt.Sprintf(` class="%s-%s"`, property[:1], c.Role)
		}
	}
	return fmt.Sprintf(` %s="%s"`, property, hex)
}

func (page) inherits(element, name, value string) bool {
	return element == "text" && (name == "transform" && value == "scale(1, -1)" || name == "font-size" && value == "11px")
}

// alike forgives the last bit, which translucent colours lose when they are multiplied by their alpha and back.
func alike(a, b string) bool {
	var x, y [3]int
	if _, err := fmt.Sscanf(a, "#%02x%02x%02x", &x[0], &x[1], &x[2]); err != nil {
		return false
	}
	if _, err := fmt.Sscanf(b, "#%02x%02x%02x", &y[0], &y[1], &y[2]); err != nil {
		return false
	}
	for i := range x {
		if max(x[i]-y[i], y[i]-x[i]) > 1 {
			return false
		}
	}
	return true
}

// alone is an SVG file.
type alone struct{ title, about string }

func (a alone) open(viewBox string) string {
	box := strings.Fields(viewBox)
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%s" height="%s" viewBox="%s" font-family="Liberation Sans, Arial, Helvetica, sans-serif" role="img"><title>%s</title><desc>%s</desc>`,
		box[2], box[3], viewBox, escape(a.title), escape(a.about))
}

func (alone) paint(property, hex string) string { return fmt.Sprintf(` %s="%s"`, property, hex) }

func (alone) inherits(_, _, _ string) bool { return false }

// rewrite turns what vgsvg writes into the sheet's form: no prologue, no style attributes, no font of this machine.
func rewrite(w io.Writer, raw []byte, s sheet) error {
	var b bytes.Buffer
	dec := xml.NewDecoder(bytes.NewReader(raw))
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.StartElement:
			element(&b, t, s)
		case xml.EndElement:
			if t.Name.Local != "path" {
				fmt.Fprintf(&b, "</%s>", t.Name.Local)
			}
		case xml.CharData:
			if text := bytes.TrimSpace(t); len(text) > 0 {
				b.WriteString(escape(string(text)))
			}
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

func element(b *bytes.Buffer, t xml.StartElement, s sheet) {
	if t.Name.Local == "svg" {
		b.WriteString(s.open(attribute(t, "viewBox")))
		return
	}
	b.WriteString("<" + t.Name.Local)
	for _, a := range t.Attr {
		if a.Name.Local == "style" {
			b.WriteString(properties(t.Name.Local, a.Value, s))
			continue
		}
		if !s.inherits(t.Name.Local, a.Name.Local, a.Value) {
			fmt.Fprintf(b, ` %s="%s"`, a.Name.Local, escape(tenths(a.Value)))
		}
	}
	if t.Name.Local == "path" {
		b.WriteString("/")
	}
	b.WriteString(">")
}

// properties turns a style attribute into presentation attributes. Fonts are left out: the root element or the page sets one.
func properties(element, css string, s sheet) string {
	var b strings.Builder
	for _, p := range strings.Split(css, ";") {
		name, value, ok := strings.Cut(p, ":")
		if !ok || (strings.HasPrefix(name, "font-") && name != "font-size") {
			continue
		}
		switch {
		case (name == "fill" || name == "stroke") && strings.HasPrefix(value, "#"):
			b.WriteString(s.paint(name, strings.ToLower(value)))
		case name == "fill" && value == "none":
			b.WriteString(` fill="none"`)
		case !s.inherits(element, name, value):
			fmt.Fprintf(&b, ` %s="%s"`, name, escape(value))
		}
	}
	return b.String()
}

var decimals = regexp.MustCompile(`\d+\.\d+`)

// tenths rounds coordinates to a tenth of a point: finer than a screen shows.
func tenths(s string) string {
	return decimals.ReplaceAllStringFunc(s, func(n string) string {
		v, err := strconv.ParseFloat(n, 64)
		if err != nil {
			return n
		}
		return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
	})
}

func attribute(t xml.StartElement, name string) string {
	for _, a := range t.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func escape(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(clean(s))) // a bytes.Buffer does not fail
	return b.String()
}
