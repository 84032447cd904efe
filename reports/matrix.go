package reports

import (
	"fmt"
	"slices"
	"strings"

	"crossroads/reports/quantity"
	"crossroads/results"
)

// ownLevel marks the numbers of direct, which are levels where those of the other arms are differences.
const ownLevel = "own level"

const notMeasured = "not measured in this run"

// costs is the first half of the decision matrix.
func (b *book) costs() *Table {
	t := &Table{
		ID:      "costs",
		Caption: fmt.Sprintf("What it costs, at %s offered", quantity.Rate(b.refRate)),
		Columns: []Column{
			{Key: "topology", Title: "Topology"},
			{Key: "highest_rate", Title: "Highest rate that meets the objectives", Unit: quantity.PerSecond, Numeric: true},
			{Key: "added_p50", Title: "Added p50", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "added_p99", Title: "Added p99", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "added_p999", Title: "Added p99.9", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "cpu", Title: "CPU per 1,000 requests", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "memory", Title: "Memory of the proxies", Unit: quantity.MiB, Numeric: true},
			{Key: "errors", Title: "Errors", Unit: quantity.Percent, Numeric: true},
			{Key: "headroom", Title: "Driver headroom", Unit: quantity.Percent, Numeric: true},
		},
	}
	for arm := range b.Plan.Arms {
		row := Row{Ink: 1 + b.ink(arm), Cells: []Cell{text(b.name(arm)), number(b.highestRate(arm))}}
		for _, q := range []float64{0.50, 0.99, 0.999} {
			row.Cells = append(row.Cells, number(b.added(arm, q)))
		}
		c := b.ref(arm)
		row.Cells = append(row.Cells, number(c.level(cpu(), quantity.Milliseconds)), number(b.proxyMemory(arm)),
			number(c.errors()), number(c.headroom()))
		t.Rows = append(t.Rows, row)
	}
	t.Notes = append(b.originLimited(),
		"Added: Hodges–Lehmann estimate over rounds of the quantile of the response time minus that of direct in the same round; in brackets the 95% signed-rank interval.",
		"Highest rate: of the rates that were run; the objectives are "+b.objectiveTexts()+". CPU: of every process but the driver.",
	)
	return t
}

// originLimited names the arms whose application, and not a proxy, was short of CPU.
func (b *book) originLimited() []string {
	var all []string
	for arm := range b.Plan.Arms {
		n := 0
		trials := b.ref(arm).with(results.Valid, results.Saturated)
		for _, t := range trials {
			if slices.ContainsFunc(t.Flags, func(r results.Reason) bool { return r.Rule == results.RuleOrigin }) {
				n++
			}
		}
		if n > 0 {
			all = append(all, fmt.Sprintf("%s (%s trials)", b.name(arm), of(n, len(trials))))
		}
	}
	if len(all) == 0 {
		return nil
	}
	return []string{sentence("Origin-limited, so that the proxies may look better than they are: " + list(all))}
}

// added is the overhead, and for direct its own level, which the overheads add to.
func (b *book) added(arm int, q float64) quantity.Quantity {
	if arm != b.direct {
		return b.overhead(arm, q)
	}
	level := b.ref(arm).quantile(results.Response, q)
	if level.Known() {
		level.Interval, level.Note = nil, ownLevel
	}
	return level
}

func (b *book) proxyMemory(arm int) quantity.Quantity {
	if b.Plan.Arms[arm].External != "" {
		return quantity.Absent("not visible")
	}
	if b.Plan.Arms[arm].Proxies == 0 {
		return quantity.Absent("no proxy")
	}
	return b.ref(arm).level(memory(proxyKinds...), quantity.MiB)
}

// errors is the share of requests that failed undeclared, over every trial in which the instrument was not at fault.
func (c *cell) errors() quantity.Quantity {
	var errors, planned int64
	for _, t := range c.with(results.Valid, results.Saturated, results.Failed) {
		errors += t.Counts.Errors - t.Counts.Declared
		planned += t.Counts.Planned
	}
	if planned == 0 {
		return quantity.Absent(c.why())
	}
	q := quantity.Of(100*float64(errors)/float64(planned), quantity.Percent)
	q.Note = fmt.Sprintf("%s of %s", quantity.Count(errors), quantity.Count(planned))
	return q
}

