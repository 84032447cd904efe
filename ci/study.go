package ci

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"text/tabwriter"

	"crossroads/results"
	"crossroads/results/stats"
)

// Injected is a change that was made to a version on purpose, under a name that says nothing of it.
type Injected struct {
	Arm    string `json:"arm"`    // in the records
	Text   string `json:"text"`   // what was injected
	Metric string `json:"metric"` // by which it should be found; the others may find it too
	Size   string `json:"size"`   // of the change that was aimed at: +5%
	Pairs  int    `json:"pairs"`  // of the look by which it should be found
}

// Study is what stored pairs say of a gate: how often it fails where nothing changed, and how often it finds what was injected.
type Study struct {
	Scenario  string `json:"scenario"`
	AA        int    `json:"aa_pairs"`
	Dropped   int    `json:"dropped_rounds"`
	Resamples int    `json:"resamples"`
	Seed      uint64 `json:"seed"`
	False     Rate   `json:"false_failures"`
	Open      Rate   `json:"inconclusive_without_change"`
	LiveFalse Rate   `json:"live_false_failures"`
	Found     []Find `json:"injected"`
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
}

// Power is the share of resampled comparisons that have found a change by a look.
type Power struct {
	Pairs    int  `json:"pairs"`
	Detected Rate `json:"detected"`
}

// Examine studies the pairs of a self-test. Comparisons without a change take pairs of the baseline against itself and flip each at
// random, which leaves every true ratio at zero and the noise as it was. Comparisons with one take the pairs that had it, in a random
// order. A/A pairs for the noise rule are drawn beside them.
func (r *Rules) Examine(scenario string, trials []results.Trial, injected []Injected, resamples int, seed uint64) Study {
	study := Study{Scenario: scenario, Resamples: resamples, Seed: seed}
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

// draw takes n pairs at random without putting any back, and flips each at random where the sides are the same.
func (e *examination) draw(from []Pair, n int, flip bool) []Pair {
	drawn := make([]Pair, 0, n)
	for _, i := range e.random.Perm(len(from))[:min(n, len(from))] {
		p := from[i]
		if flip && e.random.IntN(2) == 0 {
			p = p.flip()
		}
		drawn = append(drawn, p)
	}
	return drawn
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
	noise := func(pairs int) int { return max(minAA, (pairs-1)/(e.rules.AAEvery-1)) }
	for _, look := range e.rules.Looks {
		if len(pairs) < look || len(e.aa) < noise(look) {
			break
		}
		found := 0
		for range resamples {
			if e.decide(only, e.draw(pairs, look, false), e.draw(e.aa, noise(look), true)).Verdict == Fail {
				found++
			}
		}
		f.Power = append(f.Power, Power{look, newRate(found, resamples)})
		if look <= i.Pairs {
			f.Detected = newRate(found, resamples)
		}
	}
	live, found := 0, 0
	for at := 0; at+i.Pairs <= len(pairs) && i.Pairs > 0; at += i.Pairs {
		live++
		if e.decide(only, pairs[at:at+i.Pairs], e.draw(e.aa, noise(i.Pairs), false)).Verdict == Fail {
			found++
		}
	}
	f.Live = newRate(found, live)
	return f
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
			fmt.Fprintf(&b, "power  %s %s  %d pairs: %s\n", f.Metric, f.Size, p.Pairs, p.Detected)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
