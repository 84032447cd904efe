package workload

import (
	"math"
	"time"

	"crossroads/topologies"
)

// Distribution turns a draw from [0, 1) into a wait, by the inverse of its cumulative distribution.
type Distribution func(u float64) time.Duration

// NewDistribution returns nil where there is nothing to wait for.
func NewDistribution(w *topologies.Wait) Distribution {
	switch {
	case w.Fixed != nil && *w.Fixed > 0:
		fixed := w.Fixed.D()
		return func(float64) time.Duration { return fixed }
	case w.Uniform != nil:
		low, width := float64(w.Uniform.Min), float64(w.Uniform.Max-w.Uniform.Min)
		return func(u float64) time.Duration { return time.Duration(low + u*width) }
	case w.Exponential != nil:
		mean := float64(w.Exponential.Mean)
		return func(u float64) time.Duration { return bounded(-mean * math.Log1p(-u)) }
	case w.Lognormal != nil:
		median, sigma := float64(w.Lognormal.Median), w.Lognormal.Sigma
		return func(u float64) time.Duration {
			// The normal quantile is sqrt(2) * erfinv(2u - 1); u = 0 would be minus infinity, which is a wait of nothing.
			return bounded(median * math.Exp(sigma*math.Sqrt2*math.Erfinv(2*u-1)))
		}
	case len(w.Recorded) > 0:
		recorded := w.Recorded
		return func(u float64) time.Duration { return recorded[int(u*float64(len(recorded)))].D() }
	}
	return nil
}

// longestWait bounds the tail of a distribution that has no bound: beyond it every driver has given up.
const longestWait = time.Minute

func bounded(ns float64) time.Duration { return time.Duration(min(ns, float64(longestWait))) }
