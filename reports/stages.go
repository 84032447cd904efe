package reports

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"crossroads/reports/figure"
	"crossroads/reports/quantity"
	"crossroads/results"
)

// stagesSection is what each thing costs that a gateway does besides forwarding: each arm against the plain gateway of the same round, so
// that the hop is on both sides, and arms with several against the sum of the arms with one.
func (b *book) stagesSection() Section {
	featured := b.featured()
	if len(featured) == 0 {
		return Section{}
	}
	s := Section{ID: "stages", Title: "What each stage costs", Parts: []Part{{Figure: b.stagesFigure(featured), Table: b.stagesTable(featured)}}}
	for _, x := range b.interactions(featured) {
		s.Text = append(s.Text, b.interactionText(x))
	}
	return s
}

// featured is an arm whose gateway does something, and the arm of the same gateway that only forwards.
type featured struct{ arm, plain int }

// featured lists them as declared.
func (b *book) featured() []featured {
	var all []featured
	for i, a := range b.Plan.Arms {
		if len(a.Features) == 0 {
			continue
		}
		if plain := slices.IndexFunc(b.Plan.Arms, func(p results.ArmInfo) bool { return len(p.Features) == 0 && sameFrame(a, p) }); plain >= 0 {
			all = append(all, featured{i, plain})
		}
	}
	return all
}

// sameFrame says that two arms differ at most in what their gateways do: an authorization server that one asks is no other frame.
func sameFrame(a, b results.ArmInfo) bool {
	for _, x := range []*results.ArmInfo{&a, &b} {
		x.Name, x.Features, x.Processes = "", nil, 0
	}
	return a.Gateway != "" && reflect.DeepEqual(a, b)
}

// interaction is an arm with several features, and for each of them an arm with it alone.
type interaction struct {
	featured
	alone []int
}

func (b *book) interactions(all []featured) []interaction {
	var found []interaction
	for _, f := range all {
		x := interaction{featured: f}
		features := b.Plan.Arms[f.arm].Features
		for _, feature := range features {
			for _, other := range all {
				if other.plain == f.plain && slices.Equal(b.Plan.Arms[other.arm].Features, []string{feature}) {
					x.alone = append(x.alone, other.arm)
					break
				}
			}
		}
		if len(features) > 1 && len(x.alone) == len(features) {
			found = append(found, x)
		}
	}
	return found
}

// marginal is what an arm adds to its plain gateway.
func (b *book) marginal(f featured, m metric) quantity.Quantity {
	return b.contrasted(m, []int{f.arm, f.plain}, []float64{1, -1})
}

// beyondSum is what an arm adds beyond the sum of what its features add alone: all - plain - sum(alone - plain), round by round.
func (b *book) beyondSum(x interaction, m metric) quantity.Quantity {
	arms, weights := []int{x.arm, x.plain}, []float64{1, float64(len(x.alone) - 1)}
	for _, arm := range x.alone {
		arms, weights = append(arms, arm), append(weights, -1)
	}
	return b.contrasted(m, arms, weights)
}

func (b *book) contrasted(m metric, arms []int, weights []float64) quantity.Quantity {
	var cells []*cell
	for _, arm := range arms {
		c := b.ref(arm)
		if len(c.with(results.Valid)) == 0 {
			return quantity.Absent(b.name(arm) + ": " + c.why())
		}
		cells = append(cells, c)
	}
	values := contrast(m, cells, weights)
	if len(values) == 0 {
		return quantity.Absent("no round with all valid")
	}
	return estimate(values, quantity.Milliseconds, "rounds")
}

// gatewayCPU is what sentences and the figure are about: a stage runs there, and the noise of the other processes is not its cost.
var gatewayCPU = cpu("gateway")

// stageMetrics are the columns of numbers; those of times are no evidence under economical pacing.
var stageMetrics = []struct {
	key, title string
	of         metric
	time       bool
}{
	{"gateway_cpu", "CPU of the gateway per 1,000 requests", gatewayCPU, false},
	{"cpu", "CPU of all processes per 1,000 requests", cpu(), false},
	{"p50", "p50", quantileOf(results.Response, 0.50), true},
	{"p99", "p99", quantileOf(results.Response, 0.99), true},
}

