package figure

import (
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// chart is a plot object and what is written beside it. It is built once and drawn at several sizes.
type chart struct {
	plot   *plot.Plot
	title  string // of the Y axis, written over the chart and not up its side
	height vg.Length
	top    vg.Length                                          // room kept free over the chart
	names  int                                                // the most runes of a name
	beside func(names int) vg.Length                          // how much room it wants at the right
	write  func(whole, data draw.Canvas, p *plot.Plot, n int) // and what it writes there
}

// The most runes of a name on wide and on narrow paper.
const (
	wideNames   = 26
	narrowNames = 16
)

// frame is a plot object in the house style, without data.
func frame() *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.LineStyle = stroke(Muted.Light, 0.8, nil)
		axis.Tick.LineStyle = stroke(Muted.Light, 0.8, nil)
		axis.Tick.Length = 4
		axis.Padding = 0
	}
	p.Y.LineStyle.Width, p.Y.Tick.LineStyle.Width, p.Y.Tick.Length = 0, 0, 2
	p.X.Tick.Label = style(Muted.Light, small, draw.XCenter)
	p.X.Tick.Label.YAlign = draw.YTop
	p.Y.Tick.Label = style(Muted.Light, small, draw.XRight)
	p.X.Label.TextStyle = style(Muted.Light, small, draw.XCenter)
	p.X.Label.TextStyle.YAlign = draw.YBottom
	p.X.Label.Padding = 3
	return p
}

// build makes the plot object of a figure.
func build(f *Figure) *chart {
	if f.Rows != nil {
		return f.Rows.chart()
	}
	return f.Lines.chart()
}

// draw draws the chart. On narrow paper names are cut shorter.
func (ch *chart) draw(c draw.Canvas) {
	names := wideNames
	if c.Size().X < 500 {
		names = narrowNames
	}
	ch.names = names
	inner := draw.Crop(c, 2, -ch.beside(names)-2, 2, -4-ch.top)
	if ch.title != "" {
		sty := style(Muted.Light, small, draw.XLeft)
		write(c, sty, vg.Point{X: c.Min.X + 2, Y: c.Max.Y - 8}, ch.title)
		inner.Max.Y -= 18
	}
	ch.plot.Draw(inner)
	ch.write(c, ch.plot.DataCanvas(inner), ch.plot, names)
}
