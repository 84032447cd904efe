package figure

import (
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Text sizes in points; a point is a CSS pixel in the page.
const (
	small  = 11
	normal = 12
)

// style of text. Liberation Sans has the metrics of Arial and Helvetica, so what is measured here fits in every browser.
func style(c color.Color, size vg.Length, x text.XAlignment) draw.TextStyle {
	return draw.TextStyle{
		Color:   c,
		Font:    font.Font{Typeface: "Liberation", Variant: "Sans", Size: size},
		XAlign:  x,
		YAlign:  draw.YCenter,
		Handler: plot.DefaultTextHandler,
	}
}

func width(s string, size vg.Length) vg.Length {
	return style(Ink.Light, size, draw.XLeft).Width(s)
}

func stroke(c color.Color, w vg.Length, dashes []vg.Length) draw.LineStyle {
	return draw.LineStyle{Color: c, Width: w, Dashes: dashes}
}

// write sets text so that the middle of its lower-case letters stands at the point; gonum centres the whole box, descent and all.
func write(c draw.Canvas, sty draw.TextStyle, at vg.Point, s string) {
	at.Y += sty.Font.Size * 0.12
	c.FillText(sty, at, clean(s))
}

// mark draws one point's mark; shape tells series apart for who does not see colours.
func mark(c draw.Canvas, at vg.Point, m Mark, shape int, r vg.Length, col color.NRGBA) {
	if m == NoMark {
		return
	}
	if m == Small {
		r *= 0.6
	}
	outline := shapes[shape%len(shapes)](at, r)
	line := stroke(col, 1.3, nil)
	switch m {
	case Cross:
		across(c, at, r*1.2, line)
		return
	case Hollow, Struck:
		c.SetColor(Paper.Light)
		c.Fill(outline)
		c.SetLineStyle(line)
		c.Stroke(outline)
	default:
		c.SetColor(col)
		c.Fill(outline)
	}
	if m == Struck {
		c.StrokeLine2(line, at.X-r*2, at.Y, at.X+r*2, at.Y)
	}
}

func across(c draw.Canvas, at vg.Point, r vg.Length, line draw.LineStyle) {
	c.StrokeLine2(line, at.X-r, at.Y-r, at.X+r, at.Y+r)
	c.StrokeLine2(line, at.X-r, at.Y+r, at.X+r, at.Y-r)
}

// shapes of marks, by ink.
var shapes = []func(vg.Point, vg.Length) vg.Path{
	circle,
	func(p vg.Point, r vg.Length) vg.Path { return polygon(p, r*1.2, 4, math.Pi/4) },
	func(p vg.Point, r vg.Length) vg.Path { return polygon(p, r*1.3, 3, math.Pi/2) },
	func(p vg.Point, r vg.Length) vg.Path { return polygon(p, r*1.25, 4, 0) },
	func(p vg.Point, r vg.Length) vg.Path { return polygon(p, r*1.3, 3, -math.Pi/2) },
	func(p vg.Point, r vg.Length) vg.Path { return polygon(p, r*1.15, 6, 0) },
}

func circle(p vg.Point, r vg.Length) vg.Path {
	var path vg.Path
	path.Move(vg.Point{X: p.X + r, Y: p.Y})
	path.Arc(p, r, 0, 2*math.Pi)
	path.Close()
	return path
}

func polygon(p vg.Point, r vg.Length, corners int, turn float64) vg.Path {
	var path vg.Path
	for i := range corners {
		sin, cos := math.Sincos(turn + 2*math.Pi*float64(i)/float64(corners))
		at := vg.Point{X: p.X + r*vg.Length(cos), Y: p.Y + r*vg.Length(sin)}
		if i == 0 {
			path.Move(at)
		} else {
			path.Line(at)
		}
	}
	path.Close()
	return path
}

func box(x0, y0, x1, y1 vg.Length) vg.Path {
	return vg.Rectangle{Min: vg.Point{X: min(x0, x1), Y: min(y0, y1)}, Max: vg.Point{X: max(x0, x1), Y: max(y0, y1)}}.Path()
}