func (b *book) stagesTable(all []featured) *Table {
	t := &Table{ID: "stages-table", Open: true, Caption: "Added to the plain gateway, at " + quantity.Rate(b.refRate),
		Columns: []Column{{Key: "topology", Title: "Topology"}, {Key: "features", Title: "Does besides forwarding"}}}
	for _, m := range stageMetrics {
		t.Columns = append(t.Columns, Column{Key: m.key, Title: m.title, Unit: quantity.Milliseconds, Numeric: true})
	}
	t.Columns = append(t.Columns, Column{Key: "rounds", Title: "Rounds", Numeric: true}, Column{Key: "active", Title: "Set in force"})
	row := func(ink int, name, features, active string, of func(metric) quantity.Quantity) {
		cells := []Cell{text(name), text(features)}
		rounds := 0
		for _, m := range stageMetrics {
			q := quantity.Absent("no evidence: paced economically")
			if !m.time || !b.paced(economical) {
				q = of(m.of)
			}
			rounds = max(rounds, q.N)
			cells = append(cells, number(q))
		}
		t.Rows = append(t.Rows, Row{Ink: ink, Cells: append(cells, number(quantity.Of(float64(rounds), quantity.None)), text(active))})
	}
	for arm := range b.Plan.Arms {
		if slices.ContainsFunc(all, func(f featured) bool { return f.plain == arm }) {
			row(1+b.ink(arm), b.name(arm), "nothing: the plain gateway", b.activeSet(arm), func(m metric) quantity.Quantity {
				q := b.ref(arm).level(m, quantity.Milliseconds)
				if q.Known() {
					q.Interval, q.Note = nil, ownLevel
				}
				return q
			})
		}
		if i := slices.IndexFunc(all, func(f featured) bool { return f.arm == arm }); i >= 0 {
			row(1+b.ink(arm), b.name(arm), strings.Join(b.Plan.Arms[arm].Features, ", "), b.activeSet(arm), func(m metric) quantity.Quantity { return b.marginal(all[i], m) })
		}
	}
	for _, x := range b.interactions(all) {
		row(0, b.name(x.arm)+", beyond the sum", fmt.Sprintf("all %d, less what each adds alone", len(x.alone)), "", func(m metric) quantity.Quantity { return b.beyondSum(x, m) })
	}
	t.Notes = []string{
		"Added: Hodges–Lehmann estimate over rounds of the arm minus the plain gateway of the same round; in brackets the 95% signed-rank interval. CPU: of every process but the driver.",
		"Set in force: what the gateway itself said before the load, as a hash over its stages and their settings.",
	}
	return t
}

// activeSet is the hash that the arm's gateways exported, where all of them in all rounds exported the same.
func (b *book) activeSet(arm int) string {
	seen := map[string]bool{}
	hash := "not recorded"
	for _, t := range b.Trials {
		if t.Arm != b.Plan.Arms[arm].Name {
			continue
		}
		for _, a := range t.Active {
			seen[a.Hash], hash = true, a.Hash
		}
	}
	if len(seen) > 1 {
		return "not the same in all rounds"
	}
	return hash
}

