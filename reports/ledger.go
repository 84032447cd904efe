package reports

import (
	"fmt"
	"slices"
	"strings"

	"crossroads/reports/quantity"
	"crossroads/results"
)

// relayed says that floor relays stand in an arm's proxies' places, all of them.
func relayed(a results.ArmInfo) bool {
	return (a.Gateway != "" || a.Mesh != "") && (a.Gateway == "" || a.Gateway == floorRelay) && (a.Mesh == "" || a.MeshUse == floorRelay)
}

const floorRelay = "relay"

// floorOf is the arm of floor relays with as many proxies in the same places; -1 for none. busyFloorOf is that of relays which spend time
// for nothing on every request.
func (b *book) floorOf(arm int) int     { return b.relaysFor(arm, false) }
func (b *book) busyFloorOf(arm int) int { return b.relaysFor(arm, true) }

func (b *book) relaysFor(arm int, busy bool) int {
	a := b.Plan.Arms[arm]
	return slices.IndexFunc(b.Plan.Arms, func(f results.ArmInfo) bool {
		return relayed(f) && f.Busy > 0 == busy && f.EntryHops == a.EntryHops && f.EdgeHops == a.EdgeHops && f.Edges == a.Edges
	})
}

// floorSection holds every proxy against floor relays in the same places.
func (b *book) floorSection() Section {
	s := Section{ID: "floor", Title: "Above the floor relay"}
	if !slices.ContainsFunc(b.Plan.Arms, relayed) {
		return Section{}
	}
	s.Text = []string{"A floor relay does the input and output of a proxy and nothing else: what it costs is the kernel's price of standing in the way."}
	s.Parts = []Part{{Table: b.floorTable()}}
	if t := b.remainderTable(); len(t.Rows) > 0 {
		s.Text = append(s.Text, b.remainderVerdicts()...)
		s.Parts = append(s.Parts, Part{Table: t}, Part{Table: b.toldTable()})
	}
	return s
}

// floorTable is the CPU of proxies per request as a multiple of the relays', and the memory of one proxy.
func (b *book) floorTable() *Table {
	t := &Table{ID: "floor-table", Caption: "CPU of the proxies beside floor relays in the same places, at " + quantity.Rate(b.refRate),
		Columns: []Column{{Key: "topology", Title: "Topology"},
			{Key: "cpu", Title: "CPU of proxies per 1,000 requests", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "ratio", Title: "Times the relays'", Numeric: true},
			{Key: "above_cpu", Title: "CPU above the relays'", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "above_p50", Title: "p50 above the relays'", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "above_p99", Title: "p99 above the relays'", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "memory", Title: "Memory of the largest proxy, peak", Unit: quantity.MiB, Numeric: true}}}
	proxies := cpu("gateway", "sidecar")
	for arm, a := range b.Plan.Arms {
		floor := b.floorOf(arm)
		if floor < 0 || a.Gateway == "" && a.Mesh == "" {
			continue
		}
		ratio, above := quantity.Absent("the floor"), [3]quantity.Quantity{}
		for i, m := range []metric{proxies, quantileOf(results.Response, 0.50), quantileOf(results.Response, 0.99)} {
			switch {
			case floor == arm:
				above[i] = quantity.Absent("the floor")
			case i > 0 && b.paced(economical):
				above[i] = quantity.Absent("no evidence: paced economically")
			default:
				above[i] = difference(b.ref(arm), b.ref(floor), m, quantity.Milliseconds)
			}
		}
		if floor != arm {
			ratio = estimate(ratios(proxies, b.ref(arm), b.ref(floor)), quantity.None, "rounds")
		}
		t.Rows = append(t.Rows, Row{Ink: 1 + b.ink(arm), Cells: []Cell{text(b.name(arm)), number(b.ref(arm).level(proxies, quantity.Milliseconds)),
			number(ratio), number(above[0]), number(above[1]), number(above[2]), number(b.ref(arm).level(largest("gateway", "sidecar"), quantity.MiB))}})
	}
	t.Notes = []string{"The control plane is left out: no request passes it. Ratios and differences are taken round by round."}
	return t
}

