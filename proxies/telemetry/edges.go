package telemetry

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"crossroads/proxies/edges"
	"crossroads/proxies/exchange"
)

// Edges are the golden metrics of a sidecar: by direction and by who called whom.
type Edges struct {
	total    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	overhead *prometheus.HistogramVec
	known    atomic.Pointer[map[edgeKey]*EdgeMetrics]
	mu       sync.Mutex
}

type edgeKey struct{ direction, source, destination string }

// maxEdges bounds the table of edges: a mesh of one service calling more services than this is counted as "other".
const maxEdges = 1024

// NewEdges registers requests_total{direction,source,destination,code,classification} and its durations.
func (m *Metrics) NewEdges() *Edges {
	e := &Edges{
		total:    m.counter("requests_total", "Requests answered, by edge.", "direction", "source", "destination", "code", "classification"),
		duration: m.histogram("request_duration_seconds", "Head read to last byte sent.", "direction", "source", "destination"),
		overhead: m.histogram("overhead_seconds", "Time in the sidecar alone: without waiting for upstreams.", "direction"),
	}
	e.known.Store(&map[edgeKey]*EdgeMetrics{})
	e.export(m)
	return e
}

// Edge returns the metrics of one edge. source and destination are verified identities and configured services, never input.
func (e *Edges) Edge(direction, source, destination string) *EdgeMetrics {
	key := edgeKey{direction, source, destination}
	if m, ok := (*e.known.Load())[key]; ok {
		return m
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	known := *e.known.Load()
	if len(known) >= maxEdges {
		key.source, key.destination = "other", "other"
	}
	if m, ok := known[key]; ok {
		return m
	}
	m := &EdgeMetrics{table: e, key: key,
		duration: e.duration.WithLabelValues(key.direction, key.source, key.destination),
		overhead: e.overhead.WithLabelValues(key.direction)}
	m.codes.Store(&map[outcome]prometheus.Counter{})
	more := maps.Clone(known)
	more[key] = m
	e.known.Store(&more)
	return m
}

// EdgeMetrics are the metrics of one edge in one direction.
type EdgeMetrics struct {
	edges.Recorder // for reports to the control plane
	table          *Edges
	key            edgeKey
	duration       prometheus.Observer
	overhead       prometheus.Observer
	codes          atomic.Pointer[map[outcome]prometheus.Counter]
	mu             sync.Mutex
}

type outcome struct {
	code  uint16
	class string
}

// Classify tells errors made here from errors passed on: success, failure (the callee answered 5xx, or its answer was cut) or
// mesh_error (this proxy answered itself).
func Classify(x *exchange.Exchange, end exchange.End) string {
	switch {
	case x.Fault != nil:
		return "mesh_error"
	case x.Response.StatusCode() >= 500 || end == exchange.UpstreamCut || end == exchange.DeadlineExceeded:
		return "failure"
	}
	return "success"
}

// Observe counts one finished request.
func (m *EdgeMetrics) Observe(x *exchange.Exchange, end exchange.End, took time.Duration) {
	key := outcome{codeOf(x.Response.StatusCode()), Classify(x, end)}
	counter, ok := (*m.codes.Load())[key]
	if !ok {
		counter = m.add(key)
	}
	counter.Inc()
	own := max(0, took-x.Upstream)
	m.duration.Observe(took.Seconds())
	m.overhead.Observe(own.Seconds())
	o, reason := Outcome(x, end)
	m.Recorder.Observe(o, reason, x.Attempts, took, own)
}

// Outcome says what a report calls it. What is refused for the caller's own doing, with 4xx, is no failure of the edge.
func Outcome(x *exchange.Exchange, end exchange.End) (edges.Outcome, string) {
	switch {
	case x.Fault != nil && x.Fault.Status < 500:
		return edges.Refused, ""
	case x.Fault != nil:
		return edges.Made, x.Fault.Reason
	case Classify(x, end) == "failure":
		return edges.Passed, ""
	}
	return edges.Served, ""
}

func (m *EdgeMetrics) add(key outcome) prometheus.Counter {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := *m.codes.Load()
	if counter, ok := known[key]; ok {
		return counter
	}
	more := maps.Clone(known)
	more[key] = m.table.total.WithLabelValues(m.key.direction, m.key.source, m.key.destination, codeText(key.code), key.class)
	m.codes.Store(&more)
	return more[key]
}
