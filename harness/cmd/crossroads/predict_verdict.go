package main

import (
	"fmt"
	"math"
	"strings"

	"crossroads/harness/predict"
)

// aims are how far a prediction may lie from what is measured afterwards, as a share of the measurement.
var aims = []struct {
	what string
	aim  float64
	told func(f *foretold) predict.Value
	is   func(f *predict.Facts) float64
}{
	{"p50", 0.10, func(f *foretold) predict.Value { return f.P50 }, func(f *predict.Facts) float64 { return f.P50 }},
	{"p99", 0.25, func(f *foretold) predict.Value { return f.P99 }, func(f *predict.Facts) float64 { return f.P99 }},
	{"CPU", 0.10, func(f *foretold) predict.Value { return f.CPU }, func(f *predict.Facts) float64 { return f.CPU }},
}

// What a prediction is held against.
func atUsualSpeed(f *foretold) *predict.Facts { return f.Measured }
func asMeasured(f *foretold) *predict.Facts   { return f.AsMeasured }

// foretoldFacts is how a prediction stood against the measurement.
type foretoldFacts struct {
	Met     bool        `json:"met"` // every number of every cell was measured, and lies within its aim
	Metrics []aimedFact `json:"metrics"`
}

// aimedFact is one kind of number over all cells.
type aimedFact struct {
	Metric   string  `json:"metric"`
	Aim      float64 `json:"aim"`
	Worst    float64 `json:"worst"`     // largest error, as a share of the measurement
	WorstArm string  `json:"worst_arm"` //
	Within   int     `json:"within"`    // cells within the aim
	Inside   int     `json:"inside"`    // cells whose measurement lies in the interval of the prediction
	Cells    int     `json:"cells"`     // measured
	Unknown  int     `json:"unknown"`   // cells without a valid trial that gives the number: they count against the aim
}

func judgeForetold(all []foretold, measured func(*foretold) *predict.Facts) *foretoldFacts {
	v := &foretoldFacts{Met: len(all) > 0}
	for _, a := range aims {
		m := aimedFact{Metric: a.what, Aim: a.aim}
		for i := range all {
			told, is := a.told(&all[i]), a.is(measured(&all[i]))
			if !(is > 0) {
				m.Unknown++
				continue
			}
			m.Cells++
			miss := told.Value/is - 1
			if math.Abs(miss) > math.Abs(m.Worst) || m.WorstArm == "" {
				m.Worst, m.WorstArm = miss, all[i].Arm
			}
			if math.Abs(miss) <= a.aim {
				m.Within++
			}
			if told.Low <= is && is <= told.High {
				m.Inside++
			}
		}
		v.Met = v.Met && m.Within == len(all)
		v.Metrics = append(v.Metrics, m)
	}
	return v
}

func (v *foretoldFacts) text() string {
	var b strings.Builder
	for _, m := range v.Metrics {
		fmt.Fprintf(&b, "%s: %d of %d within %.0f%%, %d in the interval; worst %+.1f%% (%s)", m.Metric, m.Within, m.Cells+m.Unknown, 100*m.Aim, m.Inside, 100*m.Worst, m.WorstArm)
		if m.Unknown > 0 {
			fmt.Fprintf(&b, "; %d not measured", m.Unknown)
		}
		b.WriteString("\n")
	}
	if v.Met {
		return b.String() + "the aim is met\n"
	}
	return b.String() + "the aim is missed\n"
}
