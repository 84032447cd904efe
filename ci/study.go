package ci

import (
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"crossroads/results"
	"crossroads/results/stats"
)

// Injected is a change that was made to a version on purpose, under a name that says nothing of it.
type Injected struct {
	Arm    string `json:"arm"`    // in the records
	Text   string `json:"text"`   // what is injected, as the build with the tag crossroads_injected reads it
	Metric string `json:"metric"` // by which it should be found; the others may find it too
	Size   string `json:"size"`   // of the change that was aimed at: +5%
	Pairs  int    `json:"pairs"`  // of the look by which it should be found
}

// Aimed is the size of the change that was aimed at, as a share; 0 where none is written down.
func (i Injected) Aimed() float64 {
	size, err := strconv.ParseFloat(strings.TrimSuffix(i.Size, "%"), 64)
	if err != nil {
		return 0
	}
	return size / 100
}

// Study is what stored pairs say of a gate: how often it fails where nothing changed, and how often it finds what was injected.
type Study struct {
	Collections []string `json:"collections,omitempty"` // directories that hold the pairs, from the one that the study stands in
	Scenario    string   `json:"scenario"`
	AA          int      `json:"aa_pairs"`
	Dropped     int      `json:"dropped_rounds"`
	Resamples   int      `json:"resamples"`
	Round       float64  `json:"round_seconds"` // from the start of one round to that of the next, median: deploying included
	Seed        uint64   `json:"seed"`
	False       Rate     `json:"false_failures"`
	Open        Rate     `json:"inconclusive_without_change"`
	LiveFalse   Rate     `json:"live_false_failures"`
	Found       []Find   `json:"injected"`
}

// Rate is how many of so many comparisons, with the interval of Clopper and Pearson. Resampled comparisons share their pairs: their
// interval holds for these stored pairs, and that of the live ones for the machine.
type Rate struct {
	Count    int            `json:"count"`
	Of       int            `json:"of"`
	Interval stats.Interval `json:"interval"`
}

func newRate(count, of int) Rate {
	return Rate{count, of, stats.ClopperPearson(count, of, results.Confidence)}
}

func (r Rate) String() string {
	if r.Of == 0 {
		return "none yet"
	}
	return fmt.Sprintf("%d of %d (%.1f%%, 95%% interval %.1f%% to %.1f%%)", r.Count, r.Of, 100*float64(r.Count)/float64(r.Of), 100*r.Interval.Low, 100*r.Interval.High)
}

// Find is how an injected change was found.
type Find struct {
	Injected
	Stored   int     `json:"stored_pairs"`
	Change   Finding `json:"measured"` // over all stored pairs, of the metric by which it should be found
	Detected Rate    `json:"detected"` // by this metric alone, at the look it should be found by or before, resampled
	Live     Rate    `json:"live"`     // the same, in comparisons of pairs that ran one after the other
	Power    []Power `json:"power"`
	Curve    []Point `json:"curve"` // what would be found of larger and smaller changes, by the look at which this one should be
}

// Power is the share of resampled comparisons that have found a change by a look.
type Power struct {
	Pairs    int  `json:"pairs"`
	Rounds   int  `json:"rounds"` // with the A/A ones among them
	Detected Rate `json:"detected"`
}

// Resamples is how many comparisons are made from the stored pairs for each rate.
const Resamples = 2000

// Point is the share of comparisons that find a change of exactly this size: A/A pairs whose one side is made worse by it afterwards,
// which leaves the noise as it was.
type Point struct {
	Change float64 `json:"change"` // relative
	Power
}

// curveSteps are the sizes of a curve, as multiples of the size that is aimed at.
var curveSteps = []float64{0, 0.25, 0.5, 0.75, 1, 1.25, 1.5}

// Examine studies the pairs of a self-test. Comparisons without a change take pairs of the baseline against itself and flip each at
// random, which leaves every true ratio at zero and the noise as it was. Comparisons with one take the pairs that had it, in a random
// order. A/A pairs for the noise rule are drawn beside them.
func (r *Rules) Examine(scenario string, trials []results.Trial, injected []Injected, resamples int, seed uint64) Study {
	study := Study{Scenario: scenario, Resamples: resamples, Seed: seed, Round: roundLength(trials)}
	s, _ := r.Scenarios.Get(scenario)
	e := &examination{rules: r, scenario: s, random: rand.New(rand.NewPCG(seed, 0x57ad)), study: &study}
	e.aa = e.usable(trials, Again)
	study.AA = len(e.aa)
	e.withoutChange(resamples)
	for _, i := range injected {
		study.Found = append(study.Found, e.with(i, e.usable(trials, i.Arm), resamples))
	}
	return study
}

