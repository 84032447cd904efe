package capacity

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// Tally is how often the steps at one rate met the objectives.
type Tally struct {
	Rate   float64 `json:"rate"`
	Met    int     `json:"met"`
	Missed int     `json:"missed"`
}

// Bracket is where the capacity lies: between two rates that were tried and have no other between them, around the rate at which half of the
// steps meet the objectives (Estimate).
type Bracket struct {
	Low   float64    `json:"low"`            // 0: even the lowest rate tried is above it
	High  float64    `json:"high,omitempty"` // 0: no rate that was tried is above it
	Width float64    `json:"width"`          // relative
	Knee  float64    `json:"knee,omitempty"` // the rate that is met half of the time, as estimated; 0 where an end is open
	Range [2]float64 `json:"interval"`       // in which the knee lies with 95%, if steps err independently; an end that is open is 0
	Steps int        `json:"steps"`          // with an answer
	Note  string     `json:"note,omitempty"` // why it is wider than asked for, or open

	sharp bool // the answers are those of a limit that does not move
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

// Estimate says at which rate half of the steps meet the objectives. The share of those that do is taken to be a logistic function of the
// logarithm of the rate, of any steepness, and a step in fifty to be decided by something else, so that no single one of them
// carries far (Wichmann and Hill 2001, Perception & Psychophysics 63). The estimate is that of the largest likelihood, the interval that of its profile:
// the knees that are not refused at 5% (it holds 92 to 96% where steps err independently; what drifts for minutes is in it only as far as the
// steps saw it).
//
// The tallies are in ascending order of their rates.
func Estimate(tallies []Tally) Bracket {
	var b Bracket
	if len(tallies) == 0 {
		return b
	}
	p := profileOf(tallies)
	from, to := p.within(plateau)
	knee := math.Exp((from + to) / 2)
	b.around(knee, tallies)
	b.sharp = p.spread == narrowest
	from, to = p.within(refusal(tallies))
	if from > p.first() {
		b.Range[0] = math.Exp(from - fineness)
	}
	if to < p.last() {
		b.Range[1] = math.Exp(to + fineness)
	}
	if b.Knee > 0 { // where between two rates that were tried a knee lies, no step says
		b.Range[0] = min(b.Range[0], b.Low)
		if b.Range[1] > 0 {
			b.Range[1] = max(b.Range[1], b.High)
		}
	}
	return b
}

const (
	plateau   = 1e-6  // of log likelihood: a share that falls at once from one to none leaves a plateau between two rates
	lapses    = 0.02  // share of steps that are decided by something else than the rate, half of them to either side
	fineness  = 0.002 // of the knees that are tried, relative
	beyond    = 0.25  // how far beyond the rates that were tried a knee is looked for, relative
	narrowest = 0.01  // logistic spreads of the knee that are tried, relative
	widest    = 0.3
)

// around sets the bracket to the rates that were tried around a knee.
func (b *Bracket) around(knee float64, tallies []Tally) {
	b.Low, b.High, b.Width, b.Knee = 0, 0, 0, 0
	for _, t := range tallies {
		if t.Rate <= knee {
			b.Low = t.Rate
		} else if b.High == 0 {
			b.High = t.Rate
		}
	}
	if b.Low > 0 && b.High > 0 {
		b.Width, b.Knee = b.High/b.Low-1, knee
	}
}

// refusal is how far below the largest a log likelihood has to be for its knee to be refused at 5%: by the quantile of Student's t, squared, since
// the spread is estimated from as few steps as the knee (with chi-squared's, intervals of 16 fine steps held 88 of 100 knees).
func refusal(tallies []Tally) float64 {
	steps := 0
	for _, t := range tallies {
		steps += t.Met + t.Missed
	}
	return squared(student(steps)) / 2
}

// student is the reach of a 95% interval in standard deviations, where knee and spread are estimated from so many steps.
func student(steps int) float64 {
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(max(1, steps-2))}.Quantile(0.975)
}

func squared(x float64) float64 { return x * x }

// profile is the largest log likelihood of each knee, over all steepnesses.
type profile struct {
	logRates []float64 // of the knees, ascending
	best     []float64
	spread   float64 // of the best of them
}

func profileOf(tallies []Tally) profile {
	var p profile
	highest := math.Inf(-1)
	var logRates []float64 // of the tallies
	for _, t := range tallies {
		logRates = append(logRates, math.Log(t.Rate))
	}
	first, last := logRates[0]-beyond, logRates[len(logRates)-1]+beyond
	for knee := first; knee <= last; knee += fineness {
		best := math.Inf(-1)
		for spread := narrowest; spread < widest; spread *= 2 {
			best = max(best, logLikelihood(tallies, logRates, knee, spread))
			if best > highest {
				highest, p.spread = best, spread
			}
		}
		p.logRates, p.best = append(p.logRates, knee), append(p.best, best)
	}
	return p
}

func (p profile) first() float64 { return p.logRates[0] }
func (p profile) last() float64  { return p.logRates[len(p.logRates)-1] }

// within is the lowest and the highest knee whose log likelihood is no further than this below the largest.
func (p profile) within(below float64) (from, to float64) {
	least := slices.Max(p.best) - below
	holds := func(l float64) bool { return l >= least }
	from = p.logRates[slices.IndexFunc(p.best, holds)]
	for i, l := range p.best {
		if holds(l) {
			to = p.logRates[i]
		}
	}
	return from, to
}

// shareAbove is the share of steps that meet so far above the knee, in logarithms: logistic with lapses, and without them.
func shareAbove(above, spread float64) (share, logistic float64) {
	logistic = 1 / (1 + math.Exp(above/spread))
	return lapses/2 + (1-lapses)*logistic, logistic
}

// logLikelihood is that of a share which falls through a half at the knee, with a logistic spread of the logarithm of the rate.
func logLikelihood(tallies []Tally, logRates []float64, knee, spread float64) (sum float64) {
	for i, t := range tallies {
		meets, _ := shareAbove(logRates[i]-knee, spread)
		sum += float64(t.Met)*math.Log(meets) + float64(t.Missed)*math.Log(1-meets)
	}
	return sum
}

// sorted is the tallies in ascending order of their rates.
func sorted(by map[float64]Tally) []Tally {
	var all []Tally
	for _, rate := range slices.Sorted(maps.Keys(by)) {
		all = append(all, by[rate])
	}
	return all
}

// pooled puts the tallies of several searches together.
func pooled(searches ...[]Tally) []Tally {
	sum := map[float64]Tally{}
	for _, tallies := range searches {
		for _, t := range tallies {
			s := sum[t.Rate]
			sum[t.Rate] = Tally{t.Rate, s.Met + t.Met, s.Missed + t.Missed}
		}
	}
	return sorted(sum)
}
