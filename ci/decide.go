package ci

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"

	"crossroads/results"
	"crossroads/results/stats"
)

// passLevel is the one-sided level at which a change is shown to be within its margin.
const passLevel = 0.05

// noiseWidth is how many standard errors an A/A comparison may be off before the noise is said to be no noise.
const noiseWidth = 3

// minOrder is the share of pairs in which either side has to be started first.
const minOrder = 0.25

// Decision is what a gate answers for one scenario, with everything it rests on.
type Decision struct {
	Scenario string    `json:"scenario"`
	Verdict  Verdict   `json:"verdict"`
	Final    bool      `json:"final"` // no further pair changes it
	Reasons  []string  `json:"reasons,omitempty"`
	Look     int       `json:"look"`  // pairs the verdict rests on; 0: no look was reached
	Pairs    int       `json:"pairs"` // that are evidence, A/A pairs not counted
	AA       int       `json:"aa_pairs"`
	Dropped  []Drop    `json:"dropped,omitempty"`
	Metrics  []Finding `json:"metrics"`            // primary
	Reported []Finding `json:"reported,omitempty"` // for information: never part of the verdict
	Stopped  string    `json:"stopped,omitempty"`  // why no further round ran, where no verdict ended the duet
}

// Drop is a round that is no evidence.
type Drop struct {
	Round int    `json:"round"`
	AA    bool   `json:"aa,omitempty"`
	Why   string `json:"why"`
}

// Finding is one metric over the pairs.
type Finding struct {
	Metric    string   `json:"metric"`
	Title     string   `json:"title"`
	Verdict   Verdict  `json:"verdict"`
	Why       string   `json:"why"`
	Margin    float64  `json:"margin,omitempty"` // relative; 0 of a metric that is only reported
	N         int      `json:"n"`                // pairs with a value
	Baseline  float64  `json:"baseline"`         // median over pairs, in the metric's unit
	Candidate float64  `json:"candidate"`        // the same
	Change    float64  `json:"change"`           // relative, worse is positive: exp(Hodges-Lehmann of ln ratio) - 1
	Low       *float64 `json:"low,omitempty"`    // two-sided 95% interval of it; none where the pairs are too few
	High      *float64 `json:"high,omitempty"`
	FailBound *float64 `json:"fail_bound,omitempty"` // one-sided lower bound at the level of a failure
	PassBound *float64 `json:"pass_bound,omitempty"` // one-sided upper bound at 95%
	AAChange  *float64 `json:"aa_change,omitempty"`  // the same baseline against itself
	AALimit   *float64 `json:"aa_limit,omitempty"`   // beyond it there is something that is no noise
}

// Decide answers for one scenario from the records of its duet.
//
// It looks at the first 12 pairs, and only if these leave it open at the first 24, and so on, so that the answer does not depend on
// how far the run went beyond it (a group-sequential test with equal levels: Pocock 1977, here by Bonferroni and so conservative).
func (r *Rules) Decide(name string, plan results.Plan, trials []results.Trial) (d Decision) {
	d.Scenario = name
	s, known := r.Scenarios.Get(name)
	if !known {
		d.Reasons = []string{fmt.Sprintf("the rules have no scenario %s", name)}
		return d
	}
	if s.Metrics.Len() == 0 {
		d.Reasons = []string{"the scenario has no metric to decide by"}
		return d
	}
	pairs, aa := d.sort(Pairs(trials))
	defer func() { d.Reported = r.report(s, pairs) }()
	if why := unlikeArms(plan); why != "" {
		d.Final, d.Reasons = true, []string{why}
		d.Metrics = r.findings(s, pairs, aa)
		return d
	}
	if why := died(trials); why != "" {
		d.Verdict, d.Final, d.Reasons = Fail, true, []string{why}
		d.Metrics = r.findings(s, pairs, aa)
		return d
	}
	r.sequence(&d, s, pairs, aa)
	return d
}

// sequence looks at the pairs at each look that they reach, and stops at the first verdict.
func (r *Rules) sequence(d *Decision, s Scenario, pairs, aa []Pair) {
	last := r.Looks[len(r.Looks)-1]
	for _, look := range r.Looks {
		if len(pairs) < look {
			break
		}
		r.look(d, s, pairs[:look], aa)
		if d.Final = d.Verdict != Inconclusive || look == last; d.Final {
			return
		}
	}
	if d.Look == 0 {
		d.Metrics = r.findings(s, pairs, aa)
		d.Reasons = append(d.Reasons, fmt.Sprintf("%d pairs are evidence; a verdict falls at %s", len(pairs), r.describe()))
	}
}

