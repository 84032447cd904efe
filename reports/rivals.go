package reports

import (
	"fmt"
	"math"
	"reflect"
	"strings"

	"crossroads/reports/quantity"
	"crossroads/results"
	"crossroads/results/stats"
)

// marginMemory is the share of the reference's memory that a difference must leave.
const marginMemory = 0.02

// sameWork says that two arms differ at most in whose proxies stand in them, and in what these need beside them: a control plane. Floor
// relays do no work, so nothing is like them.
func sameWork(a, b results.ArmInfo) bool {
	if relayed(a) || relayed(b) || a.External != "" || b.External != "" {
		return false
	}
	if (a.Gateway == "") != (b.Gateway == "") || (a.Mesh == "") != (b.Mesh == "") || a.Gateway == "" && a.Mesh == "" {
		return false
	}
	for _, x := range []*results.ArmInfo{&a, &b} {
		x.Name, x.Gateway, x.MeshUse, x.Processes, x.Proxies, x.Config = "", "", "", 0, 0, nil
	}
	return reflect.DeepEqual(a, b)
}

// own says that every proxy of an arm is the project's.
func own(a results.ArmInfo) bool {
	return (a.Gateway == "" || a.Gateway == "reference") && a.MeshUse == "" && (a.Gateway != "" || a.Mesh != "")
}

// ownOf is the arm with the project's own proxies that does the work of an arm with others'; -1 for none.
func (b *book) ownOf(arm int) int {
	for i, a := range b.Plan.Arms {
		if own(a) && !own(b.Plan.Arms[arm]) && sameWork(a, b.Plan.Arms[arm]) {
			return i
		}
	}
	return -1
}

// besides are what proxies are held against each other by.
var besides = []struct {
	key, title, words string
	of                metric
	margin            float64
	time              bool
}{
	{"cpu", "CPU of the proxies per request", "CPU per request", cpu("gateway", "sidecar"), marginCPU, false},
	{"p50", "p50", "p50", quantileOf(results.Response, 0.50), margin50, true},
	{"p99", "p99", "p99", quantileOf(results.Response, 0.99), margin99, true},
	{"memory", "Memory of the proxies", "memory", memory("gateway", "sidecar"), marginMemory, false},
}

// timesOwn is a rival's metric as a multiple of the reference's: the Hodges-Lehmann estimate of the log ratio over rounds in which both are
// valid, with its signed-rank interval.
func timesOwn(m metric, rival, own *cell) quantity.Quantity {
	for _, c := range []*cell{rival, own} {
		if len(c.with(results.Valid)) == 0 {
			return quantity.Absent(c.why())
		}
	}
	var logs []float64
	for _, r := range ratios(m, rival, own) {
		if r > 0 {
			logs = append(logs, math.Log(r))
		}
	}
	if len(logs) == 0 {
		return quantity.Absent("no round with both valid")
	}
	q := quantity.Of(math.Exp(stats.HodgesLehmann(logs)), quantity.None)
	q.N = len(logs)
	if i := stats.SignedRank(logs, results.Confidence); len(logs) >= enough && i.OK() {
		q.Interval = &quantity.Interval{Low: math.Exp(i.Low), High: math.Exp(i.High)}
	} else {
		q.Note = noInterval(len(logs), "rounds")
	}
	return q
}

// beside says whether a ratio is shown to be better (-1) or worse (1) than 1 by more than the margin; 0: neither is shown.
func beside(q quantity.Quantity, margin float64) int {
	switch {
	case !q.Known() || q.Interval == nil:
		return 0
	case q.Interval.High < 1-margin:
		return -1
	case q.Interval.Low > 1+margin:
		return 1
	}
	return 0
}

// groups are the arms of others' proxies by the arm of ours that does the same work, in the plan's order.
func (b *book) groups() (owns []int, of map[int][]int) {
	of = map[int][]int{}
	for arm := range b.Plan.Arms {
		if i := b.ownOf(arm); i >= 0 {
			if of[i] == nil {
				owns = append(owns, i)
			}
			of[i] = append(of[i], arm)
		}
	}
	return owns, of
}

