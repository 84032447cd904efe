// Package stats holds the estimators, intervals and tests that measurements of few, noisy blocks need: numbers in, numbers out.
//
// Its one invariant: an interval that the data cannot support is not given. Where there are too few observations the answer says
// so in its type (Interval.Method is None) instead of being wide, zero or NaN. Everything is a pure function of its arguments;
// what is drawn at random is drawn from a seed.
//
// It knows nothing of trials, arms or rounds (package results does), and it decides nothing (package ci does).
//
// The beta, binomial and normal distributions are gonum's. The intervals are made here: go-moremath's interval of a quantile is a
// normal approximation beyond 30 samples and may lie outside the sample, and no well-kept library has the others.
package stats

import (
	"fmt"
	"math"
	"slices"
)

// Method says how an interval was found.
type Method string

const (
	None   Method = ""       // there is no interval: too few observations for the confidence asked for
	Exact  Method = "exact"  // from the exact distribution
	Normal Method = "normal" // from the normal approximation
)

// Interval is a two-sided confidence interval, or the statement that there is none. The zero value is no interval.
type Interval struct {
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	Level  float64 `json:"level"` // confidence reached, at least what was asked for where Method is Exact
	N      int     `json:"n"`     // observations
	Method Method  `json:"method"`
}

// OK says whether there is an interval.
func (i Interval) OK() bool { return i.Method != None }

// Contains says whether v lies within; without an interval nothing does.
func (i Interval) Contains(v float64) bool { return i.OK() && i.Low <= v && v <= i.High }

func (i Interval) String() string {
	if !i.OK() {
		return fmt.Sprintf("no interval (n = %d)", i.N)
	}
	return fmt.Sprintf("[%g, %g]", i.Low, i.High)
}

// Median returns the middle of x, the mean of the two middle values where their number is even, and NaN of nothing.
func Median(x []float64) float64 {
	return medianSorted(slices.Sorted(slices.Values(x)))
}

func medianSorted(s []float64) float64 {
	n := len(s)
	switch {
	case n == 0:
		return math.NaN()
	case n%2 == 1:
		return s[n/2]
	}
	return s[n/2-1] + (s[n/2]-s[n/2-1])/2
}

// MAD returns the median absolute deviation from the median, unscaled. For normal data 1.4826 times it estimates the standard
// deviation.
func MAD(x []float64) float64 {
	m := Median(x)
	d := make([]float64, len(x))
	for i, v := range x {
		d[i] = math.Abs(v - m)
	}
	return Median(d)
}
