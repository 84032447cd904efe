package telemetry

// Handshakes counts how TLS handshakes between proxies ended: handshakes_total{direction,result}.
type Handshakes struct{ ended *counters }

// NewHandshakes registers the metric.
func (m *Metrics) NewHandshakes() *Handshakes {
	return &Handshakes{newCounters(m.counter("handshakes_total",
		"TLS handshakes with peers: full, resumed, failed (a reset, a timeout), or why the peer was refused.", "direction", "result"), 2)}
}

// Count counts one. Both are words of ours.
func (h *Handshakes) Count(direction, result string) { h.ended.of(labels{direction, result}).Inc() }
