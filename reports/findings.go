package reports

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"crossroads/reports/quantity"
	"crossroads/results"
)

// mostFindings is how many sentences stand under the matrix.
const mostFindings = 6

// Margins, as shares of direct's own level: a difference that does not leave them is not worth a sentence. They are the margins
// at which a comparison of two versions fails.
const (
	margin50  = 0.02
	margin99  = 0.06
	marginCPU = 0.02
)

// findings are the sentences under the matrix, the most pressing first.
func (b *book) findings() []Finding {
	var all []Finding
	add := func(f Finding, ok bool) {
		if ok && len(all) < mostFindings {
			all = append(all, f)
		}
	}
	add(b.troubleFinding())
	add(b.blastFinding())
	add(b.failingFinding())
	for _, f := range b.rivalFindings() {
		add(f, true)
	}
	if !b.paced(economical) {
		add(b.compositionFinding())
	}
	if !b.paced(economical) {
		add(b.addedFinding("added p99", "p99", quantileOf(results.Response, 0.99), margin99, b.ref(max(b.direct, 0)).quantile(results.Response, 0.99)))
		add(b.addedFinding("added p50", "p50", quantileOf(results.Response, 0.50), margin50, b.ref(max(b.direct, 0)).quantile(results.Response, 0.50)))
		add(b.interactionFinding())
		add(b.remainderFinding())
	}
	add(b.addedFinding("added CPU", "CPU per 1,000 requests", cpu(), marginCPU, b.ref(max(b.direct, 0)).level(cpu(), quantity.Milliseconds)))
	add(b.stagesFinding())
	add(b.objectivesFinding())
	add(b.securityFinding())
	return all
}

// troubleFinding says first what went wrong with a target.
func (b *book) troubleFinding() (Finding, bool) {
	var parts []string
	for _, what := range []struct {
		outcome results.Outcome
		verb    string
	}{{results.Failed, "failed"}, {results.Saturated, "was saturated"}} {
		b.each(func(arm int, c *cell) {
			if n := len(c.with(what.outcome)); n > 0 {
				parts = append(parts, fmt.Sprintf("%s %s at %s in %s trials", b.name(arm), what.verb, quantity.Rate(c.rate), of(n, len(c.trials))))
			}
		})
	}
	if out := b.excluded(); len(out) > 0 {
		parts = append(parts, "parity kept out "+list(out))
	}
	return Finding{Rule: "trouble", Text: sentence(list(parts)), Shown: true}, len(parts) > 0
}

// addedFinding compares every arm with direct at the reference rate.
func (b *book) addedFinding(rule, what string, m metric, share float64, level quantity.Quantity) (Finding, bool) {
	f := Finding{Rule: rule}
	if b.direct < 0 || !level.Known() {
		return f, false
	}
	margin := quantity.Of(level.Value*share, quantity.Milliseconds)
	var rises, falls, same, blind []string
	nSame, nBlind := math.MaxInt, math.MaxInt
	for _, arm := range b.others() {
		q := difference(b.ref(arm), b.ref(b.direct), m, quantity.Milliseconds)
		if !q.Known() {
			continue
		}
		f.Evidence = append(f.Evidence, Evidence{b.name(arm), what, q, margin})
		switch {
		case q.Interval == nil:
			blind, nBlind = append(blind, b.name(arm)), min(nBlind, q.N)
		case !q.Excludes(margin.Value):
			same, nSame = append(same, b.name(arm)), min(nSame, q.N)
		case q.Value > 0:
			rises = append(rises, fmt.Sprintf("%s adds %s", b.name(arm), q.Text()))
		default:
			falls = append(falls, fmt.Sprintf("%s takes off %s", b.name(arm), negated(q).Text()))
		}
	}
	changes := append(rises, falls...)
	f.Shown = len(changes) > 0
	var parts []string
	if f.Shown {
		parts = append(parts, fmt.Sprintf("At %s, to direct's %s of %s, %s", quantity.Rate(b.refRate), what, level.WithUnit(), list(changes)))
	}
	if len(same) > 0 {
		parts = append(parts, fmt.Sprintf("At %s, no difference in %s shown between direct and %s (n = %d, margin %s)",
			quantity.Rate(b.refRate), what, list(same), nSame, margin.WithUnit()))
	}
	if len(blind) > 0 {
		verb := "adds"
		if len(blind) > 1 {
			verb = "add"
		}
		parts = append(parts, fmt.Sprintf("What %s %s to direct's %s cannot be told: no interval (n = %s)", list(blind), verb, what, plural(nBlind, "round")))
	}
	f.Text = sentence(strings.Join(parts, ". "))
	return f, len(parts) > 0
}

