package ci

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"crossroads/results"
)

// The arms of a duet. In an A/A round the baseline runs against itself.
const (
	Baseline  = "baseline"
	Candidate = "candidate"
	Again     = "baseline-again"
)

// The limits of a pair beside those of its trials.
const (
	maxBusy   = 0.60            // of the machine: beyond it the two sides compete for CPU instead of sharing it
	rateSlack = 0.01            // by which what was due may differ from what was declared
	startedBy = 0.10            // share of a block by which the two blocks may begin apart
	startSlop = 2 * time.Second // and what is allowed of that in any case: processes need time to start
)

// Pair is one round of a duet: two trials that ran at the same time.
type Pair struct {
	Round   int
	AA      bool
	Left    *results.Trial // the baseline
	Right   *results.Trial // the candidate, or the baseline again
	Dropped []string       // why the pair is no evidence; none where it is

	levels  map[string]levels // by metric: a histogram is taken out of its record once
	flipped bool              // the sides have changed places, in a resampling
}

// levels are a metric of both sides as they were recorded.
type levels struct {
	left, right float64
	ok          bool
}

// Levels are a metric of the left and the right side; ok is false where a side has no evidence for it.
func (p *Pair) Levels(m results.Metric) (left, right float64, ok bool) {
	l, known := p.levels[m.Name]
	if !known {
		var lok, rok bool
		l.left, lok = m.Of(p.Left)
		l.right, rok = m.Of(p.Right)
		l.ok = lok && rok
		if p.levels != nil {
			p.levels[m.Name] = l
		}
	}
	if p.flipped {
		l.left, l.right = l.right, l.left
	}
	return l.left, l.right, l.ok
}

// flip is the pair with its sides in each other's place: as likely as the pair itself where both ran the same.
func (p Pair) flip() Pair {
	p.flipped = !p.flipped
	return p
}

// worse is the pair with the right side's level of a metric raised by a share, or lowered where higher is better.
func (p Pair) worse(m results.Metric, by float64) Pair {
	left, right, ok := p.Levels(m)
	if right *= 1 + by; m.Better == "higher" {
		right /= (1 + by) * (1 + by)
	}
	if p.flipped { // it stays so: its order is that of the sides as they are now
		left, right = right, left
	}
	p.levels = map[string]levels{m.Name: {left, right, ok}}
	return p
}

// Usable says whether the pair is evidence.
func (p *Pair) Usable() bool { return len(p.Dropped) == 0 }

// Ratio is ln(right/left) of a metric, positive where the right side is worse. ok is false where a side has no evidence for the
// metric, or a level that has no logarithm.
func (p *Pair) Ratio(m results.Metric) (r float64, ok bool) {
	left, right, ok := p.Levels(m)
	if !ok || !(left > 0) || !(right > 0) {
		return 0, false
	}
	r = math.Log(right / left)
	if m.Better == "higher" {
		r = -r
	}
	return r, !math.IsNaN(r) && !math.IsInf(r, 0)
}

// Pairs puts the trials of a duet side by side, by round. A round of which one side has no record (yet) makes no pair. Where a trial
// was recorded more than once the last attempt counts.
func Pairs(trials []results.Trial) []Pair {
	sides := map[int][2]*results.Trial{}
	aa := map[int]bool{}
	for i := range trials {
		t := &trials[i]
		at := 1
		switch t.Arm {
		case Baseline:
			at = 0
		case Again:
			aa[t.Round] = true
		case Candidate:
		default:
			continue
		}
		both := sides[t.Round]
		if both[at] == nil || both[at].Attempt < t.Attempt {
			both[at] = t
		}
		sides[t.Round] = both
	}
	var pairs []Pair
	for _, round := range slices.Sorted(maps.Keys(sides)) {
		both := sides[round]
		if both[0] == nil || both[1] == nil {
			continue
		}
		p := Pair{Round: round, AA: aa[round], Left: both[0], Right: both[1], levels: map[string]levels{}}
		p.Dropped = p.faults()
		pairs = append(pairs, p)
	}
	return pairs
}

// faults are the reasons for which the pair is no evidence: none of them looks at a level, or at which version is on which side.
func (p *Pair) faults() []string {
	var why []string
	busiest := 0.0
	for _, t := range []*results.Trial{p.Left, p.Right} {
		if t.Outcome != results.Valid {
			why = append(why, fmt.Sprintf("%s %s%s", t.Arm, cmp.Or(t.Outcome, "not judged"), firstReason(t)))
		}
		switch seen := t.Elapsed > 0 && t.Host.CPUs > 0; {
		case seen:
			busiest = max(busiest, float64(t.Host.Busy)/(float64(t.Host.CPUs)*float64(t.Elapsed)))
		case t.Outcome == results.Valid:
			why = append(why, fmt.Sprintf("%s: how busy the machine was is not recorded", t.Arm))
		}
	}
	if busiest >= maxBusy {
		why = append(why, fmt.Sprintf("the machine was %.0f%% busy, the limit is %.0f%%", 100*busiest, 100*maxBusy))
	}
	return append(why, p.unlike()...)
}

func firstReason(t *results.Trial) string {
	if len(t.Reasons) == 0 {
		return ""
	}
	return ": " + t.Reasons[0].Text
}

// unlike says in what the load of the two sides differs, or differs from what was declared.
func (p *Pair) unlike() []string {
	l, r := p.Left, p.Right
	var why []string
	if l.Rate != r.Rate || l.Connections != r.Connections || l.Duration != r.Duration || l.PlannedTrial.Driver != r.PlannedTrial.Driver {
		why = append(why, "the two sides were not declared the same load")
	}
	if l.Attempt != r.Attempt {
		why = append(why, "its sides are not of the same attempt: they did not run at the same time")
	}
	for _, t := range []*results.Trial{l, r} {
		due := t.Rate * time.Duration(t.Duration).Seconds()
		if t.Failure == nil && t.Counts.Planned > 0 && math.Abs(float64(t.Counts.Planned)-due) > max(1, rateSlack*due) {
			why = append(why, fmt.Sprintf("%s: %d requests were due in the block, %.0f were declared", t.Arm, t.Counts.Planned, due))
		}
	}
	apart := l.Started.Sub(r.Started).Abs()
	if limit := max(startSlop, time.Duration(startedBy*float64(l.Duration))); apart > limit {
		why = append(why, fmt.Sprintf("the two sides began %s apart by the clock: they did not run at the same time, or the clock was set",
			apart.Round(time.Millisecond)))
	}
	return why
}

// Wasted is how many of the latest rounds in a row are no evidence.
func Wasted(trials []results.Trial) int {
	pairs := Pairs(trials)
	n := 0
	for n < len(pairs) && !pairs[len(pairs)-1-n].Usable() {
		n++
	}
	return n
}

// leftFirst says whether the baseline was started before the other side.
func (p *Pair) leftFirst() bool { return (p.Left.Order < p.Right.Order) != p.flipped }
