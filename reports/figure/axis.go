package figure

import (
	"math"

	"gonum.org/v1/plot"

	"crossroads/reports/quantity"
)

// span is the range of an axis, grown by what it has to show.
type span struct{ low, high float64 }

func empty() span { return span{math.Inf(1), math.Inf(-1)} }

// take grows the span by the values that the axis can show: numbers, and on a logarithmic axis positive ones.
func (s *span) take(a Axis, values ...float64) {
	for _, v := range values {
		if a.shows(v) {
			s.low, s.high = min(s.low, v), max(s.high, v)
		}
	}
}

func (a Axis) shows(v float64) bool {
	return !math.IsNaN(v) && !math.IsInf(v, 0) && (a.Scale != Log || v > 0)
}

// bounds leaves some air around the data, and always returns low < high, both positive on a logarithmic axis.
func (a Axis) bounds(s span) (low, high float64) {
	for _, t := range a.Ticks {
		s.take(a, t)
	}
	if s.low > s.high {
		s = span{0.1, 1}
	}
	switch {
	case a.Scale == Log:
		air := max(math.Pow(s.high/s.low, 0.06), 1.08)
		return s.low / air, s.high * air
	case a.Zero && s.low >= 0:
		return 0, max(s.high*1.06, 1e-9)
	}
	air := (s.high - s.low) * 0.05
	if air == 0 {
		air = max(math.Abs(s.high)*0.1, 1e-9)
	}
	return s.low - air, s.high + air
}

// logarithm is plot.LogScale without its panic: what cannot be shown stands at the lower end.
type logarithm struct{}

func (logarithm) Normalize(low, high, v float64) float64 {
	if low <= 0 || high <= low {
		return 0
	}
	return math.Log(max(v, low)/low) / math.Log(high/low)
}

// apply sets range, scale and ticks of one of the plot's axes.
func (a Axis) apply(to *plot.Axis, s span) {
	to.Min, to.Max = a.bounds(s)
	if a.Scale == Log {
		to.Scale = logarithm{}
	}
	to.Tick.Marker = ticker{a}
}

type ticker struct{ axis Axis }

// Ticks implements plot.Ticker.
func (t ticker) Ticks(low, high float64) []plot.Tick {
	switch {
	case t.axis.Scale == Nines:
		return nines(low, high)
	case len(t.axis.Ticks) > 0:
		return labelled(t.axis.Ticks)
	case t.axis.Scale == Log && high/low >= 4:
		return logTicks(low, high)
	}
	return labelled(round(low, high, 5))
}

func labelled(at []float64) []plot.Tick {
	ticks := make([]plot.Tick, len(at))
	for i, v := range at {
		ticks[i] = plot.Tick{Value: v, Label: tickLabel(v)}
	}
	return ticks
}

func tickLabel(v float64) string { return quantity.Tick(v) }

// logTicks stand at 1, 2 and 5 of each decade; over more than three decades only the decades have numbers.
func logTicks(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	wide := high/low > 2000
	for e := math.Floor(math.Log10(low)); e <= math.Ceil(math.Log10(high)); e++ {
		for _, m := range []float64{1, 2, 5} {
			v := m * math.Pow(10, e)
			if v < low || v > high {
				continue
			}
			tick := plot.Tick{Value: v, Label: tickLabel(v)}
			if wide && m != 1 {
				tick.Label = ""
			}
			ticks = append(ticks, tick)
		}
	}
	return ticks
}

// round returns about n round numbers between low and high.
func round(low, high float64, n int) []float64 {
	step := math.Pow(10, math.Floor(math.Log10((high-low)/float64(n))))
	for _, m := range []float64{1, 2, 5, 10} {
		if (high-low)/(step*m) <= float64(n) {
			step *= m
			break
		}
	}
	var at []float64
	for i := math.Ceil(low / step); i*step <= high*(1+1e-12); i++ {
		at = append(at, i*step)
	}
	return at
}

// nines are the percentiles that people name.
func nines(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	for _, p := range []struct {
		q     float64
		label string
	}{{0.5, "p50"}, {0.9, "p90"}, {0.99, "p99"}, {0.999, "p99.9"}, {0.9999, "p99.99"}, {0.99999, "p99.999"}} {
		if x := -math.Log10(1 - p.q); x >= low-1e-9 && x <= high+1e-9 {
			ticks = append(ticks, plot.Tick{Value: x, Label: p.label})
		}
	}
	return ticks
}