func (b *book) stagesFigure(all []featured) *figure.Figure {
	r := &figure.Rows{X: figure.Axis{Title: "CPU added to the plain gateway's own, ms per 1,000 requests", Zero: true}}
	most, worst := quantity.Absent("none yet"), ""
	for _, f := range all {
		v := b.marginal(f, gatewayCPU)
		r.Names = append(r.Names, b.name(f.arm))
		if !v.Known() {
			r.Notes = append(r.Notes, v.Missing)
			continue
		}
		r.Notes = append(r.Notes, v.Text())
		d := figure.Dot{Row: len(r.Names) - 1, X: v.Value, Ink: b.ink(f.arm), Mark: figure.Small}
		if v.Interval != nil {
			d.Mark, d.Low, d.High = figure.Solid, &v.Interval.Low, &v.Interval.High
		}
		r.Dots = append(r.Dots, d)
		if len(b.Plan.Arms[f.arm].Features) == 1 && (!most.Known() || v.Value > most.Value) {
			most, worst = v, b.name(f.arm)
		}
	}
	caption := "No stage alone can be held against the plain gateway at " + quantity.Rate(b.refRate) + "."
	switch {
	case !most.Known():
	case most.Excludes(0) && most.Value > 0:
		caption = fmt.Sprintf("Of what was switched on alone at %s, %s adds most to the plain gateway's own CPU per 1,000 requests: %s.", quantity.Rate(b.refRate), worst, most.Text())
	default:
		caption = fmt.Sprintf("At %s nothing that was switched on alone is shown to add to the plain gateway's own CPU; the largest estimate per 1,000 requests is that of %s, %s.",
			quantity.Rate(b.refRate), worst, most.Text())
	}
	return &figure.Figure{ID: "stages", Title: "CPU that each stage adds at " + quantity.Rate(b.refRate), Rows: r, Caption: caption,
		About: "What each arm adds to the gateway's own CPU per 1,000 requests in the arm that only forwards, as an estimate over rounds with its 95% interval."}
}

// interactionText says whether features cost together what they cost alone.
func (b *book) interactionText(x interaction) string {
	q := b.beyondSum(x, gatewayCPU)
	what := fmt.Sprintf("%s does all %d at once", b.name(x.arm), len(x.alone))
	switch {
	case !q.Known():
		return sentence(fmt.Sprintf("%s; against the sum of what they add alone it cannot be held: %s", what, q.Missing))
	case q.Interval == nil:
		return sentence(fmt.Sprintf("%s; whether that costs what they add alone cannot be told: the difference in the gateway's CPU per 1,000 requests is %s", what, q.Text()))
	case !q.Excludes(0):
		return sentence(fmt.Sprintf("%s; no interaction shown: its gateway's CPU per 1,000 requests less the sum of what they add alone is %s (n = %d)", what, q.Text(), q.N))
	case q.Value > 0:
		return sentence(fmt.Sprintf("%s; together they take %s more of the gateway's CPU per 1,000 requests than the sum of what they add alone", what, q.Text()))
	}
	return sentence(fmt.Sprintf("%s; together they take %s less of the gateway's CPU per 1,000 requests than the sum of what they add alone", what, negated(q).Text()))
}

// stagesFinding names what adds CPU to the plain gateway, the dearest first.
func (b *book) stagesFinding() (Finding, bool) {
	f := Finding{Rule: "stages"}
	all := b.featured()
	if len(all) == 0 {
		return f, false
	}
	level := b.ref(all[0].plain).level(gatewayCPU, quantity.Milliseconds)
	if !level.Known() {
		return f, false
	}
	margin := quantity.Of(level.Value*marginCPU, quantity.Milliseconds)
	told := 0
	for _, arm := range all {
		if q := b.marginal(arm, gatewayCPU); q.Known() && arm.plain == all[0].plain {
			f.Evidence = append(f.Evidence, Evidence{b.name(arm.arm), "the gateway's CPU per 1,000 requests", q, margin})
			if q.Interval != nil {
				told++
			}
		}
	}
	slices.SortStableFunc(f.Evidence, func(x, y Evidence) int { return cmp.Compare(y.Value.Value, x.Value.Value) })
	var adds []string
	for _, e := range f.Evidence {
		if e.Value.Excludes(margin.Value) && e.Value.Value > 0 {
			adds = append(adds, fmt.Sprintf("%s adds %s", e.Arm, e.Value.Text()))
		}
	}
	f.Shown = len(adds) > 0
	base := fmt.Sprintf("the plain gateway's own %s of CPU per 1,000 requests", level.WithUnit())
	switch {
	case f.Shown:
		f.Text = sentence(fmt.Sprintf("At %s, to %s, %s", quantity.Rate(b.refRate), base, list(adds)))
	case told > 0:
		f.Text = sentence(fmt.Sprintf("At %s, no stage is shown to add to %s (margin %s)", quantity.Rate(b.refRate), base, margin.WithUnit()))
	}
	return f, f.Text != ""
}
