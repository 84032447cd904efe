package capacity

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
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
	Knee        float64      `json:"knee,omitempty"`   // of all repetitions together; 0 where one has none
	Range       [2]float64   `json:"interval"`         // of that knee
	Spread      float64      `json:"spread,omitempty"` // largest over smallest knee, less 1; 0 of one repetition
	Repetitions []Repetition `json:"repetitions"`      // that are whole, in their order
}

// Repetition is one whole search of an arm.
type Repetition struct {
	Number int `json:"repetition"` // from 1
	Bracket
	Tallies []Tally `json:"tallies"`
	Below   []Below `json:"below,omitempty"`
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

// Carry carries out the search of a plan: all repetitions of all arms in turn, step by step, each a search of its own that knows nothing of
// the others. What drifts for minutes meets all of them alike: arms can be compared, and repetitions differ by what the search adds, not
// by what the machine did in the meantime. What was found until an error is returned with it. note is told of every trial.
func Carry(ctx context.Context, p *results.Plan, try Try, note func(arm string, rate float64, text string)) ([]Arm, error) {
	if p.Search == nil {
		return nil, fmt.Errorf("run %s is no search for capacities", p.ID)
	}
	if p.Search.Fine < 1 {
		return nil, fmt.Errorf("run %s was searched by an earlier version, in another way: report it with that version, or search again", p.ID)
	}
	arms := make([]Arm, len(p.Arms))
	order := 0
	var climbs []*climb
	for _, a := range p.Arms {
		for round := 1; round <= max(1, p.Search.Repeat); round++ {
			climbs = append(climbs, &climb{plan: p, arm: a.Name, round: round, order: &order, try: try, note: note})
		}
	}
	err := inTurn(ctx, p.Seed, climbs)
	fit := jointly(climbs)
	for i, c := range climbs {
		a := &arms[i/max(1, p.Search.Repeat)]
		if a.Name = c.arm; c.found != nil {
			a.Repetitions = append(a.Repetitions, *c.found)
		}
	}
	for i := range arms {
		arms[i].sum(fit, climbs)
	}
	return arms, err
}

// jointly estimates the knees of the searches that are whole anew, all of them together. A search that found no knee keeps out of it. Where
// each has answers of a limit that stands still, there is no drift to tell from it, and what each found alone stands.
func jointly(climbs []*climb) *together {
	var steps []answered
	var knees, middles []float64
	var of []*climb
	still := true
	ofArm := map[string][]*answered{}
	for _, c := range climbs {
		for i := range c.steps {
			ofArm[c.arm] = append(ofArm[c.arm], &c.steps[i])
		}
	}
	middleOf := map[string]float64{}
	for arm, all := range ofArm {
		middleOf[arm] = slowness(all)
	}
	for _, c := range climbs {
		if c.inFit = -1; c.found == nil || c.found.Knee == 0 {
			continue
		}
		c.inFit = len(of)
		for _, s := range c.steps {
			s.search = c.inFit
			steps = append(steps, s)
		}
		of, knees, middles = append(of, c), append(knees, c.found.Knee), append(middles, middleOf[c.arm])
		still = still && c.found.sharp
	}
	if still {
		return nil
	}
	fit := fitTogether(steps, knees, middles, math.Log1p(of[0].plan.Search.Width))
	if fit == nil {
		return nil
	}
	for i, c := range of {
		knee, interval := fit.knee(i)
		c.found.around(knee, c.found.Tallies)
		c.found.Range = interval
	}
	return fit
}

// inTurn lets each climb that is not at its end make one trial before any makes another, in an order that is drawn anew each time: what comes
// after what favours none. The first error ends all of them.
func inTurn(ctx context.Context, seed uint64, climbs []*climb) error {
	random := rand.New(rand.NewPCG(seed, 0))
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
		random.Shuffle(len(turns), func(i, j int) { turns[i], turns[j] = turns[j], turns[i] })
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

// sum puts the repetitions of the arm together.
func (a *Arm) sum(fit *together, climbs []*climb) {
	if len(a.Repetitions) == 0 {
		return
	}
	var lows, highs, knees []float64
	var fitted []int
	var tallies [][]Tally
	for _, r := range a.Repetitions {
		lows, highs, knees, tallies = append(lows, r.Low), append(highs, r.High), append(knees, r.Knee), append(tallies, r.Tallies)
	}
	if a.Low = slices.Min(lows); slices.Min(highs) > 0 {
		a.High = slices.Max(highs)
	}
	if a.Low == 0 || a.High == 0 {
		return
	}
	a.Spread = slices.Max(knees)/slices.Min(knees) - 1
	for _, c := range climbs {
		if c.arm == a.Name && c.inFit >= 0 {
			fitted = append(fitted, c.inFit)
		}
	}
	if fit == nil {
		all := Estimate(pooled(tallies...))
		a.Knee, a.Range = all.Knee, all.Range
		return
	}
	a.Knee, a.Range = fit.knee(fitted...)
}

// climb is one repetition of the search on one arm.
type climb struct {
	plan  *results.Plan
	arm   string
	round int
	order *int
	made  int // trials
	steps []answered
	inFit int // which search of the joint fit it is; -1: none
	try   Try
	note  func(arm string, rate float64, text string)
	pause func() (more bool) // before every trial but the first

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
	p := c.plan.Search
	r := Repetition{Number: c.round}
	var err error
	r.Bracket, r.Tallies, err = Search{Start: p.Start, Highest: p.Highest, Width: p.Width, Fine: p.Fine, Steps: p.Steps}.Find(ctx, c.step)
	if err != nil {
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
			gauge, known := results.Gauge(&t)
			if !known {
				gauge = math.NaN()
			}
			c.steps = append(c.steps, answered{turn: c.made - 1, logRate: math.Log(rate), met: answer == Meets, gauge: math.Log(gauge)})
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
