package reports

import (
	"fmt"
	"slices"

	"crossroads/reports/quantity"
	"crossroads/results"
	"crossroads/results/stats"
)

// growthTable is how the CPU of each kind of process grows: idle + a * rate + b * connections, by least squares over the valid trials. It
// needs several rates and several numbers of connections.
func (b *book) growthTable() *Table {
	t := &Table{ID: "growth-table", Caption: "How CPU grows: idle + a · rate + b · connections, fitted over valid trials",
		Columns: []Column{{Key: "topology", Title: "Topology"}, {Key: "kind", Title: "Kind"},
			{Key: "idle", Title: "Idle, CPU per second", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "rate", Title: "a: per 1,000 requests", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "connections", Title: "b: per second and 100 connections", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "trials", Title: "Trials", Numeric: true}}}
	for arm := range b.Plan.Arms {
		for _, kind := range kinds {
			x, y := b.growth(arm, kind)
			c, within, ok := stats.Plane(x, y, results.Confidence)
			if !ok {
				continue
			}
			cells := []Cell{text(b.name(arm)), text(kindNames[kind])}
			for i, scale := range []float64{1, 1000, 100} {
				q := quantity.Of(c[i]*scale, quantity.Milliseconds)
				q.Interval = &quantity.Interval{Low: within[i].Low * scale, High: within[i].High * scale}
				cells = append(cells, number(q))
			}
			t.Rows = append(t.Rows, Row{Ink: 1 + b.ink(arm), Cells: append(cells, number(quantity.Of(float64(len(y)), quantity.None)))})
		}
	}
	t.Notes = []string{fmt.Sprintf("Intervals are of %s, by Student's t, and suppose that CPU grows in a straight line: it does not near saturation.",
		quantity.Of(100*results.Confidence, quantity.Percent).WithUnit())}
	return t
}

// growth collects the points of the fit: offered rate and connections, and CPU in milliseconds per second.
func (b *book) growth(arm int, kind string) (x [][]float64, y []float64) {
	b.each(func(a int, c *cell) {
		if a != arm {
			return
		}
		for _, t := range c.with(results.Valid) {
			used := slices.DeleteFunc(slices.Clone(t.Usage), func(u results.Usage) bool { return u.Kind != kind })
			if len(used) == 0 || t.Elapsed <= 0 {
				continue
			}
			sum := int64(0)
			for _, u := range used {
				sum += u.CPU
			}
			x = append(x, []float64{c.rate, float64(c.conns)})
			y = append(y, milliseconds(sum)/(float64(t.Elapsed)/1e9))
		}
	})
	return x, y
}
