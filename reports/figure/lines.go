package figure

import (
	"fmt"
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// mostBands is how many lines may have bands; of more, the whiskers alone are drawn.
const mostBands = 6

// labelGap is the least distance between two labels at the ends of lines.
const labelGap vg.Length = 14

func (l *Lines) chart() *chart {
	p := frame()
	x, y := empty(), empty()
	for _, s := range l.Series {
		for _, pt := range s.Points {
			if !l.visible(pt) {
				continue
			}
			x.take(l.X, pt.X)
			y.take(l.Y, pt.Y)
			if pt.Low != nil && pt.High != nil {
				y.take(l.Y, *pt.Low, *pt.High)
			}
		}
	}
	l.limits(&y)
	l.X.apply(&p.X, x)
	l.Y.apply(&p.Y, y)
	p.X.Label.Text = l.X.Title
	p.Add(l)
	height := vg.Length(310)
	if l.Flat {
		height = 150
	}
	height = max(height, vg.Length(len(l.labels()))*labelGap+70)
	return &chart{plot: p, title: l.Y.Title, height: height, beside: l.beside, write: l.write}
}

// limits makes room for a declared limit only where it is near the data: one far away would press the data flat.
func (l *Lines) limits(y *span) {
	for _, limit := range l.Limits {
		if y.low > y.high || limit.Y < y.high*3 && limit.Y > y.low/3 {
			y.take(l.Y, limit.Y)
		}
	}
}

func (l *Lines) limit(c draw.Canvas, p *plot.Plot, limit Limit, y func(float64) vg.Length) {
	sty := style(Ink.Light, small, draw.XLeft)
	switch {
	case !l.Y.shows(limit.Y) || limit.Y < p.Y.Min:
		write(c, sty, vg.Point{X: c.Min.X + 4, Y: c.Min.Y + 9}, limit.Text+": below this chart")
	case limit.Y > p.Y.Max:
		write(c, sty, vg.Point{X: c.Min.X + 4, Y: c.Max.Y - 5}, limit.Text+": above this chart")
	default:
		at := y(limit.Y)
		c.StrokeLine2(stroke(Ink.Light, 0.9, []vg.Length{1, 2}), c.Min.X, at, c.Max.X, at)
		text := vg.Point{X: c.Min.X + 4, Y: at + 9}
		if text.Y+6 > c.Max.Y {
			text.Y = at - 9
		}
		write(c, sty, text, limit.Text)
	}
}

func (l *Lines) visible(p Point) bool { return l.X.shows(p.X) && l.Y.shows(p.Y) }

// Plot implements plot.Plotter: from the back to the front.
func (l *Lines) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for _, s := range l.Shades {
		from, to := max(x(s.From), c.Min.X), min(x(s.To), c.Max.X)
		if from < to {
			c.SetColor(Shady.Light)
			c.Fill(box(from, c.Min.Y, to, c.Max.Y))
			write(c, style(Muted.Light, small, draw.XLeft), vg.Point{X: from + 4, Y: c.Max.Y - 9}, s.Text)
		}
	}
	for _, t := range p.Y.Tick.Marker.Ticks(p.Y.Min, p.Y.Max) {
		if t.Label != "" {
			c.StrokeLine2(stroke(Grid.Light, 0.8, nil), c.Min.X, y(t.Value), c.Max.X, y(t.Value))
		}
	}
	for _, s := range l.Series {
		l.band(c, s, x, y)
	}
	for _, limit := range l.Limits {
		l.limit(c, p, limit, y)
	}
	for _, s := range l.Series {
		l.series(c, s, x, y)
	}
}

