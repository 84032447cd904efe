package figure

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot/vg"
)

// Colour is one role on light and on dark paper. No two roles share a light colour: the page's SVG is told apart by it.
type Colour struct {
	Role  string // the suffix of its CSS classes and variable
	Light color.NRGBA
	Dark  color.NRGBA
}

// The roles that are not series.
var (
	Paper = Colour{"paper", rgb(0xffffff), rgb(0x14171a)}
	Ink   = Colour{"ink", rgb(0x1b1f23), rgb(0xe8eaed)}
	Muted = Colour{"muted", rgb(0x5b636b), rgb(0xa3abb3)}
	Grid  = Colour{"grid", rgb(0xe4e7ea), rgb(0x2c3237)}
	Shady = Colour{"shade", rgb(0xf1f3f5), rgb(0x1f2428)}
)

// Inks are the colours of series. The first is that of direct: neutral, because everything is held against it. The others are
// taken from the set of Okabe and Ito (colours that stay apart for all common kinds of colour blindness), darkened for light and
// lightened for dark paper until words set in them reach a contrast of 4.5:1.
var Inks = []Colour{
	{"c0", rgb(0x4d545b), rgb(0xb9c0c7)},
	{"c1", rgb(0x0067a5), rgb(0x5cb3f0)},
	{"c2", rgb(0xb84300), rgb(0xff9457)},
	{"c3", rgb(0x7a3b8f), rgb(0xd9a0e8)},
	{"c4", rgb(0x00735a), rgb(0x3fcfa6)},
	{"c5", rgb(0x8a6100), rgb(0xe8b83a)},
	{"c6", rgb(0xad2b55), rgb(0xff8fb0)},
	{"c7", rgb(0x3a5a1c), rgb(0xa5cf7a)},
}

// dashes tell series apart without colour. The eighth repeats the first, with another colour.
var dashes = [][]vg.Length{
	nil, {7, 3}, {2, 2.5}, {9, 3, 2, 3}, {4, 2}, {12, 4}, {1, 3},
}

// Service is the dash of service times where dashes tell the two kinds of time and not the arms.
const Service = 4

func ink(i int) color.NRGBA                    { return Inks[i%len(Inks)].Light }
func dash(i int) []vg.Length                   { return dashes[i%len(dashes)] }
func faint(c color.NRGBA, a uint8) color.NRGBA { c.A = a; return c }

// Roles are all colours that can occur in a figure.
func Roles() []Colour { return append([]Colour{Paper, Ink, Muted, Grid, Shady}, Inks...) }

// Hex is the colour as CSS spells it.
func Hex(c color.NRGBA) string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

func rgb(v uint32) color.NRGBA {
	return color.NRGBA{R: uint8(v >> 16), G: uint8(v >> 8), B: uint8(v), A: 255}
}

// Contrast of two colours, 1 to 21 (WCAG 2.2, relative luminance and contrast ratio).
func Contrast(a, b color.NRGBA) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func luminance(c color.NRGBA) float64 {
	channel := func(v uint8) float64 {
		s := float64(v) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*channel(c.R) + 0.7152*channel(c.G) + 0.0722*channel(c.B)
}
