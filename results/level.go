package results

import (
	"github.com/HdrHistogram/hdrhistogram-go"

	"crossroads/results/stats"
)

// Estimate is a number over rounds with its interval, or without one where there are too few rounds.
type Estimate struct {
	Value    float64        `json:"value"`
	Interval stats.Interval `json:"interval"`
}

// Level is a metric of one cell (an arm at an offered rate) over all of its valid trials.
type Level struct {
	Arm         string   `json:"arm"`
	Rate        float64  `json:"rate"`
	Connections int      `json:"connections"`
	Metric      Metric   `json:"-"`
	Estimate    Estimate `json:"estimate"`
	N           int      `json:"n"` // trials
}

// Levels computes the metrics of every cell, in the order in which cells first ran, leaving out what no valid trial supports.
//
// A quantile is that of the merged histograms, never a mean of the trials' quantiles; any other metric is the Hodges-Lehmann
// estimate over trials. The interval is the signed-rank interval over trials in both cases: it says how far another run on this
// machine may come out elsewhere. The merged quantile weighs samples and the interval weighs trials, so the interval is widened
// where one bad trial carries the tail.
func Levels(trials []Trial, metrics []Metric) ([]Level, error) {
	type cell struct {
		arm         string
		rate        float64
		connections int
	}
	var order []cell
	valid := map[cell][]*Trial{}
	for i := range trials {
		t := &trials[i]
		if t.Outcome != Valid {
			continue
		}
		at := cell{t.Arm, t.Rate, t.Connections}
		if valid[at] == nil {
			order = append(order, at)
		}
		valid[at] = append(valid[at], t)
	}
	var levels []Level
	for _, at := range order {
		for _, m := range metrics {
			e, n, err := m.over(valid[at])
			if err != nil {
				return nil, err
			}
			if n > 0 {
				levels = append(levels, Level{at.arm, at.rate, at.connections, m, e, n})
			}
		}
	}
	return levels, nil
}

// over estimates the metric over trials; n is how many of them gave a value.
func (m Metric) over(trials []*Trial) (e Estimate, n int, err error) {
	var values []float64
	var parts []*hdrhistogram.Histogram
	for _, t := range trials {
		v, ok := m.Of(t)
		if !ok {
			continue
		}
		values = append(values, v)
		if m.times != "" {
			h, err := t.Times[m.times].Decode()
			if err != nil {
				return e, 0, err
			}
			parts = append(parts, h)
		}
	}
	if len(values) == 0 {
		return e, 0, nil
	}
	e = Estimate{Value: stats.HodgesLehmann(values), Interval: stats.SignedRank(values, Confidence)}
	if m.times != "" {
		sum, err := Merge(parts...)
		if err != nil {
			return e, 0, err
		}
		e.Value = seconds(Quantile(sum, m.quantile))
		if i := &e.Interval; i.OK() {
			i.Low, i.High = min(i.Low, e.Value), max(i.High, e.Value)
		}
	}
	return e, len(values), nil
}