// rivalFindings say, for each work that others' proxies do too, in what they are shown to be better than the project's own, and in what worse.
func (b *book) rivalFindings() []Finding {
	var all []Finding
	owns, of := b.groups()
	for _, i := range owns {
		if f, ok := b.besideOwn(i, of[i]); ok {
			all = append(all, f)
		}
	}
	return all
}

func (b *book) besideOwn(i int, rivals []int) (Finding, bool) {
	f := Finding{Rule: "rivals"}
	sides := map[int][]string{}
	told := 0
	for _, arm := range rivals {
		words := map[int][]string{}
		for _, m := range besides {
			if m.time && b.paced(economical) {
				continue
			}
			q := timesOwn(m.of, b.ref(arm), b.ref(i))
			if !q.Known() {
				continue
			}
			f.Evidence = append(f.Evidence, Evidence{b.name(arm), m.words + ", times " + b.name(i) + "'s", q, quantity.Of(m.margin, quantity.None)})
			if q.Interval != nil {
				told++
			}
			if side := beside(q, m.margin); side != 0 {
				words[side] = append(words[side], m.words+" "+q.Text())
			}
		}
		for side, w := range words {
			sides[side] = append(sides[side], b.name(arm)+" in "+list(w))
		}
	}
	f.Shown = len(sides) > 0
	switch {
	case f.Shown:
		said := []string{fmt.Sprintf("Beside %s at %s, as multiples of its own", b.name(i), quantity.Rate(b.refRate))}
		for _, side := range []struct {
			is   int
			word string
		}{{-1, "Better"}, {1, "Worse"}} {
			all := strings.Join(sides[side.is], "; ")
			if all == "" {
				all = "none is shown"
			}
			said = append(said, side.word+": "+all)
		}
		f.Text = sentence(strings.Join(said, ". "))
	case told > 0:
		f.Text = sentence(fmt.Sprintf("At %s, no difference shown between %s and the proxies of others that do the same work", quantity.Rate(b.refRate), b.name(i)))
	}
	return f, f.Text != ""
}

// rivalsSection holds the proxies of others against the project's own, work by work.
func (b *book) rivalsSection() Section {
	owns, of := b.groups()
	if len(owns) == 0 {
		return Section{}
	}
	t := &Table{ID: "rivals-table", Caption: "Multiples of the reference's, same work, at " + quantity.Rate(b.refRate),
		Columns: []Column{{Key: "topology", Title: "Topology"}, {Key: "beside", Title: "Beside"}}}
	for _, m := range besides {
		t.Columns = append(t.Columns, Column{Key: m.key, Title: m.title, Numeric: true})
	}
	t.Columns = append(t.Columns, Column{Key: "rounds", Title: "Rounds", Numeric: true}, Column{Key: "better", Title: "Shown to be better in"}, Column{Key: "worse", Title: "Shown to be worse in"})
	for _, i := range owns {
		for _, arm := range of[i] {
			cells, rounds, words := []Cell{text(b.name(arm)), text(b.name(i))}, 0, map[int][]string{}
			for _, m := range besides {
				q := quantity.Absent("no evidence: paced economically")
				if !m.time || !b.paced(economical) {
					q = timesOwn(m.of, b.ref(arm), b.ref(i))
				}
				rounds = max(rounds, q.N)
				words[beside(q, m.margin)] = append(words[beside(q, m.margin)], m.words)
				cells = append(cells, number(q))
			}
			cells = append(cells, number(quantity.Of(float64(rounds), quantity.None)), text(orDash(words[-1])), text(orDash(words[1])))
			t.Rows = append(t.Rows, Row{Ink: 1 + b.ink(arm), Cells: cells})
		}
	}
	t.Notes = []string{fmt.Sprintf("Below 1 the other proxy takes less. Taken round by round: the Hodges–Lehmann estimate of the log ratio with its 95%% signed-rank interval. "+
		"Better or worse is said where the interval leaves 1 by more than the margin: CPU, p50 and memory %g%%, p99 %g%%. Response times are the client's, the application's part included.",
		100*marginCPU, 100*margin99)}
	return Section{ID: "rivals", Title: "Beside other proxies", Parts: []Part{{Table: t}}}
}

func orDash(words []string) string {
	if len(words) == 0 {
		return "–"
	}
	return strings.Join(words, ", ")
}