// roundLength is the median time from the start of one round to that of the next, in seconds; 0 of fewer than two rounds. The pauses
// between sittings are few beside it.
func roundLength(trials []results.Trial) float64 {
	began := map[int]time.Time{}
	for _, t := range trials {
		if first, known := began[t.Round]; !known || t.Started.Before(first) {
			began[t.Round] = t.Started
		}
	}
	starts := slices.SortedFunc(maps.Values(began), time.Time.Compare)
	var lengths []float64
	for i := 1; i < len(starts); i++ {
		lengths = append(lengths, starts[i].Sub(starts[i-1]).Seconds())
	}
	if len(lengths) == 0 {
		return 0
	}
	return stats.Median(lengths)
}

// noisePairs is how many A/A pairs a gate has at a look.
func (r *Rules) noisePairs(look int) int { return max(minAA, (look-1)/(r.AAEvery-1)) }

type examination struct {
	rules    *Rules
	scenario Scenario
	random   *rand.Rand
	aa       []Pair
	study    *Study
}

// usable are the pairs of the baseline and one other arm that are evidence.
func (e *examination) usable(trials []results.Trial, arm string) []Pair {
	var of []results.Trial
	rounds := map[int]bool{}
	for _, t := range trials {
		if t.Arm == arm {
			rounds[t.Round] = true
		}
	}
	for _, t := range trials {
		if !rounds[t.Round] {
			continue
		}
		if t.Arm == arm && arm != Again {
			t.Arm = Candidate
		}
		of = append(of, t)
	}
	var usable []Pair
	for _, p := range Pairs(of) {
		if p.Usable() {
			usable = append(usable, p)
		} else {
			e.study.Dropped++
		}
	}
	return usable
}

// decide holds pairs against the rules as if they had run in this order with A/A pairs between them. Later looks than the pairs reach
// count in the level of every test, as they do in a gate.
func (e *examination) decide(s Scenario, pairs, aa []Pair) Decision {
	play := func(from []Pair, number func(i int) int) []Pair {
		played := make([]Pair, len(from))
		for i, p := range from {
			p.Round = number(i)
			played[i] = p
		}
		return played
	}
	every := e.rules.AAEvery
	pairs = play(pairs, func(i int) int { return i + 1 + i/(every-1) })
	aa = play(aa, func(i int) int { return (i + 1) * every })
	var d Decision
	e.rules.sequence(&d, s, pairs, aa)
	return d
}

// draw takes n pairs at random without putting any back. Where the sides are the same, each is flipped so that either comes first every
// second time, as in a gate: which of them keep their sides is as random as their order.
func (e *examination) draw(from []Pair, n int, flip bool) []Pair {
	shuffled := make([]Pair, 0, len(from))
	for _, i := range e.random.Perm(len(from)) {
		shuffled = append(shuffled, from[i])
	}
	if !flip {
		drawn, _ := lineUp(shuffled, n)
		return drawn
	}
	drawn := shuffled[:min(n, len(shuffled))]
	for i, begin := 0, e.random.IntN(2); i < len(drawn); i++ {
		if drawn[i].leftFirst() != ((i+begin)%2 == 0) {
			drawn[i] = drawn[i].flip()
		}
	}
	return drawn
}

// lineUp takes the first n pairs of which neither order makes up more than a gate allows, and leaves the rest in its order. Where there
// are too few of one order it takes what there is.
func lineUp(from []Pair, n int) (taken, rest []Pair) {
	room := [2]int{n - int(math.Ceil(minOrder*float64(n)))}
	room[1] = room[0]
	var passed []Pair
	for _, p := range from {
		order := 0
		if p.leftFirst() {
			order = 1
		}
		switch {
		case len(taken) == n || room[order] == 0:
			passed = append(passed, p)
		default:
			taken, room[order] = append(taken, p), room[order]-1
		}
	}
	missing := min(n-len(taken), len(passed))
	return append(taken, passed[:missing]...), passed[missing:]
}

func (e *examination) withoutChange(resamples int) {
	last := e.rules.Looks[len(e.rules.Looks)-1]
	need := last + (last-1)/(e.rules.AAEvery-1)
	if len(e.aa) < need {
		return
	}
	failed, open := 0, 0
	count := func(pairs []Pair) Verdict { return e.decide(e.scenario, pairs[:last], pairs[last:]).Verdict }
	for range resamples {
		switch count(e.draw(e.aa, need, true)) {
		case Fail:
			failed++
		case Inconclusive:
			open++
		}
	}
	e.study.False, e.study.Open = newRate(failed, resamples), newRate(open, resamples)
	live, liveFailed := 0, 0
	for at := 0; at+need <= len(e.aa); at += need {
		live++
		if count(e.aa[at:at+need]) == Fail {
			liveFailed++
		}
	}
	e.study.LiveFalse = newRate(liveFailed, live)
}

