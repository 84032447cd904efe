package reports

import (
	"fmt"
	"slices"
	"strings"

	"crossroads/reports/figure"
	"crossroads/reports/quantity"
)

// kindNames are what a reader calls the kinds of processes; kindInks are their colours in the figure of CPU.
var (
	kindNames = map[string]string{"gateway": "gateway", "sidecar": "sidecars", "control": "control plane", "issuer": "authorization server", "workload": "application"}
	kindInks  = map[string]int{"gateway": 1, "sidecar": 2, "control": 4, "issuer": 5, "workload": 0}
)

// resourcesSection is CPU, memory and sockets of each kind of process at the reference rate.
func (b *book) resourcesSection() Section {
	s := Section{ID: "resources", Title: "Resources"}
	r := &figure.Rows{X: figure.Axis{Title: "CPU per 1,000 requests, ms", Zero: true}}
	least, most := -1, -1
	totals := map[int]quantity.Quantity{}
	for arm := range b.Plan.Arms {
		c := b.ref(arm)
		r.Names = append(r.Names, b.name(arm))
		total := c.level(cpu(), quantity.Milliseconds)
		r.Notes = append(r.Notes, total.Text())
		if !total.Known() {
			continue
		}
		totals[arm] = total
		if least < 0 || total.Value < totals[least].Value {
			least = arm
		}
		if most < 0 || total.Value > totals[most].Value {
			most = arm
		}
		r.Bars = append(r.Bars, b.cpuBars(c, arm)...)
	}
	if least < 0 {
		return Section{}
	}
	for _, k := range slices.Backward(kinds) {
		if slices.ContainsFunc(r.Bars, func(x figure.Bar) bool { return x.Ink == kindInks[k] }) {
			r.Keys = append(r.Keys, figure.Key{Ink: kindInks[k], Text: kindNames[k]})
		}
	}
	f := &figure.Figure{ID: "cpu", Title: "CPU per 1,000 requests at " + quantity.Rate(b.refRate), Rows: r,
		Caption: fmt.Sprintf("At %s, 1,000 requests take %s of CPU in %s and %s in %s.", quantity.Rate(b.refRate),
			totals[least].WithUnit(), b.name(least), totals[most].WithUnit(), b.name(most)),
		About: "CPU time of all processes but the driver for 1,000 answered requests, split by kind of process."}
	if least == most {
		f.Caption = fmt.Sprintf("At %s, 1,000 requests take %s of CPU in %s.", quantity.Rate(b.refRate), totals[least].WithUnit(), b.name(least))
	}
	s.Parts = []Part{{Figure: f, Table: b.resourcesTable()}}
	if len(b.conns) < 2 || len(b.rates) < 2 {
		s.Notes = []string{"How CPU grows with rate and connections (idle + a·rate + b·connections) is not fitted: that needs several rates and several numbers of connections."}
	} else if t := b.growthTable(); len(t.Rows) > 0 {
		s.Parts = append(s.Parts, Part{Table: t})
	}
	return s
}

// cpuBars stack the kinds. The parts are shares of the total, so that the stack is as long as the total that the row shows:
// estimates of parts need not add up to the estimate of the whole.
func (b *book) cpuBars(c *cell, arm int) []figure.Bar {
	total := c.level(cpu(), quantity.Milliseconds).Value
	sum := 0.0
	parts := map[string]float64{}
	for _, k := range kinds {
		if p := c.level(cpu(k), quantity.Milliseconds); p.Known() {
			parts[k] = p.Value
			sum += p.Value
		}
	}
	var bars []figure.Bar
	at := 0.0
	for _, k := range slices.Backward(kinds) {
		if v, ok := parts[k]; ok && sum > 0 {
			to := at + total*v/sum
			bars = append(bars, figure.Bar{Row: arm, From: at, To: to, Ink: kindInks[k], Text: kindNames[k]})
			at = to
		}
	}
	return bars
}

func (b *book) resourcesTable() *Table {
	t := &Table{
		ID: "resources-table", Caption: "Processes by kind, at " + quantity.Rate(b.refRate),
		Columns: []Column{
			{Key: "topology", Title: "Topology"}, {Key: "kind", Title: "Kind"},
			{Key: "processes", Title: "Processes", Numeric: true},
			{Key: "cpu", Title: "CPU per 1,000 requests", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "memory", Title: "Memory, sum of peaks", Unit: quantity.MiB, Numeric: true},
			{Key: "sockets", Title: "Sockets", Numeric: true},
		},
	}
	for arm := range b.Plan.Arms {
		c := b.ref(arm)
		for _, k := range kinds {
			n := c.level(processes(k), quantity.None)
			if !n.Known() {
				continue
			}
			n.Interval, n.Note = nil, ""
			open := c.level(sockets(k), quantity.None)
			if open.Interval != nil && open.Interval.Low == open.Interval.High {
				open.Interval = nil
			}
			t.Rows = append(t.Rows, Row{Ink: 1 + b.ink(arm), Cells: []Cell{text(b.name(arm)), text(kindNames[k]), number(n),
				number(c.level(cpu(k), quantity.Milliseconds)), number(c.level(memory(k), quantity.MiB)), number(open)}})
		}
	}
	t.Notes = []string{"One millisecond per 1,000 requests is one microsecond per request."}
	return t
}

// errorsSection lists errors by class.
func (b *book) errorsSection() Section {
	s := Section{ID: "errors", Title: "Errors"}
	t := &Table{
		ID: "errors-table", Caption: "Errors by topology, rate and class",
		Columns: []Column{
			{Key: "topology", Title: "Topology"}, {Key: "rate", Title: "Offered", Unit: quantity.PerSecond, Numeric: true},
			{Key: "connections", Title: "Connections", Numeric: true}, {Key: "class", Title: "Class"},
			{Key: "count", Title: "Errors", Numeric: true}, {Key: "share", Title: "Of requests", Unit: quantity.Percent, Numeric: true},
		},
	}
	var planned, declared int64
	b.each(func(arm int, c *cell) {
		classes := map[string]int64{}
		var due int64
		for _, tr := range c.trials {
			due, declared = due+tr.Counts.Planned, declared+tr.Counts.Declared
			for class, n := range tr.Errors {
				classes[class] += n
			}
		}
		planned += due
		for _, class := range sortedKeys(classes) {
			share := quantity.Absent("–")
			if due > 0 {
				share = quantity.Of(100*float64(classes[class])/float64(due), quantity.Percent)
			}
			t.Rows = append(t.Rows, Row{Ink: 1 + b.ink(arm), Cells: []Cell{text(b.name(arm)), number(quantity.Of(c.rate, quantity.PerSecond)),
				number(quantity.Of(float64(c.conns), quantity.None)), text(class),
				number(quantity.Of(float64(classes[class]), quantity.None)), number(share)}})
		}
	})
	if len(t.Rows) == 0 {
		s.Text = []string{fmt.Sprintf("No error in %s requests, all trials counted, the excluded ones too.", quantity.Count(planned))}
		return s
	}
	s.Text = []string{"All trials are counted here, the excluded ones too."}
	if declared > 0 {
		s.Text = append(s.Text, fmt.Sprintf("Declared errors among them, which the application was told to make: %s.", quantity.Count(declared)))
	}
	s.Parts = []Part{{Table: t}}
	return s
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, strings.Compare)
	return keys
}