// band fills between the lower and upper ends of the intervals, run by run of points that have them.
func (l *Lines) band(c draw.Canvas, s Series, x, y func(float64) vg.Length) {
	if !s.Line || len(l.labels()) > mostBands {
		return
	}
	var low, high []vg.Point
	fill := func() {
		if len(low) > 1 {
			for i := len(low) - 1; i >= 0; i-- {
				high = append(high, low[i])
			}
			c.FillPolygon(faint(ink(s.Ink), 34), high)
		}
		low, high = nil, nil
	}
	for _, pt := range s.Points {
		if !l.visible(pt) || pt.Low == nil || pt.High == nil || !l.Y.shows(*pt.Low) {
			fill()
			continue
		}
		at := x(pt.X) + vg.Length(s.Dodge)
		low = append(low, vg.Point{X: at, Y: y(*pt.Low)})
		high = append(high, vg.Point{X: at, Y: y(*pt.High)})
	}
	fill()
}

func (l *Lines) series(c draw.Canvas, s Series, x, y func(float64) vg.Length) {
	col, w := ink(s.Ink), vg.Length(1.8)
	if s.Faint {
		col, w = faint(col, 70), 0.9
	}
	var line []vg.Point
	for _, pt := range s.Points {
		if l.visible(pt) {
			line = append(line, vg.Point{X: x(pt.X) + vg.Length(s.Dodge), Y: y(pt.Y)})
		}
	}
	if s.Line && len(line) > 1 {
		c.StrokeLines(stroke(col, w, dash(s.Dash)), line)
	}
	drawn := map[string]bool{} // marks at one place are one mark
	for _, pt := range s.Points {
		if !l.visible(pt) {
			continue
		}
		at := vg.Point{X: x(pt.X) + vg.Length(s.Dodge), Y: y(pt.Y)}
		if pt.Low != nil && pt.High != nil && s.Line && l.Y.shows(*pt.Low) {
			whisker(c, at.X, y(*pt.Low), y(*pt.High), col)
		}
		place := fmt.Sprintf("%.1f %.1f %s", at.X, at.Y, pt.Mark)
		if drawn[place] {
			continue
		}
		drawn[place] = true
		size := vg.Length(3.2)
		if !s.Line {
			size = 2.4
		}
		mark(c, at, pt.Mark, s.Ink, size, col)
	}
}

func whisker(c draw.Canvas, x, low, high vg.Length, col color.NRGBA) {
	line := stroke(col, 1, nil)
	c.StrokeLine2(line, x, low, x, high)
	c.StrokeLine2(line, x-3, low, x+3, low)
	c.StrokeLine2(line, x-3, high, x+3, high)
}

// end is a label and the last point of its line.
type end struct {
	series Series
	at     Point
}

func (l *Lines) labels() []end {
	var ends []end
	for _, s := range l.Series {
		for i := len(s.Points) - 1; s.Label && i >= 0; i-- {
			if l.visible(s.Points[i]) {
				ends = append(ends, end{s, s.Points[i]})
				break
			}
		}
	}
	return ends
}

func (l *Lines) beside(names int) vg.Length {
	var widest vg.Length
	for _, e := range l.labels() {
		widest = max(widest, width(shorten(e.series.Name, names), normal))
	}
	if widest == 0 {
		return 8
	}
	return widest + 24
}

// write sets each name beside the end of its line, joined to it by a thin leader.
func (l *Lines) write(whole, data draw.Canvas, p *plot.Plot, names int) {
	x, y := p.Transforms(&data)
	ends := l.labels()
	want := make([]float64, len(ends))
	for i, e := range ends {
		want[i] = float64(y(e.at.Y))
	}
	at := spread(want, float64(labelGap), float64(data.Min.Y+4), float64(data.Max.Y-4))
	for i, e := range ends {
		col, to := ink(e.series.Ink), vg.Point{X: data.Max.X + 18, Y: vg.Length(at[i])}
		from := vg.Point{X: x(e.at.X) + vg.Length(e.series.Dodge) + 5, Y: y(e.at.Y)}
		whole.StrokeLines(stroke(faint(col, 130), 0.7, []vg.Length{1, 1.5}), []vg.Point{from, {X: max(data.Max.X+6, from.X), Y: from.Y}, to})
		write(whole, style(col, normal, draw.XLeft), vg.Point{X: to.X + 3, Y: to.Y}, shorten(e.series.Name, names))
	}
}