// interactionFinding asks whether gateway and mesh together cost what they cost apart: both - gateway - mesh + direct, round by
// round.
func (b *book) interactionFinding() (Finding, bool) {
	both, gateway, mesh, ok := b.square()
	if !ok {
		return Finding{}, false
	}
	level := b.ref(b.direct).quantile(results.Response, 0.99)
	if !level.Known() {
		return Finding{}, false
	}
	cells := []*cell{b.ref(both), b.ref(gateway), b.ref(mesh), b.ref(b.direct)}
	q := estimate(contrast(quantileOf(results.Response, 0.99), cells, []float64{1, -1, -1, 1}), quantity.Milliseconds, "rounds")
	if !q.Known() {
		return Finding{}, false
	}
	margin := quantity.Of(level.Value*margin99, quantity.Milliseconds)
	f := Finding{Rule: "interaction", Shown: q.Excludes(margin.Value), Evidence: []Evidence{{b.name(both), "interaction in p99", q, margin}}}
	pair := fmt.Sprintf("%s against %s and %s apart", b.name(both), b.name(gateway), b.name(mesh))
	switch {
	case q.Interval == nil:
		f.Text = sentence(fmt.Sprintf("Whether %s cost more in p99 cannot be told: %s", pair, q.Note))
	case !f.Shown:
		f.Text = sentence(fmt.Sprintf("%s: no interaction shown in p99: %s (n = %d, margin %s)", pair, q.Text(), q.N, margin.WithUnit()))
	case q.Value > 0:
		f.Text = sentence(fmt.Sprintf("%s: together they add %s more to p99 than the sum of both", pair, q.Text()))
	default:
		f.Text = sentence(fmt.Sprintf("%s: together they add %s less to p99 than the sum of both", pair, negated(q).Text()))
	}
	return f, true
}

// square finds an arm that is the sum of two others: the same gateway and the same mesh.
func (b *book) square() (both, gateway, mesh int, ok bool) {
	for i, x := range b.Plan.Arms {
		if b.direct < 0 || x.Gateway == "" || x.Mesh == "" {
			continue
		}
		gateway, mesh = -1, -1
		for j, y := range b.Plan.Arms {
			switch {
			case gateway < 0 && y.Gateway == x.Gateway && slices.Equal(y.Features, x.Features) && y.Mesh == "":
				gateway = j
			case mesh < 0 && y.Gateway == "" && y.Mesh == x.Mesh && y.MTLS == x.MTLS:
				mesh = j
			}
		}
		if gateway >= 0 && mesh >= 0 {
			return i, gateway, mesh, true
		}
	}
	return 0, 0, 0, false
}

func (b *book) objectivesFinding() (Finding, bool) {
	if len(b.Plan.Objectives) == 0 {
		return Finding{}, false
	}
	var all, missed []string
	for arm := range b.Plan.Arms {
		missedAt := ""
		for _, rate := range b.rates {
			a, why := b.meets(b.at(arm, rate, b.refConns))
			if a == unknown {
				missedAt = "?"
			}
			if a == misses {
				missedAt = fmt.Sprintf("%s misses the objectives at %s (%s)", b.name(arm), quantity.Rate(rate), why)
				break
			}
		}
		switch missedAt {
		case "":
			all = append(all, b.name(arm))
		case "?":
		default:
			missed = append(missed, missedAt)
		}
	}
	f := Finding{Rule: "objectives", Shown: len(missed) > 0}
	top := quantity.Rate(b.rates[len(b.rates)-1])
	switch {
	case len(missed) > 0:
		f.Text = sentence(list(missed))
	case len(all) == len(b.Plan.Arms):
		f.Text = sentence(fmt.Sprintf("Every topology met every objective (%s) at every rate that was run, up to %s", b.objectiveTexts(), top))
	case len(all) > 0:
		f.Text = sentence(fmt.Sprintf("%s met every objective (%s) at every rate that was run, up to %s; the others could not be assessed at all rates",
			list(all), b.objectiveTexts(), top))
	}
	return f, f.Text != ""
}

func (b *book) securityFinding() (Finding, bool) {
	var some, none []string
	for i, a := range b.Plan.Arms {
		switch {
		case a.External != "":
		case a.Encrypted > 0:
			some = append(some, fmt.Sprintf("%s encrypts and authenticates %s edges", b.name(i), of(a.Encrypted, a.Edges)))
		default:
			none = append(none, b.name(i))
		}
	}
	if len(some) == 0 {
		return Finding{}, false
	}
	text := list(some)
	if len(none) > 0 {
		text += "; " + list(none) + " none"
	}
	return Finding{Rule: "security", Text: sentence(text), Shown: true}, true
}

func negated(q quantity.Quantity) quantity.Quantity {
	q.Value = -q.Value
	if q.Interval != nil {
		q.Interval = &quantity.Interval{Low: -q.Interval.High, High: -q.Interval.Low}
	}
	return q
}

// mostNamed is how many things a sentence lists before it says how many more there are.
const mostNamed = 4

// list joins things as a sentence does: a, b and c.
func list(parts []string) string {
	if n := len(parts); n > mostNamed+1 {
		parts = append(parts[:mostNamed:mostNamed], fmt.Sprintf("%d more", n-mostNamed))
	}
	if n := len(parts); n > 1 {
		return strings.Join(parts[:n-1], ", ") + " and " + parts[n-1]
	}
	return strings.Join(parts, "")
}

// sentence ends with one full stop. Names keep their case.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.TrimRight(s, ".") + "."
}