// ratios divides the metric of the first cell by that of the second, for each round in which both are valid.
func ratios(m metric, arm, other *cell) []float64 {
	below := map[int]float64{}
	for _, t := range other.with(results.Valid) {
		if v, ok := m(t); ok && v > 0 {
			below[t.Round] = v
		}
	}
	var all []float64
	for _, t := range arm.with(results.Valid) {
		if v, ok := m(t); ok && below[t.Round] > 0 {
			all = append(all, v/below[t.Round])
		}
	}
	return all
}

// largest is the highest peak of memory among the processes of some kinds, in MiB.
func largest(kinds ...string) metric {
	return perTrial(kinds, func(_ *trial, u []results.Usage) (float64, bool) {
		most := int64(0)
		for _, p := range u {
			most = max(most, p.RSSPeak)
		}
		return float64(most) / (1 << 20), true
	})
}

// ledgerOf counts the sampled requests of a cell's valid trials, and the mean of what was told of them, in milliseconds.
func ledgerOf(c *cell) (samples int64, told float64) {
	var sum int64
	for _, t := range c.with(results.Valid) {
		if t.Ledger == nil {
			continue
		}
		samples += t.Ledger.Samples
		for _, p := range t.Ledger.Parts {
			if p.Part == results.LedgerOwn || p.Part == results.LedgerApp {
				sum += p.Sum
			}
		}
	}
	if samples == 0 {
		return 0, 0
	}
	return samples, milliseconds(sum) / float64(samples)
}

// tells says whether any proxy of a cell has told of itself.
func tells(c *cell) bool {
	return slices.ContainsFunc(c.with(results.Valid), func(t *trial) bool {
		return t.Ledger != nil && slices.ContainsFunc(t.Ledger.Parts, func(p results.LedgerPart) bool { return p.Part == results.LedgerOwn })
	})
}

// toldTable is the mean time of every part that was told, by topology and proxy, per sampled request.
func (b *book) toldTable() *Table {
	t := &Table{ID: "told-table", Caption: "Stage times by proxy, mean per sampled request at " + quantity.Rate(b.refRate), Fold: true,
		Columns: []Column{{Key: "topology", Title: "Topology"}, {Key: "proxy", Title: "Proxy or service"}, {Key: "part", Title: "Part"},
			{Key: "time", Title: "Mean", Unit: quantity.Milliseconds, Numeric: true}}}
	for arm := range b.Plan.Arms {
		sums, samples := map[[2]string]int64{}, int64(0)
		for _, tr := range b.ref(arm).with(results.Valid) {
			if tr.Ledger == nil {
				continue
			}
			samples += tr.Ledger.Samples
			for _, p := range tr.Ledger.Parts {
				sums[[2]string{p.Proxy, p.Part}] += p.Sum
			}
		}
		keys := make([][2]string, 0, len(sums))
		for k := range sums {
			keys = append(keys, k)
		}
		slices.SortFunc(keys, func(x, y [2]string) int { return strings.Compare(partOrder(x), partOrder(y)) })
		for _, k := range keys {
			t.Rows = append(t.Rows, Row{Ink: 1 + b.ink(arm), Cells: []Cell{text(b.name(arm)), text(k[0]), text(k[1]),
				number(quantity.Of(milliseconds(sums[k])/float64(samples), quantity.Milliseconds))}})
		}
	}
	t.Notes = []string{fmt.Sprintf("%s is all of a proxy's time between its system calls, and wait the time in them or waiting; read, forward, write and the stages are parts of own and come to it.", results.LedgerOwn)}
	return t
}

// partOrder puts the whole of a proxy before its parts.
func partOrder(k [2]string) string {
	rank := map[string]string{results.LedgerOwn: "0", results.LedgerApp: "0", "wait": "1"}[k[1]]
	if rank == "" {
		rank = "2"
	}
	return k[0] + " " + rank + k[1]
}
