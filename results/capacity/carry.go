package capacity

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"

	"crossroads/results"
)

// ErrEnd is what a Try answers where there is no record of the trial: the search ended there.
var ErrEnd = errors.New("the records end here")

// Try is one trial of a search: carried out, or taken from the records. Of what it is given ID, order, round, arm and rate are set.
type Try func(ctx context.Context, t results.PlannedTrial) (results.Trial, error)

// Arm is what was found of one arm.
type Arm struct {
	Name        string       `json:"arm"`
	Low         float64      `json:"low"`              // the lowest of the lower ends; 0: one repetition found none
	High        float64      `json:"high,omitempty"`   // the highest of the upper ends; 0: one repetition found none
	Spread      float64      `json:"spread,omitempty"` // largest over smallest middle of the brackets, less 1; 0 of one repetition
	Repetitions []Repetition `json:"repetitions"`
}

// Repetition is one whole search of an arm.
type Repetition struct {
	Bracket
	Below []Below `json:"below,omitempty"`
}

// Below is the arm at a share of its capacity: what a user would wait there.
type Below struct {
	Share   float64         `json:"share"` // of the bracket's lower end
	Rate    float64         `json:"rate"`
	Outcome results.Outcome `json:"outcome"`
	P50     *float64        `json:"p50_seconds,omitempty"` // of the response time; none where the trial is no evidence for it
	P99     *float64        `json:"p99_seconds,omitempty"`
}

// The shares of the capacity at which an arm is measured once more.
var belowShares = []float64{0.5, 0.8}

const stepRepeats = 3 // tries at a step whose trials are no evidence

// A later repetition begins a little below where the last one ended, with small steps: a search of its own at rates of its own, which
// need not find the way from the start again.
const (
	nearFactor = 1.25
	nearBelow  = 1.12
)

// Carry carries out the search of a plan, repetition by repetition, and within one the arms in turn, step by step: what drifts for
// minutes meets all arms alike. What was found until an error is returned with it. note is told of every trial.
func Carry(ctx context.Context, p *results.Plan, try Try, note func(arm string, rate float64, text string)) ([]Arm, error) {
	if p.Search == nil {
		return nil, fmt.Errorf("run %s is no search for capacities", p.ID)
	}
	arms := make([]Arm, len(p.Arms))
	for i, a := range p.Arms {
		arms[i].Name = a.Name
	}
	order := 0
	for round := 1; round <= max(1, p.Search.Repeat); round++ {
		climbs := make([]*climb, len(arms))
		for i, a := range arms {
			climbs[i] = &climb{plan: p, arm: a.Name, round: round, before: a.Repetitions, order: &order, try: try, note: note}
		}
		err := inTurn(ctx, climbs)
		for i, c := range climbs {
			if c.found != nil {
				arms[i].Repetitions = append(arms[i].Repetitions, *c.found)
			}
		}
		if err != nil {
			return summed(arms), err
		}
	}
	return summed(arms), nil
}

// inTurn lets each climb that is not at its end make one trial after the other has made one. The first error ends all of them.
func inTurn(ctx context.Context, climbs []*climb) error {
	type turn struct {
		climb *climb
		next  func() (struct{}, bool)
	}
	var turns []turn
	for _, c := range climbs {
		next, stop := iter.Pull(c.trials(ctx))
		defer stop()
		turns = append(turns, turn{c, next})
	}
	for len(turns) > 0 {
		var left []turn
		for _, t := range turns {
			if _, more := t.next(); more {
				left = append(left, t)
			} else if t.climb.err != nil {
				return t.climb.err
			}
		}
		turns = left
	}
	return nil
}

// summed puts the repetitions of each arm together.
func summed(arms []Arm) []Arm {
	for i := range arms {
		a := &arms[i]
		var lows, highs, middles []float64
		for _, r := range a.Repetitions {
			lows, highs, middles = append(lows, r.Low), append(highs, r.High), append(middles, math.Sqrt(r.Low*r.High))
		}
		if len(lows) == 0 {
			continue
		}
		if a.Low = slices.Min(lows); slices.Min(highs) > 0 {
			a.High = slices.Max(highs)
		}
		if a.Low > 0 && a.High > 0 {
			a.Spread = slices.Max(middles)/slices.Min(middles) - 1
		}
	}
	return arms
}