// sort parts the pairs that are evidence into comparisons and A/A, and lists the others.
func (d *Decision) sort(all []Pair) (pairs, aa []Pair) {
	for _, p := range all {
		switch {
		case !p.Usable():
			d.Dropped = append(d.Dropped, Drop{p.Round, p.AA, strings.Join(p.Dropped, "; ")})
		case p.AA:
			aa = append(aa, p)
		default:
			pairs = append(pairs, p)
		}
	}
	d.Pairs, d.AA = len(pairs), len(aa)
	return pairs, aa
}

// look decides on these pairs and the A/A pairs that ran between them.
func (r *Rules) look(d *Decision, s Scenario, pairs, aa []Pair) {
	d.Look, d.Reasons = len(pairs), nil
	d.Metrics = r.findings(s, pairs, before(aa, pairs[len(pairs)-1].Round))
	var verdicts []Verdict
	for _, f := range d.Metrics {
		verdicts = append(verdicts, f.Verdict)
		if f.Verdict != Pass {
			d.Reasons = append(d.Reasons, f.Title+": "+f.Why)
		}
	}
	d.Verdict = Overall(verdicts...)
	if why := forced(pairs); why != "" {
		d.Verdict, d.Reasons = Inconclusive, append([]string{why}, d.Reasons...)
	}
}

func before(aa []Pair, round int) []Pair {
	n := 0
	for n < len(aa) && aa[n].Round <= round {
		n++
	}
	return aa[:n]
}

func (r *Rules) findings(s Scenario, pairs, aa []Pair) []Finding {
	var all []Finding
	for name, margin := range s.Metrics.All() {
		m, known := MetricNamed(name)
		if !known {
			all = append(all, Finding{Metric: name, Title: name, Why: "no metric has this name"})
			continue
		}
		f, ratios := measure(m, pairs)
		f.Margin = margin.Margin.F()
		r.judge(&f, m, margin, ratios, pairs, aa)
		all = append(all, f)
	}
	return all
}

// report measures without judging.
func (r *Rules) report(s Scenario, pairs []Pair) []Finding {
	var all []Finding
	for _, name := range s.Report {
		if m, known := MetricNamed(name); known {
			if f, _ := measure(m, pairs); f.N > 0 {
				all = append(all, f)
			}
		}
	}
	return all
}

// measure estimates the change of a metric over pairs.
func measure(m results.Metric, pairs []Pair) (Finding, []float64) {
	f := Finding{Metric: m.Name, Title: m.Title, Why: "no pair has a value"}
	var ratios, left, right []float64
	for i := range pairs {
		if ratio, ok := pairs[i].Ratio(m); ok {
			ratios = append(ratios, ratio)
			l, c, _ := pairs[i].Levels(m)
			left, right = append(left, l), append(right, c)
		}
	}
	if f.N = len(ratios); f.N == 0 {
		return f, nil
	}
	f.Why = ""
	f.Baseline, f.Candidate = stats.Median(left), stats.Median(right)
	f.Change = math.Expm1(stats.HodgesLehmann(ratios))
	if i := stats.SignedRank(ratios, results.Confidence); i.OK() {
		f.Low, f.High = relative(i.Low), relative(i.High)
	}
	return f, ratios
}

func relative(ln float64) *float64 {
	v := math.Expm1(ln)
	return &v
}

// judge holds one metric against its margin.
func (r *Rules) judge(f *Finding, m results.Metric, margin Margin, ratios []float64, pairs, aa []Pair) {
	limit := math.Log1p(margin.Margin.F())
	lower := stats.SignedRank(ratios, 1-2*r.failLevel())
	upper := stats.SignedRank(ratios, 1-2*passLevel)
	if lower.OK() {
		f.FailBound = relative(lower.Low)
	}
	if upper.OK() {
		f.PassBound = relative(upper.High)
	}
	noise := f.noise(m, limit, ratios, aa)
	switch {
	case len(ratios) < len(pairs):
		f.Why = fmt.Sprintf("%d of %d pairs have no value: absent data never passes", len(pairs)-len(ratios), len(pairs))
	case len(ratios) < max(minPairs, r.Looks[0]):
		f.Why = "too few pairs"
	case noise != "":
		f.Why = noise
	case drowned(f.Baseline, m, margin):
		f.Why = fmt.Sprintf("the baseline is at %s, above the %s up to which a change can be seen", m.Format(f.Baseline), margin.BaselineAtMost.D())
	case lower.OK() && lower.Low > 0 && math.Log1p(f.Change) > limit:
		f.Verdict = Fail
		f.Why = fmt.Sprintf("worse by %s, the margin is %s", percent(f.Change), percent(f.Margin))
	case upper.OK() && upper.High < limit:
		f.Verdict = Pass
		f.Why = fmt.Sprintf("at most %s worse, the margin is %s", percent(*f.PassBound), percent(f.Margin))
	default:
		f.Why = fmt.Sprintf("a change of %s is neither shown nor ruled out", percent(f.Margin))
	}
}

