// Package capacity is how the capacity of an arm is searched: which rate is tried next, what one trial says of it, and what was found
// in the end.
//
// Its one invariant: a search is a function of the answers that it gets. So a search that was killed goes on by being carried out again
// over its records, a report is computed by the same code from the records alone, and nothing of it need be stored but trials.
//
// It deploys and loads nothing: who carries a search out is asked for each trial in turn.
package capacity

import (
	"context"
	"errors"
	"fmt"
	"math"
)

// Answer is what one step of a capacity search said of a rate.
type Answer int

// The answers. A step whose trial is no evidence is repeated, and never counted as a failure of the target.
const (
	Unknown Answer = iota
	Meets
	Misses
)

// Search finds the highest offered rate that meets the objectives. It doubles the rate until a step misses, bisects until the
// bracket is within Width, and confirms both ends: the lower one by 3 of 3 steps that meet, the upper one by 2 of 3 that miss. The
// answer is a bracket and never a point.
type Search struct {
	Start   float64 // per second
	Highest float64 // beyond which it does not go
	Width   float64 // relative, 0.03
	Steps   int     // at most, so that a target that answers at random ends the search too
	Factor  float64 // of the first two rates; it grows to 2. 0: 2. Smaller where a guess is near
}

// Bracket is where the capacity lies: at Low every step met the objectives, at High most missed them.
type Bracket struct {
	Low   float64 `json:"low"`            // 0: even the lowest rate tried missed
	High  float64 `json:"high,omitempty"` // 0: no rate that was tried missed
	Width float64 `json:"width"`          // relative
	Steps int     `json:"steps"`          // with an answer
	Note  string  `json:"note,omitempty"` // why it is wider than asked for, or open
}

// String is the bracket as it is read: 2378 to 2450/s.
func (b Bracket) String() string {
	switch {
	case b.Low == 0 && b.High == 0:
		return "not known"
	case b.High == 0:
		return fmt.Sprintf("at least %.0f/s", b.Low)
	case b.Low == 0:
		return fmt.Sprintf("below %.0f/s", b.High)
	}
	return fmt.Sprintf("%.0f to %.0f/s", b.Low, b.High)
}

// The repetitions of a step.
const (
	confirmations = 3 // steps at each end
	missesNeeded  = 2 // of them, at the upper end
	lowestRate    = 1 // per second: below it nothing is searched
	most          = 2 // factor between rates before there is a bracket
)

// ErrNoEvidence says that a rate gave no evidence however often it was tried.
var ErrNoEvidence = errors.New("no evidence")

// searching is a search under way.
type searching struct {
	Search
	try   func(ctx context.Context, rate float64) (Answer, error)
	tally map[float64][2]int // steps that met, steps that missed
	steps int
}

// Find searches with try, which carries out one step and answers Meets or Misses, or wraps ErrNoEvidence where it cannot be known.
// What was found until then is returned beside an error of that kind in the bracket's note.
func (s Search) Find(ctx context.Context, try func(ctx context.Context, rate float64) (Answer, error)) (Bracket, error) {
	f := &searching{Search: s, try: try, tally: map[float64][2]int{}}
	b, err := f.find(ctx)
	b.Steps = f.steps
	if errors.Is(err, ErrNoEvidence) {
		f.onlySeen(&b)
		b.Note, err = err.Error()+"; the ends are not confirmed", nil
	}
	if b.Low > 0 && b.High > 0 {
		if b.Width = b.High/b.Low - 1; b.Note == "" && f.grey(b) {
			b.Note = "rates within the bracket met the objectives and missed them: it cannot be narrower"
		}
	}
	return b, err
}

// onlySeen moves the ends of a search that was given up to rates that were tried and never answered otherwise: an end that was about
// to be tried is no finding.
func (f *searching) onlySeen(b *Bracket) {
	low, high := 0.0, 0.0
	for rate, t := range f.tally {
		if rate <= b.Low && t[0] > 0 && t[1] == 0 {
			low = max(low, rate)
		}
		if b.High > 0 && rate >= b.High && t[1] > 0 && t[0] == 0 && (high == 0 || rate < high) {
			high = rate
		}
	}
	b.Low, b.High = low, high
}

func (f *searching) find(ctx context.Context) (Bracket, error) {
	b, err := f.double(ctx)
	for err == nil && b.Low > 0 && b.High > 0 && b.Note == "" {
		if b.High/b.Low-1 > f.Width && !f.grey(b) {
			err = f.bisect(ctx, &b)
			continue
		}
		var moved bool
		if moved, err = f.confirm(ctx, &b); err != nil || !moved {
			break
		}
	}
	return b, err
}