// climb is one repetition of the search on one arm.
type climb struct {
	plan   *results.Plan
	arm    string
	round  int
	before []Repetition
	order  *int
	made   int // trials
	try    Try
	note   func(arm string, rate float64, text string)
	pause  func() (more bool) // before every trial but the first

	found *Repetition // once it is whole
	err   error
}

// trials are those of one repetition; when they end, the climb has found or err.
func (c *climb) trials(ctx context.Context) iter.Seq[struct{}] {
	return func(yield func(struct{}) bool) {
		c.pause = func() bool { return yield(struct{}{}) }
		r, err := c.repetition(ctx)
		if c.err = err; err == nil {
			c.found = &r
		}
	}
}

// errLeft ends a climb that nobody goes on with.
var errLeft = errors.New("another arm's search ended with an error")

func (c *climb) repetition(ctx context.Context) (Repetition, error) {
	var r Repetition
	var err error
	if r.Bracket, err = c.search().Find(ctx, c.step); err != nil {
		return r, err
	}
	for _, share := range belowShares {
		if r.Low == 0 {
			break
		}
		below, err := c.below(ctx, share, math.Round(share*r.Low))
		if err != nil {
			return r, err
		}
		r.Below = append(r.Below, below)
	}
	return r, nil
}

// search begins where the plan says, or near what the last repetition found.
func (c *climb) search() Search {
	p := c.plan.Search
	s := Search{Start: p.Start, Highest: p.Highest, Width: p.Width, Steps: p.Steps}
	if n := len(c.before); n > 0 && c.before[n-1].Low > 0 && c.before[n-1].High > 0 {
		s.Start, s.Factor = max(lowestRate, math.Round(c.before[n-1].Low/nearBelow)), nearFactor
	}
	return s
}

// step answers for one rate. A trial that is no evidence is repeated, a few times, and never counts as a miss.
func (c *climb) step(ctx context.Context, rate float64) (Answer, error) {
	why := ""
	for range stepRepeats {
		t, err := c.trial(ctx, rate)
		if err != nil {
			return Unknown, err
		}
		answer, text := Ask(&t, c.plan.Objectives)
		c.note(c.arm, rate, text)
		if answer != Unknown {
			return answer, nil
		}
		why = text
	}
	return Unknown, fmt.Errorf("%w at %g/s in %d tries: %s", ErrNoEvidence, rate, stepRepeats, why)
}

// below measures the arm at a share of its capacity.
func (c *climb) below(ctx context.Context, share, rate float64) (Below, error) {
	b := Below{Share: share, Rate: rate}
	for range stepRepeats {
		t, err := c.trial(ctx, rate)
		if err != nil {
			return b, err
		}
		if b.Outcome = t.Outcome; t.Outcome == results.Invalid {
			continue
		}
		if t.Outcome == results.Valid { // a latency is never quoted at a rate that was not achieved
			b.P50, b.P99 = quantile(&t, 0.50), quantile(&t, 0.99)
		}
		break
	}
	return b, nil
}

func quantile(t *results.Trial, q float64) *float64 {
	v, ok := results.TimeQuantile(results.Response, q).Of(t)
	if !ok {
		return nil
	}
	return &v
}

func (c *climb) trial(ctx context.Context, rate float64) (results.Trial, error) {
	if c.made > 0 && !c.pause() {
		return results.Trial{}, errLeft
	}
	c.made++
	*c.order++
	t, err := c.try(ctx, results.PlannedTrial{ID: fmt.Sprintf("r%d-%s-%03d", c.round, c.arm, c.made), Order: *c.order, Round: c.round, Arm: c.arm, Rate: rate})
	if err == nil && t.Rate != rate {
		err = fmt.Errorf("trial %s was made at %g/s where the search asks for %g/s: the records are of another search, or of another version of it", t.ID, t.Rate, rate)
	}
	return t, err
}

// Recorded answers from records alone, and with ErrEnd where they end.
func Recorded(trials []results.Trial) Try {
	by := map[string]results.Trial{}
	for _, t := range trials {
		by[t.ID] = t
	}
	return func(_ context.Context, planned results.PlannedTrial) (results.Trial, error) {
		t, known := by[planned.ID]
		if !known {
			return t, ErrEnd
		}
		return t, nil
	}
}
