package results

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"crossroads/results/stats"
)

// Estimate is a number over rounds with its interval, or without one where there are too few rounds.
type Estimate struct {
	Value    float64        `json:"value"`
	Interval stats.Interval `json:"interval"`
}

// Overhead is what an arm adds to direct at one offered rate.
type Overhead struct {
	Direct    string    `json:"direct"`
	Arm       string    `json:"arm"`
	Rate      float64   `json:"rate"`
	Metric    string    `json:"metric"` // label
	N         int       `json:"n"`      // pairs; 0: there is no estimate, and Note says why
	Added     Estimate  `json:"added"`  // in the metric's unit
	Percent   *Estimate `json:"percent,omitempty"`
	Pairs     []Pair    `json:"pairs,omitempty"`
	Excluded  int       `json:"excluded"`  // pairs that one side invalidates: failed, invalid, missing or without the metric
	Saturated int       `json:"saturated"` // pairs with a side that did not keep up: the difference holds for overload
	Note      string    `json:"note,omitempty"`
}

// Pair is direct and the arm in the same round, under the same schedule.
type Pair struct {
	Round       int     `json:"round"`
	Connections int     `json:"connections"`
	Direct      float64 `json:"direct"`
	Arm         float64 `json:"arm"`
}

// Overheads estimates what arm adds to direct at a rate. The block is the unit of inference, never the request: trials are paired
// by round (and number of connections), the estimate is the Hodges-Lehmann estimate over the pairs' differences, and its interval
// the signed-rank interval. Percent is the same of each pair's difference in per cent of its direct side, where direct is not 0.
//
// A pair with a failed, invalid or missing side is left out and counted. A saturated side counts, because leaving it out would be
// choosing by outcome, but is labelled.
func Overheads(trials []Trial, direct, arm string, rate float64, m Metric) Overhead {
	o := Overhead{Direct: direct, Arm: arm, Rate: rate, Metric: m.Label()}
	sides := pairUp(trials, direct, arm, rate)
	for _, at := range slices.SortedFunc(maps.Keys(sides), func(a, b place) int {
		return cmp.Or(cmp.Compare(a.round, b.round), cmp.Compare(a.connections, b.connections))
	}) {
		d, dok := usable(sides[at][0], m)
		a, aok := usable(sides[at][1], m)
		if !dok || !aok {
			o.Excluded++
			continue
		}
		if sides[at][0].Outcome == Saturated || sides[at][1].Outcome == Saturated {
			o.Saturated++
		}
		o.Pairs = append(o.Pairs, Pair{at.round, at.connections, d, a})
	}
	o.N = len(o.Pairs)
	o.estimate()
	o.Note = o.note()
	return o
}

type place struct{ round, connections int }

// pairUp collects the trials of both arms at a rate: direct first, the arm second; nil where a side has no record.
func pairUp(trials []Trial, direct, arm string, rate float64) map[place][2]*Trial {
	sides := map[place][2]*Trial{}
	for i := range trials {
		t := &trials[i]
		if t.Rate != rate || t.Arm != direct && t.Arm != arm {
			continue
		}
		at := place{t.Round, t.Connections}
		pair := sides[at]
		if t.Arm == direct {
			pair[0] = t
		}
		if t.Arm == arm {
			pair[1] = t
		}
		sides[at] = pair
	}
	return sides
}

func usable(t *Trial, m Metric) (float64, bool) {
	if t == nil || t.Outcome != Valid && t.Outcome != Saturated {
		return 0, false
	}
	return m.Of(t)
}

func (o *Overhead) estimate() {
	if o.N == 0 {
		return
	}
	var added, percent []float64
	for _, p := range o.Pairs {
		added = append(added, p.Arm-p.Direct)
		if p.Direct != 0 {
			percent = append(percent, 100*(p.Arm-p.Direct)/p.Direct)
		}
	}
	over := func(d []float64) Estimate {
		return Estimate{Value: stats.HodgesLehmann(d), Interval: stats.SignedRank(d, Confidence)}
	}
	o.Added = over(added)
	if len(percent) == o.N {
		p := over(percent)
		o.Percent = &p
	}
}

func (o *Overhead) note() string {
	var parts []string
	switch {
	case o.N == 0:
		parts = append(parts, "no round in which both sides can be compared")
	case !o.Added.Interval.OK():
		parts = append(parts, fmt.Sprintf("no interval (n = %d)", o.N))
	}
	if o.Excluded > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d rounds left out", o.Excluded, o.Excluded+o.N))
	}
	if o.Saturated > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d rounds saturated", o.Saturated, o.N))
	}
	return strings.Join(parts, "; ")
}
