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

// Search finds the highest offered rate that meets the objectives, by going up and down (Dixon and Mood 1948): a step that meets is
// followed by one at a higher rate, a step that misses by one at a lower rate. Rates lie on a ladder whose rungs are Width apart. The
// stride begins as a doubling of the rate; it is halved whenever the answer changes, and doubled when it has been the same four times,
// so that one lucky step costs a few others and not the answer. It ends after Fine steps of one rung.
//
// Near its capacity a machine meets the objectives in one minute and misses them in the next, so that a rate that is confirmed by three
// steps of one minute says little of the next one. Steps up and down stay near the rate that is met half of the time, which is what is
// estimated, from all of them (Find).
type Search struct {
	Start   float64 // per second
	Highest float64 // beyond which it does not go
	Width   float64 // relative, 0.03
	Fine    int     // steps of one rung, after which it ends
	Steps   int     // at most, whatever the stride
}

// Bounds of a search.
const (
	lowestRate = 1 // per second: below it nothing is searched
	most       = 2 // factor between rates, as long as every answer is the same
	same       = 4 // answers alike, after which the stride grows
	atTheEdge  = 3 // answers alike at the highest or lowest rate, which end the search
)

// ErrNoEvidence says that a rate gave no evidence however often it was tried.
var ErrNoEvidence = errors.New("no evidence")

// Find searches with try, which carries out one step and answers Meets or Misses, or wraps ErrNoEvidence where it cannot be known.
// What was found until then is returned beside an error of that kind in the bracket's note, and with any other error.
func (s Search) Find(ctx context.Context, try func(ctx context.Context, rate float64) (Answer, error)) (Bracket, []Tally, error) {
	seen := map[float64]Tally{}
	steps := 0
	note, err := s.walk(func(rate float64) (Answer, error) {
		if steps >= s.Steps {
			return Unknown, fmt.Errorf("%w: given up after %d steps", ErrNoEvidence, steps)
		}
		answer, err := try(ctx, rate)
		if err != nil {
			return Unknown, err
		}
		steps++
		t := seen[rate]
		if t.Rate = rate; answer == Meets {
			t.Met++
		} else {
			t.Missed++
		}
		seen[rate] = t
		return answer, nil
	})
	if errors.Is(err, ErrNoEvidence) {
		note, err = err.Error()+"; the search is not finished", nil
	}
	tallies := sorted(seen)
	b := Estimate(tallies)
	b.Steps, b.Note = steps, note
	if b.Note == "" && b.Width > s.Width*rounding {
		b.Note = "no rates within the bracket were tried"
	}
	return b, tallies, err
}

// rounding is how much wider than asked for a rung may be because rates are whole.
const rounding = 1.1

// walk makes the steps, and says what kept it from its end.
func (s Search) walk(step func(rate float64) (Answer, error)) (note string, err error) {
	l := s.ladder()
	rung, last, alike, atEdge := 0, Unknown, 0, 0
	stride := l.doubling
	for fine := 0; fine < s.Fine; {
		answer, err := step(l.rate(rung))
		if err != nil {
			return "", err
		}
		switch {
		case answer == last && alike == same-1:
			stride, alike = min(2*stride, l.doubling), 0
		case answer == last:
			alike++
		case last == Unknown:
			alike = 1
		default:
			stride, alike = (stride+1)/2, 1
		}
		last = answer
		if stride == 1 {
			fine++
		}
		next := rung - stride
		if answer == Meets {
			next = rung + stride
		}
		if next = min(max(next, l.bottom), l.top); next != rung {
			rung, atEdge = next, 0
			continue
		}
		if atEdge++; atEdge < atTheEdge {
			continue
		}
		if answer == Meets {
			return fmt.Sprintf("every step at %.0f/s, the highest rate that is tried, met the objectives: raise --highest", s.Highest), nil
		}
		return fmt.Sprintf("even %.0f/s missed the objectives", l.rate(rung)), nil
	}
	return "", nil
}

// ladder is the rates that a search may try: whole ones, a width apart, from the lowest to the highest.
type ladder struct {
	start, highest, factor float64
	bottom, top            int // rungs; 0 is the start
	doubling               int // rungs
}

func (s Search) ladder() ladder {
	l := ladder{start: min(s.Start, s.Highest), highest: s.Highest, factor: 1 + s.Width}
	rungs := func(ratio float64) int { return int(math.Ceil(math.Log(ratio)/math.Log(l.factor) - 1e-9)) }
	l.top, l.bottom, l.doubling = rungs(s.Highest/l.start), -rungs(l.start/lowestRate), rungs(most)
	return l
}

func (l ladder) rate(rung int) float64 {
	return math.Round(min(max(l.start*math.Pow(l.factor, float64(rung)), lowestRate), l.highest))
}
