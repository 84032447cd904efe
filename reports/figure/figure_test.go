package figure_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/reports/figure"
)

func at(v float64) *float64 { return &v }

func lines(names ...string) *figure.Figure {
	l := &figure.Lines{
		X: figure.Axis{Title: "offered, per second", Ticks: []float64{500, 1000, 1500}},
		Y: figure.Axis{Title: "p99, ms", Scale: figure.Log},
	}
	for i, n := range names {
		s := figure.Series{Name: n, Ink: i, Dash: i, Label: true, Line: true}
		for j, x := range l.X.Ticks {
			y := 2 + float64(j) + float64(i)/4
			s.Points = append(s.Points, figure.Point{X: x, Y: y, Low: at(y * 0.9), High: at(y * 1.2), Mark: figure.Solid})
		}
		l.Series = append(l.Series, s)
	}
	return &figure.Figure{ID: "load", Title: "Load", About: "p99 by rate", Lines: l}
}

func inline(t *testing.T, f *figure.Figure) string {
	t.Helper()
	s, err := figure.New(f).Inline(false)
	require.NoError(t, err)
	dec := xml.NewDecoder(strings.NewReader("<div>" + s + "</div>"))
	for {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			return s
		} else {
			require.NoError(t, err)
		}
	}
}

func TestInlineHasNoStyleAttributeAndNoColourOfItsOwn(t *testing.T) {
	s := inline(t, lines("direct", "gateway", "mesh", "gateway+mesh"))
	require.NotContains(t, s, "style=")
	require.NotRegexp(t, `(fill|stroke)="#`, s)
	require.Contains(t, s, `<title id="load-wide-t">Load</title>`)
	require.Contains(t, s, `class="f-c1"`)
}

func TestNamesAreEscaped(t *testing.T) {
	s := inline(t, lines(`<script>`, "a&b", "ヴェール"))
	require.NotContains(t, s, "<script>")
	require.Contains(t, s, "&lt;script&gt;")
	require.Contains(t, s, "ヴェール")
}

func TestOnePlotObjectGivesEveryForm(t *testing.T) {
	d := figure.New(lines("direct", "gateway"))
	var svg, pix bytes.Buffer
	require.NoError(t, d.SVG(&svg))
	require.Contains(t, svg.String(), `fill="#ffffff"`)
	require.NotContains(t, svg.String(), "class=")
	require.NoError(t, d.PNG(&pix))
	img, err := png.Decode(&pix)
	require.NoError(t, err)
	require.Equal(t, 1440, img.Bounds().Dx())
}

// What cannot be shown on an axis is left out, and nothing panics: zero on a logarithmic axis, no number, no points at all.
func TestTraps(t *testing.T) {
	zero := lines("direct")
	for i := range zero.Lines.Series[0].Points {
		zero.Lines.Series[0].Points[i] = figure.Point{X: 1, Y: 0, Low: at(0), High: at(0), Mark: figure.Solid}
	}
	nan := lines("direct")
	nan.Lines.Series[0].Points = []figure.Point{{X: 1, Y: math.NaN()}, {X: math.Inf(1), Y: 2}}
	none := lines()
	one := lines("direct")
	one.Lines.Series[0].Points = one.Lines.Series[0].Points[:1]
	rows := &figure.Figure{ID: "rows", Rows: &figure.Rows{Names: []string{"a"}, Bars: []figure.Bar{{From: 0, To: 0, Low: at(-1), High: at(1)}}}}
	empty := &figure.Figure{ID: "rows", Rows: &figure.Rows{}}
	for _, f := range []*figure.Figure{zero, nan, none, one, rows, empty} {
		require.Equal(t, inline(t, f), inline(t, f), "the same figure gives the same bytes")
	}
	require.NoError(t, figure.New(zero).PNG(io.Discard))
}

func TestTwelveLabelsKeepTheirDistance(t *testing.T) {
	names := strings.Split("a b c d e f g h i j k l", " ")
	f := lines(names...)
	for i := range f.Lines.Series {
		for j := range f.Lines.Series[i].Points {
			f.Lines.Series[i].Points[j].Y = 2 // all at one place
		}
	}
	s := inline(t, f)
	for _, n := range names {
		require.Contains(t, s, ">"+n+"</text>")
	}
}