// with examines one injected change.
func (e *examination) with(i Injected, pairs []Pair, resamples int) Find {
	f := Find{Injected: i, Stored: len(pairs)}
	if m, known := MetricNamed(i.Metric); known {
		f.Change, _ = measure(m, pairs)
	}
	// The others may find it sooner, a spin for instance by its CPU time; at the level of the whole gate this one has to find it too.
	only := e.scenario
	only.Metrics.Clear()
	margin, _ := e.scenario.Metrics.Get(i.Metric)
	only.Metrics.Set(i.Metric, margin)
	for _, look := range e.rules.Looks {
		noise := e.rules.noisePairs(look)
		if len(pairs) < look || len(e.aa) < noise {
			break
		}
		found := e.found(only, resamples, func() (drawn, aa []Pair) {
			return e.draw(pairs, look, false), e.draw(e.aa, noise, true)
		})
		f.Power = append(f.Power, Power{look, look + noise, found})
		if look <= i.Pairs {
			f.Detected = found
		}
	}
	f.Curve = e.curve(i, only, resamples)
	live, found := 0, 0
	for rest := pairs; i.Pairs > 0 && len(rest) >= i.Pairs; live++ {
		var one []Pair
		one, rest = lineUp(rest, i.Pairs)
		if e.decide(only, one, e.meanwhile(one[0].Round, e.rules.noisePairs(i.Pairs))).Verdict == Fail {
			found++
		}
	}
	f.Live = newRate(found, live)
	return f
}

// found is how many of so many drawn comparisons fail.
func (e *examination) found(s Scenario, resamples int, draw func() (pairs, aa []Pair)) Rate {
	failed := 0
	for range resamples {
		if pairs, aa := draw(); e.decide(s, pairs, aa).Verdict == Fail {
			failed++
		}
	}
	return newRate(failed, resamples)
}

// curve is what is found of changes by one metric whose size is known exactly.
func (e *examination) curve(i Injected, only Scenario, resamples int) []Point {
	m, known := MetricNamed(i.Metric)
	size := i.Aimed()
	noise := e.rules.noisePairs(i.Pairs)
	if !known || size == 0 || i.Pairs == 0 || len(e.aa) < i.Pairs+noise {
		return nil
	}
	var curve []Point
	for _, step := range curveSteps {
		p := Point{Change: step * size, Power: Power{Pairs: i.Pairs, Rounds: i.Pairs + noise}}
		p.Detected = e.found(only, resamples, func() (pairs, aa []Pair) {
			drawn := e.draw(e.aa, p.Rounds, true)
			for k := range i.Pairs {
				drawn[k] = drawn[k].worse(m, p.Change)
			}
			return drawn[:i.Pairs], drawn[i.Pairs:]
		})
		curve = append(curve, p)
	}
	return curve
}

// meanwhile are the n A/A pairs that ran from a round on, or the last ones where so many no longer follow.
func (e *examination) meanwhile(round, n int) []Pair {
	at := slices.IndexFunc(e.aa, func(p Pair) bool { return p.Round >= round })
	if last := max(0, len(e.aa)-n); at < 0 || at > last {
		at = last
	}
	return e.aa[at:min(at+n, len(e.aa))]
}

func (s *Study) length(p Power) time.Duration {
	return time.Duration(float64(p.Rounds) * s.Round * float64(time.Second)).Round(time.Second)
}

// Text writes the study for a terminal, and as the summary that is kept beside the pairs.
func (s *Study) Text(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d A/A pairs, %d rounds dropped, %d resamples\n\n", s.Scenario, s.AA, s.Dropped, s.Resamples)
	fmt.Fprintf(&b, "false failures             %s\n", s.False)
	fmt.Fprintf(&b, "  in live comparisons      %s\n", s.LiveFalse)
	fmt.Fprintf(&b, "inconclusive, no change    %s\n\n", s.Open)
	t := tabwriter.NewWriter(&b, 2, 0, 2, ' ', 0)
	fmt.Fprintln(t, "injected\taimed at\tmeasured\tpairs stored\tdetected by\tresampled\tlive")
	for _, f := range s.Found {
		fmt.Fprintf(t, "%s\t%s %s\t%s\t%d\t%d pairs\t%s\t%s\n", f.Injected.Text, f.Metric, f.Size, f.Change.spell(), f.Stored, f.Pairs, f.Detected, f.Live)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, f := range s.Found {
		for _, p := range f.Power {
			fmt.Fprintf(&b, "power  %s %s  %d pairs, %s with the A/A rounds: %s\n", f.Metric, f.Size, p.Pairs, s.length(p), p.Detected)
		}
	}
	for _, f := range s.Found {
		for _, p := range f.Curve {
			fmt.Fprintf(&b, "a change of exactly %s in %s  %d pairs: %s\n", signed(p.Change), f.Metric, p.Pairs, p.Detected)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