// noise says why the A/A pairs forbid a verdict, "" where they do not. The standard deviation is that of the comparisons, of which
// there are more, about their own centre.
func (f *Finding) noise(m results.Metric, limit float64, ratios []float64, aa []Pair) string {
	var same []float64
	for i := range aa {
		if ratio, ok := aa[i].Ratio(m); ok {
			same = append(same, ratio)
		}
	}
	if len(same) < minAA {
		return fmt.Sprintf("%d A/A pairs have a value, %d are needed to know the noise", len(same), minAA)
	}
	off := stats.HodgesLehmann(same)
	most := max(limit, noiseWidth*deviation(ratios)/math.Sqrt(float64(len(same))))
	f.AAChange, f.AALimit = relative(off), relative(most)
	if math.Abs(off) > most {
		return fmt.Sprintf("noise: the baseline against itself differs by %s, the limit is %s", signed(*f.AAChange), percent(*f.AALimit))
	}
	return ""
}

func deviation(v []float64) float64 {
	if len(v) < 2 {
		return 0
	}
	mean, sum := 0.0, 0.0
	for _, x := range v {
		mean += x / float64(len(v))
	}
	for _, x := range v {
		sum += (x - mean) * (x - mean)
	}
	return math.Sqrt(sum / float64(len(v)-1))
}

func drowned(level float64, m results.Metric, margin Margin) bool {
	if margin.BaselineAtMost <= 0 {
		return false
	}
	limit := margin.BaselineAtMost.D().Seconds()
	if m.Unit == results.UnitNsReq {
		limit = float64(margin.BaselineAtMost.D())
	}
	return level > limit
}

// died says whether a process of the candidate ended under load, or never came up: that is a failure and no noise.
func died(trials []results.Trial) string {
	for i := range trials {
		if t := &trials[i]; t.Arm == Candidate && t.Failure != nil {
			return fmt.Sprintf("round %d: the candidate failed: %s %s", t.Round, t.Failure.Process, t.Failure.Reason)
		}
	}
	return ""
}

// forced says whether one side was nearly always started first.
func forced(pairs []Pair) string {
	first := 0
	for i := range pairs {
		if pairs[i].leftFirst() {
			first++
		}
	}
	if n := len(pairs); float64(min(first, n-first)) < minOrder*float64(n) {
		return fmt.Sprintf("the baseline was started first in %d of %d rounds: the order was not swapped, so it may be what differs", first, n)
	}
	return ""
}

// unlikeArms says in what the two arms differ beside the version of a program.
func unlikeArms(plan results.Plan) string {
	arms := map[string]results.ArmInfo{}
	for _, a := range plan.Arms {
		arms[a.Name] = a
	}
	left, lok := arms[Baseline]
	right, rok := arms[Candidate]
	if !lok || !rok {
		return "the plan has no baseline and candidate"
	}
	if (left.External == "") != (right.External == "") {
		return "one side was deployed here and the other was not"
	}
	if scheme(left.External) != scheme(right.External) || left.MTLS != right.MTLS || left.Encrypted != right.Encrypted {
		return "one side is encrypted and the other is not, or differently: the difference would be that of TLS"
	}
	left.Name, right.Name, left.External, right.External = "", "", "", ""
	if !reflect.DeepEqual(left, right) {
		return "the two sides are different topologies"
	}
	return ""
}

func scheme(url string) string {
	s, _, _ := strings.Cut(url, "://")
	return s
}

// Length estimates how long the rounds up to a look take.
func (r *Rules) Length(look int) time.Duration {
	const deploying = 2 * time.Second // both sides, with their probes and take-down
	rounds := look + (look-1)/(r.AAEvery-1)
	return time.Duration(rounds) * (r.Block.D() + r.Warmup.D() + deploying)
}
