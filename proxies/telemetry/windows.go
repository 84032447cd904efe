package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"crossroads/proxies/edges"
)

// Windows cuts the windows of all edges, for a report to the control plane. One goroutine calls it.
func (e *Edges) Windows(now time.Time) []edges.Window {
	var found []edges.Window
	for key, m := range *e.known.Load() {
		w, ok := m.Cut(now)
		if !ok || len(found) >= edges.MaxWindows || !reportable(key) {
			continue
		}
		w.Direction, w.Peer = key.direction, key.destination
		if key.direction == edges.Inbound {
			w.Peer = key.source
			if w.Peer == Unauthenticated {
				w.Peer = ""
			}
		}
		found = append(found, w)
	}
	return found
}

// Unauthenticated stands for callers without an identity.
const Unauthenticated = "unauthenticated"

// Unknown stands for a destination that the proxy does not know.
const Unknown = "unknown"

// reportable leaves out what no one edge is.
func reportable(k edgeKey) bool {
	return k.destination != Unknown && k.destination != "other" && k.source != "other"
}

// export registers edge_requests_in_flight, edge_attempts_total and retry_amplification, which are read from the edges when somebody
// asks: a request costs nothing more.
func (e *Edges) export(m *Metrics) {
	by := []string{"direction", "source", "destination"}
	m.Registry.MustRegister(&edgeCollector{edges: e,
		inFlight: prometheus.NewDesc(m.prefix+"edge_requests_in_flight", "Requests on their way, by edge.", by, nil),
		attempts: prometheus.NewDesc(m.prefix+"edge_attempts_total", "Tries, the first ones included, by edge.", by, nil),
		amplified: prometheus.NewDesc(m.prefix+"retry_amplification",
			"Tries per request in the last window reported to the control plane; 1 without retries.", by, nil),
	})
}

type edgeCollector struct {
	edges                         *Edges
	inFlight, attempts, amplified *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *edgeCollector) Describe(to chan<- *prometheus.Desc) {
	to <- c.inFlight
	to <- c.attempts
	to <- c.amplified
}

// Collect implements prometheus.Collector.
func (c *edgeCollector) Collect(to chan<- prometheus.Metric) {
	for k, m := range *c.edges.known.Load() {
		send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64) {
			to <- prometheus.MustNewConstMetric(d, kind, v, k.direction, k.source, k.destination)
		}
		send(c.inFlight, prometheus.GaugeValue, float64(m.InFlight()))
		send(c.attempts, prometheus.CounterValue, float64(m.Attempts()))
		if v := m.Amplification(); v > 0 {
			send(c.amplified, prometheus.GaugeValue, v)
		}
	}
}
