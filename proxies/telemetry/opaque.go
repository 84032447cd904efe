package telemetry

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Opaque are the metrics of connections that carry bytes and not requests, by edge.
type Opaque struct {
	total    *prometheus.CounterVec
	open     *prometheus.GaugeVec
	bytes    *prometheus.CounterVec
	detected *counters
	mu       sync.Mutex
	known    map[edgeKey]*OpaqueEdge
}

// OpaqueEdge are the metrics of one edge in one direction.
type OpaqueEdge struct {
	of             *Opaque
	key            edgeKey
	Open           prometheus.Gauge
	Sent, Received prometheus.Counter // bytes towards who connected, and from there
}

// NewOpaque registers tcp_connections_total{direction,source,destination,result}, tcp_open_connections, tcp_bytes_total{...,way} and
// protocol_detected_total{protocol}.
func (m *Metrics) NewOpaque() *Opaque {
	return &Opaque{
		total:    m.counter("tcp_connections_total", "Opaque connections that ended, by edge and result.", "direction", "source", "destination", "result"),
		open:     m.gauge("tcp_open_connections", "Opaque connections that are open.", "direction", "source", "destination"),
		bytes:    m.counter("tcp_bytes_total", "Bytes of opaque connections: received from who connected, or sent there.", "direction", "source", "destination", "way"),
		detected: newCounters(m.counter("protocol_detected_total", "What redirected connections turned out to carry.", "protocol"), 1),
		known:    map[edgeKey]*OpaqueEdge{},
	}
}

// Detected counts what one connection turned out to carry.
func (o *Opaque) Detected(protocol string) { o.detected.of(labels{protocol}).Inc() }

// Edge returns the metrics of one edge. source and destination are verified identities and configured services, never input.
func (o *Opaque) Edge(direction, source, destination string) *OpaqueEdge {
	o.mu.Lock()
	defer o.mu.Unlock()
	key := edgeKey{direction, source, destination}
	if len(o.known) >= maxEdges && o.known[key] == nil {
		key.source, key.destination = "other", "other"
	}
	if o.known[key] == nil {
		o.known[key] = &OpaqueEdge{of: o, key: key, Open: o.open.WithLabelValues(key.direction, key.source, key.destination),
			Sent:     o.bytes.WithLabelValues(key.direction, key.source, key.destination, "sent"),
			Received: o.bytes.WithLabelValues(key.direction, key.source, key.destination, "received")}
	}
	return o.known[key]
}

// Ended counts a connection that is over: ok, or the reason why it was refused or could not be carried on.
func (e *OpaqueEdge) Ended(result string) {
	e.of.total.WithLabelValues(e.key.direction, e.key.source, e.key.destination, result).Inc()
}