// headroom is what the driver had left in its busiest trial, waiting for due times not counted as use.
func (c *cell) headroom() quantity.Quantity {
	most, seen := 0.0, false
	for _, t := range c.trials {
		if d := t.Driver; d.Given > 0 {
			most, seen = max(most, float64(d.Working())/float64(d.Given)), true
		}
	}
	if !seen {
		return quantity.Absent("not recorded")
	}
	return quantity.Of(100*(1-most), quantity.Percent)
}

// benefits is the second half of the matrix: what it buys, and what has to be run for it.
func (b *book) benefits() *Table {
	t := &Table{
		ID:      "benefits",
		Caption: "What it buys",
		Columns: []Column{
			{Key: "topology", Title: "Topology"},
			{Key: "encrypted", Title: "Edges encrypted and authenticated", Numeric: true},
			{Key: "success_under_fault", Title: "Success with one replica failing", Unit: quantity.Percent, Numeric: true},
			{Key: "p99_under_fault", Title: "p99 with one replica failing", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "blast_radius", Title: "Reached by losing one proxy", Unit: quantity.Percent, Numeric: true},
			{Key: "round_trips", Title: "Round trips saved by composition", Numeric: true},
			{Key: "processes", Title: "Processes to run", Numeric: true},
			{Key: "proxies", Title: "of them proxies and control plane", Numeric: true},
			{Key: "ready", Title: "Time until ready", Unit: quantity.Seconds, Numeric: true},
		},
	}
	for arm, a := range b.Plan.Arms {
		succeeded, p99 := b.underFault(arm)
		t.Rows = append(t.Rows, Row{Ink: 1 + b.ink(arm), Cells: []Cell{
			text(a.Name), edges(a), number(succeeded), number(p99), b.blast(arm), b.tripsSaved(arm),
			count(a, a.Processes), count(a, a.Proxies), number(b.readyIn(arm)),
		}})
	}
	t.Notes = []string{"Edges and processes follow from the declaration; edges include the driver's own call to the entry."}
	if slices.ContainsFunc(b.Plan.Arms, func(a results.ArmInfo) bool { return slices.Contains(a.Features, "tls") }) {
		t.Notes = append(t.Notes, "With tls at the gateway the load's own connection is encrypted, and only the gateway proves who it is: that connection counts as no edge.")
	}
	if fault := b.failingReplica(); fault >= 0 {
		t.Notes = append(t.Notes, "One replica failing: "+b.faults()[fault].Text+". Losing one proxy: the share of requests affected while the proxy was away whose loss reached most.")
	} else {
		t.Notes = append(t.Notes, "What faults do is measured by the experiment blast-radius.")
	}
	return t
}

func edges(a results.ArmInfo) Cell {
	if a.External != "" {
		return number(quantity.Absent("not visible"))
	}
	return text(of(a.Encrypted, a.Edges))
}

func count(a results.ArmInfo, n int) Cell {
	if a.External != "" {
		return number(quantity.Absent("not visible"))
	}
	return number(quantity.Of(float64(n), quantity.None))
}

// readyIn is over all trials of the arm: a deployment serves several rates, and its time is one number in each of their records.
func (b *book) readyIn(arm int) quantity.Quantity {
	byRound := map[int]float64{}
	for _, t := range b.Trials {
		if t.Arm == b.Plan.Arms[arm].Name && t.ReadyIn > 0 {
			byRound[t.Round] = float64(t.ReadyIn) / 1e9
		}
	}
	var values []float64
	for r := 1; r <= b.Plan.Rounds; r++ {
		if v, ok := byRound[r]; ok {
			values = append(values, v)
		}
	}
	if len(values) == 0 {
		return quantity.Absent("not recorded")
	}
	return estimate(values, quantity.Seconds, "rounds")
}

func (b *book) objectiveTexts() string {
	if len(b.Plan.Objectives) == 0 {
		return "not declared"
	}
	var all []string
	for _, o := range b.Plan.Objectives {
		all = append(all, o.Text)
	}
	return strings.Join(all, ", ")
}