// step tries a rate once more.
func (f *searching) step(ctx context.Context, rate float64) (Answer, error) {
	if f.steps >= f.Steps {
		return Unknown, fmt.Errorf("%w: the target answered differently at the same rate; given up after %d steps", ErrNoEvidence, f.steps)
	}
	answer, err := f.try(ctx, rate)
	if err != nil {
		return Unknown, err
	}
	f.steps++
	t := f.tally[rate]
	if answer == Meets {
		t[0]++
	} else {
		t[1]++
	}
	f.tally[rate] = t
	return answer, nil
}

// double goes up from the start until a step misses, or down from it until one meets.
func (f *searching) double(ctx context.Context) (b Bracket, err error) {
	rate, factor := math.Min(f.Start, f.Highest), f.Factor
	if factor == 0 {
		factor = most
	}
	for ; ; factor = math.Min(factor*factor, most) {
		answer, err := f.step(ctx, rate)
		if err != nil {
			return b, err
		}
		if answer == Meets {
			b.Low = rate
		} else {
			b.High = rate
		}
		switch {
		case b.Low > 0 && b.High > 0:
			return b, nil
		case answer == Meets && rate >= f.Highest:
			f.unbounded(&b)
			return b, nil
		case answer == Misses && rate <= lowestRate:
			b.Note = fmt.Sprintf("even %.0f/s missed the objectives", rate)
			return b, nil
		case answer == Meets:
			rate = math.Min(f.outwards(rate, factor), f.Highest)
		default:
			rate = math.Max(f.outwards(rate, 1/factor), lowestRate)
		}
	}
}

func (f *searching) bisect(ctx context.Context, b *Bracket) error {
	middle := math.Round(math.Sqrt(b.Low * b.High)) // of a ratio: rates are told apart by per cent
	if middle <= b.Low || middle >= b.High {
		b.Note = "the rates are too low to be told apart more closely"
		return nil
	}
	answer, err := f.step(ctx, middle)
	if err != nil {
		return err
	}
	if answer == Meets {
		b.Low = middle
	} else {
		b.High = middle
	}
	return nil
}

// grey says that a rate within the bracket was tried as often as an end and is neither: no bisection makes the bracket narrower.
func (f *searching) grey(b Bracket) bool {
	for rate, t := range f.tally {
		if rate > b.Low && rate < b.High && t[0] > 0 && t[1] > 0 {
			return true
		}
	}
	return false
}

// confirm tries the ends again. An end that does not hold moves outwards, and moved says so.
func (f *searching) confirm(ctx context.Context, b *Bracket) (moved bool, err error) {
	for f.tally[b.Low][0] < confirmations {
		answer, err := f.step(ctx, b.Low)
		if err != nil {
			return false, err
		}
		if answer == Misses { // then it may be the upper end, which is asked once the lower one holds
			return true, f.down(ctx, b)
		}
	}
	for f.tally[b.High][1] < missesNeeded {
		answer, err := f.step(ctx, b.High)
		if err != nil {
			return false, err
		}
		if t := f.tally[b.High]; answer == Meets && t[0] > confirmations-missesNeeded {
			return true, f.up(ctx, b)
		}
	}
	return false, nil
}

// down moves the lower end, which missed, to a rate that meets: by the width, and further each time, since an end that was found by one
// lucky step may be far off. What it passes is bisected anew.
func (f *searching) down(ctx context.Context, b *Bracket) error {
	for reach := 1 + f.Width; ; reach = math.Min(reach*reach, most) {
		if b.Low, b.High = f.outwards(b.Low, 1/reach), b.Low; b.Low < lowestRate {
			b.Low = 0
			return nil
		}
		if answer, err := f.step(ctx, b.Low); err != nil || answer == Meets {
			return err
		}
	}
}

// up moves the upper end, which did not miss often enough, to a rate that misses. Rates that meet on the way are the lower end's.
func (f *searching) up(ctx context.Context, b *Bracket) error {
	for reach := 1 + f.Width; ; reach = math.Min(reach*reach, most) {
		if b.High >= f.Highest {
			f.unbounded(b)
			return nil
		}
		b.High = math.Min(f.outwards(b.High, reach), f.Highest)
		answer, err := f.step(ctx, b.High)
		if err != nil || answer == Misses {
			return err
		}
		b.Low = b.High
	}
}

// unbounded is the bracket of a search that found no rate to miss.
func (f *searching) unbounded(b *Bracket) {
	b.High, b.Note = 0, fmt.Sprintf("every rate up to %.0f/s met the objectives: raise --highest", f.Highest)
}

// outwards is the next rate on the way to lower or higher ones, whole, different from the last, and no further than the factor: a bracket
// that is a rounding wider than asked for would be bisected at once.
func (f *searching) outwards(rate, factor float64) float64 {
	if factor < 1 {
		return min(rate-1, math.Ceil(rate*factor))
	}
	return max(rate+1, math.Floor(rate*factor))
}
