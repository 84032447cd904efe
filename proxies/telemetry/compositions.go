package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Parts counts and times the parts of compositions.
type Parts struct {
	total   *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

// NewParts registers the metrics. It is called once.
func (m *Metrics) NewParts() *Parts {
	return &Parts{
		total:   m.counter("aggregation_parts_total", "Parts fetched for composed answers, by result.", "route", "part", "result"),
		seconds: m.histogram("aggregation_part_seconds", "Time to fetch a part, its body included.", "route", "part"),
	}
}

// Fetched counts one part; result is a word of this program, never of an upstream.
func (p *Parts) Fetched(route, part, result string, d time.Duration) {
	p.total.WithLabelValues(route, part, result).Inc()
	p.seconds.WithLabelValues(route, part).Observe(d.Seconds())
}
