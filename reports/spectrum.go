package reports

import (
	"fmt"
	"math"

	"crossroads/reports/figure"
	"crossroads/reports/quantity"
	"crossroads/results"
)

// spectrumSection is every quantile at the reference rate.
func (b *book) spectrumSection() Section {
	l := &figure.Lines{
		X: figure.Axis{Title: "percentile (axis of nines)", Scale: figure.Nines},
		Y: figure.Axis{Title: "response time solid, service time dashed, ms (logarithmic)", Scale: figure.Log},
	}
	for arm := range b.Plan.Arms {
		c := b.ref(arm)
		if len(c.with(results.Valid)) == 0 {
			continue
		}
		l.Series = append(l.Series,
			figure.Series{Name: b.name(arm), Ink: b.ink(arm), Label: true, Line: true, Points: c.spectrum(results.Response)},
			figure.Series{Name: b.name(arm) + ", service time", Ink: b.ink(arm), Dash: figure.Service, Line: true, Points: c.spectrum(results.Service)})
	}
	if len(l.Series) == 0 {
		return Section{}
	}
	f := &figure.Figure{ID: "spectrum", Title: "Percentile spectrum at " + quantity.Rate(b.refRate), Lines: l, Caption: b.spectrumCaption(),
		About: "Every quantile of the merged histograms of the valid trials, as far as their samples carry it. Where the solid line leaves the dashed one, requests waited before they were sent."}
	return Section{ID: "spectrum", Title: "Percentile spectrum", Parts: []Part{{Figure: f, Table: b.spectrumTable()}}}
}

// spectrum steps evenly over the axis of nines, up to the last quantile that the samples carry.
func (c *cell) spectrum(times string) []figure.Point {
	h := c.merged[times]
	if h == nil {
		return nil
	}
	var points []figure.Point
	const step = 0.05
	for x := step; ; x += step {
		q := 1 - math.Pow(10, -x)
		if q > 0.5 && !results.Printable(q, h.TotalCount()) || x > 6 {
			return points
		}
		if !results.Printable(q, h.TotalCount()) {
			continue
		}
		points = append(points, figure.Point{X: math.Round(x*100) / 100, Y: milliseconds(results.Quantile(h, q))})
	}
}

// spectrumCaption says where the tail is longest, as the ratio of p99 to p50.
func (b *book) spectrumCaption() string {
	worst, ratio := -1, 0.0
	for arm := range b.Plan.Arms {
		p50, p99 := b.ref(arm).quantile(results.Response, 0.50), b.ref(arm).quantile(results.Response, 0.99)
		if p50.Known() && p99.Known() && p50.Value > 0 && p99.Value/p50.Value > ratio {
			worst, ratio = arm, p99.Value/p50.Value
		}
	}
	if worst < 0 {
		return "No topology has enough samples for a p99 at " + quantity.Rate(b.refRate) + "."
	}
	p50, p99 := b.ref(worst).quantile(results.Response, 0.50), b.ref(worst).quantile(results.Response, 0.99)
	return fmt.Sprintf("The longest tail is that of %s: its p99 of %s is %s times its p50 of %s.", b.name(worst), p99.WithUnit(),
		quantity.Of(ratio, quantity.None).Number(), p50.WithUnit())
}

func (b *book) spectrumTable() *Table {
	t := &Table{
		ID: "spectrum-table", Caption: "Quantiles at " + quantity.Rate(b.refRate) + ", of merged histograms",
		Columns: []Column{{Key: "topology", Title: "Topology"}, {Key: "time", Title: "Time"}},
	}
	quantiles := []struct {
		q    float64
		name string
	}{{0.5, "p50"}, {0.9, "p90"}, {0.95, "p95"}, {0.99, "p99"}, {0.999, "p99.9"}}
	for _, q := range quantiles {
		t.Columns = append(t.Columns, Column{Key: q.name, Title: q.name, Unit: quantity.Milliseconds, Numeric: true})
	}
	for arm := range b.Plan.Arms {
		for _, times := range []string{results.Response, results.Service, results.Slip} {
			row := Row{Ink: 1 + b.ink(arm), Cells: []Cell{text(b.name(arm)), text(times)}}
			for _, q := range quantiles {
				v := b.ref(arm).quantile(times, q.q)
				row.Cells = append(row.Cells, number(v))
			}
			t.Rows = append(t.Rows, row)
		}
	}
	return t
}
