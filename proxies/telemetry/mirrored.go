package telemetry

// Mirrored counts copies of requests: mirrored_requests_total{destination,result}.
type Mirrored struct{ copies *counters }

// NewMirrored registers the metric.
func (m *Metrics) NewMirrored() *Mirrored {
	return &Mirrored{newCounters(m.counter("mirrored_requests_total", "Copies of requests, by where they went and what came of it.", "destination", "result"), 2)}
}

// Count counts one copy: sent, failed, busy or body. destination is a configured service.
func (m *Mirrored) Count(destination, result string) { m.copies.of(labels{destination, result}).Inc() }
