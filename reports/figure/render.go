package figure

import (
	"bytes"
	"fmt"
	"io"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Widths of a figure in points: beside it a page of a desktop, and a telephone held upright.
const (
	wide   vg.Length = 720
	narrow vg.Length = 360
)

// Drawing is a figure with its plot object.
type Drawing struct {
	figure *Figure
	chart  *chart
}

// New builds the plot object of a figure.
func New(f *Figure) *Drawing { return &Drawing{f, build(f)} }

// Inline is the figure for a page: two SVG elements, for wide and for narrow screens, whose colours are classes that the page's
// style sheet fills in for light and dark. The style sheet shows one of .wide and .narrow, and turns text, which stands in a
// mirrored system of coordinates: .chart{font-size:11px} .chart text{transform:scale(1,-1)}. A lean figure has one size, .only.
func (d *Drawing) Inline(lean bool) (string, error) {
	var b bytes.Buffer
	type size struct {
		class string
		w     vg.Length
	}
	sizes := []size{{"wide", wide}, {"narrow", narrow}}
	if lean {
		sizes = []size{{"only", wide}}
	}
	for _, s := range sizes {
		raw, err := d.svg(s.w, false)
		if err != nil {
			return "", err
		}
		id := d.figure.ID + "-" + s.class
		if err := rewrite(&b, raw, page{id: id, class: "chart " + s.class, title: d.figure.Title, about: d.figure.About}); err != nil {
			return "", fmt.Errorf("rewriting the SVG of figure %s: %w", d.figure.ID, err)
		}
	}
	return b.String(), nil
}

// SVG writes the figure as a file of its own, on white paper.
func (d *Drawing) SVG(w io.Writer) error {
	raw, err := d.svg(wide, true)
	if err != nil {
		return err
	}
	if err := rewrite(w, raw, alone{title: d.figure.Title, about: d.figure.About}); err != nil {
		return fmt.Errorf("rewriting the SVG of figure %s: %w", d.figure.ID, err)
	}
	return nil
}

// PNG writes the figure as pixels, on white paper, two to a point.
func (d *Drawing) PNG(w io.Writer) error {
	c := vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(wide, d.chart.height), vgimg.UseDPI(144))}
	d.on(draw.New(c), true)
	if _, err := c.WriteTo(w); err != nil {
		return fmt.Errorf("writing the PNG of figure %s: %w", d.figure.ID, err)
	}
	return nil
}

func (d *Drawing) svg(w vg.Length, paper bool) ([]byte, error) {
	c := vgsvg.NewWith(vgsvg.UseWH(w, d.chart.height))
	d.on(draw.New(c), paper)
	var raw bytes.Buffer
	if _, err := c.WriteTo(&raw); err != nil {
		return nil, fmt.Errorf("drawing figure %s: %w", d.figure.ID, err)
	}
	return raw.Bytes(), nil
}

func (d *Drawing) on(c draw.Canvas, paper bool) {
	if paper {
		c.SetColor(Paper.Light)
		c.Fill(c.Rectangle.Path())
	}
	d.chart.draw(c)
}
