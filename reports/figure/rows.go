package figure

import (
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// rowHeight is the room of one row of a chart of rows.
const rowHeight vg.Length = 27

func (r *Rows) chart() *chart {
	p := frame()
	x := empty()
	for _, b := range r.Bars {
		x.take(r.X, b.From, b.To)
		takeInterval(r.X, &x, b.Low, b.High)
	}
	for _, d := range r.Dots {
		x.take(r.X, d.X)
		takeInterval(r.X, &x, d.Low, d.High)
	}
	r.X.apply(&p.X, x)
	p.X.Label.Text = r.X.Title
	p.Y.Min, p.Y.Max = -0.5, float64(len(r.Names))-0.5
	p.Y.Tick.Label.Color = Ink.Light
	p.Y.Tick.Label.Font.Size = normal
	ch := &chart{plot: p, height: rowHeight*vg.Length(len(r.Names)) + 44}
	if len(r.Keys) > 0 {
		ch.top, ch.height = 20, ch.height+20
	}
	p.Y.Tick.Marker = plot.TickerFunc(func(_, _ float64) []plot.Tick { return r.ticks(ch.names) })
	p.Add(r)
	ch.beside = func(names int) vg.Length {
		var widest vg.Length
		for _, n := range r.Notes {
			widest = max(widest, width(note(n, names), small))
		}
		return widest + 14
	}
	ch.write = r.write
	return ch
}

// note is what stands beside a row; on narrow paper the value alone, since the interval is drawn.
func note(s string, names int) string {
	if names >= wideNames {
		return s
	}
	s, _, _ = strings.Cut(s, " [")
	s, _, _ = strings.Cut(s, ", no ")
	return s
}

func takeInterval(a Axis, s *span, low, high *float64) {
	if low != nil && high != nil {
		s.take(a, *low, *high)
	}
}

// at is the height of a row; the first stands at the top.
func (r *Rows) at(row int) float64 { return float64(len(r.Names) - 1 - row) }

func (r *Rows) ticks(names int) []plot.Tick {
	ticks := make([]plot.Tick, len(r.Names))
	for i, n := range r.Names {
		ticks[i] = plot.Tick{Value: r.at(i), Label: shorten(n, names)}
	}
	return ticks
}

// Plot implements plot.Plotter.
func (r *Rows) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for _, t := range p.X.Tick.Marker.Ticks(p.X.Min, p.X.Max) {
		c.StrokeLine2(stroke(Grid.Light, 0.8, nil), x(t.Value), c.Min.Y, x(t.Value), c.Max.Y)
	}
	if p.X.Min < 0 && p.X.Max > 0 {
		c.StrokeLine2(stroke(Muted.Light, 1, nil), x(0), c.Min.Y, x(0), c.Max.Y)
	}
	const half = 8
	for i, b := range r.Bars {
		at := y(r.at(b.Row))
		c.SetColor(ink(b.Ink))
		c.Fill(box(x(b.From), at-half, x(b.To), at+half))
		c.SetLineStyle(stroke(Paper.Light, 1, nil))
		c.Stroke(box(x(b.From), at-half, x(b.To), at+half))
		if b.Text != "" && width(b.Text, small)+8 <= x(b.To)-x(b.From) {
			write(c, style(Paper.Light, small, draw.XCenter), vg.Point{X: (x(b.From) + x(b.To)) / 2, Y: at}, b.Text)
		}
		if b.Low != nil && b.High != nil {
			r.interval(c, x(*b.Low), x(*b.High), at)
		}
		if r.Steps && i+1 < len(r.Bars) {
			c.StrokeLine2(stroke(Muted.Light, 0.8, []vg.Length{2, 2}), x(b.To), at, x(b.To), y(r.at(r.Bars[i+1].Row)))
		}
	}
	for _, d := range r.Dots {
		at := vg.Point{X: x(d.X), Y: y(r.at(d.Row))}
		if d.Low != nil && d.High != nil {
			c.StrokeLine2(stroke(ink(d.Ink), 2, nil), x(*d.Low), at.Y, x(*d.High), at.Y)
			for _, e := range []float64{*d.Low, *d.High} {
				c.StrokeLine2(stroke(ink(d.Ink), 1.4, nil), x(e), at.Y-4, x(e), at.Y+4)
			}
		}
		mark(c, at, d.Mark, d.Ink, 4, ink(d.Ink))
	}
}

func (r *Rows) interval(c draw.Canvas, low, high, at vg.Length) {
	// First a halo of paper: the bar beneath may be as light or as dark as the line.
	for _, line := range []draw.LineStyle{stroke(Paper.Light, 3.2, nil), stroke(Ink.Light, 1.1, nil)} {
		c.StrokeLine2(line, low, at, high, at)
		c.StrokeLine2(line, low, at-4, low, at+4)
		c.StrokeLine2(line, high, at-4, high, at+4)
	}
}

func (r *Rows) write(whole, data draw.Canvas, p *plot.Plot, names int) {
	_, y := p.Transforms(&data)
	left := data.Min.X
	if names < wideNames {
		left = whole.Min.X + 2
	}
	for _, k := range r.Keys {
		at := vg.Point{X: left, Y: whole.Max.Y - 9}
		whole.SetColor(ink(k.Ink))
		whole.Fill(box(at.X, at.Y-5, at.X+10, at.Y+5))
		write(whole, style(Muted.Light, small, draw.XLeft), vg.Point{X: at.X + 14, Y: at.Y}, k.Text)
		left += 26 + width(k.Text, small)
	}
	for i, n := range r.Notes {
		write(whole, style(Ink.Light, small, draw.XLeft), vg.Point{X: data.Max.X + 8, Y: y(r.at(i))}, note(n, names))
	}
}
