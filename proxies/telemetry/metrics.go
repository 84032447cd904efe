// Package telemetry says what a proxy does: Prometheus metrics, an access log of JSON lines, W3C trace context and Server-Timing.
//
// Its one invariant: no label and no line grows with what clients send; unknown methods, codes and edges collapse into "other",
// and a log that cannot be written drops lines and counts them rather than hold requests up. It exports no spans and aggregates
// nothing: that is the work of whoever scrapes it.
package telemetry

import (
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Buckets of durations in seconds, from 5 us up: a stage takes microseconds, an upstream may take seconds.
var Buckets = []float64{
	5e-6, 10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6,
	1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1, 2.5, 5, 10,
}

// Metrics is what every proxy counts. Its names begin with the proxy's prefix, gateway_ or sidecar_.
type Metrics struct {
	Registry *prometheus.Registry

	prefix      string
	rejected    *counters
	attempts    *counters
	auth        *prometheus.CounterVec
	limits      *prometheus.CounterVec
	sources     *prometheus.CounterVec
	evictions   prometheus.Counter
	connects    *prometheus.HistogramVec
	stages      *prometheus.HistogramVec
	trips       *counters
	upstreams   upstreams
	reloads     *prometheus.CounterVec
	stagesInfo  *prometheus.GaugeVec
	logDropped  prometheus.Counter
	connections prometheus.Gauge
	inFlight    prometheus.Gauge
}

// NewMetrics makes the metrics of one proxy, in a registry of their own. prefix is gateway or sidecar.
func NewMetrics(prefix, version string) *Metrics {
	m := &Metrics{Registry: prometheus.NewRegistry(), prefix: prefix + "_"}
	m.rejected = newCounters(m.counter("rejected_requests_total", "Requests refused before or by a stage, by reason.", "reason"), 1)
	m.attempts = newCounters(m.counter("upstream_attempts_total", "Tries at an upstream, by result.", "upstream", "result"), 2)
	m.trips = newCounters(m.counter("breaker_transitions_total", "Changes of a breaker's state.", "upstream", "state"), 2)
	m.upstreams = newUpstreams(m)
	m.auth = m.counter("auth_decisions_total", "Authentication decisions.", "scheme", "outcome")
	m.limits = m.counter("rate_limit_decisions_total", "Rate limit decisions.", "policy", "decision")
	m.sources = m.counter("source_requests_total", "Requests to what stages depend on, by result.", "source", "result")
	m.evictions = m.counter("rate_limit_evictions_total", "Keys dropped from the full table of rate limits.").WithLabelValues()
	m.connects = m.histogram("upstream_connect_seconds", "Time to connect to an endpoint, TLS included.", "upstream")
	m.stages = m.histogram("stage_duration_seconds", "Time spent in a stage, of sampled requests.", "stage")
	m.reloads = m.counter("config_reloads_total", "Configurations offered while running, by result.", "result")
	m.stagesInfo = m.gauge("stages_info", "1 for the set of stages in force.", "hash", "stages")
	m.logDropped = m.counter("access_log_dropped_total", "Lines of the access log that could not be written.").WithLabelValues()
	m.connections = m.gauge("downstream_connections", "Open connections from downstream.").WithLabelValues()
	m.inFlight = m.gauge("requests_in_flight", "Requests whose response is not finished.").WithLabelValues()
	m.Registry.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.gauge("build_info", "1 for the program that runs.", "version", "revision", "go").
		WithLabelValues(version, Revision(), runtime.Version()).Set(1)
	return m
}

// Revision returns the commit the program was built from, or unknown.
func Revision() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}

func (m *Metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: m.prefix + name, Help: help}, labels)
	m.Registry.MustRegister(v)
	return v
}

func (m *Metrics) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: m.prefix + name, Help: help}, labels)
	m.Registry.MustRegister(v)
	return v
}

func (m *Metrics) histogram(name, help string, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: m.prefix + name, Help: help, Buckets: Buckets}, labels)
	m.Registry.MustRegister(v)
	return v
}

// Rejected counts a request that a listener or a stage refused. It implements listen's Observer.
func (m *Metrics) Rejected(reason string) { m.rejected.of(labels{reason}).Inc() }

// Connections counts connections from downstream that opened (positive) or closed.
func (m *Metrics) Connections(delta int) { m.connections.Add(float64(delta)) }

// Attempt counts one try at an upstream. It implements upstream's Observer.
func (m *Metrics) Attempt(upstream, result string) { m.attempts.of(labels{upstream, result}).Inc() }

// Connect observes how long a connection took to open.
func (m *Metrics) Connect(upstream string, d time.Duration) {
	m.connects.WithLabelValues(upstream).Observe(d.Seconds())
}

// BreakerChange counts a breaker's new state. The endpoint is no label: endpoints come and go, and EndpointStates shows each.
func (m *Metrics) BreakerChange(upstream, endpoint, state string) {
	m.trips.of(labels{upstream, state}).Inc()
}

// LogDropped counts a line that the access log could not take.
func (m *Metrics) LogDropped() { m.logDropped.Inc() }

// Reloaded counts a configuration offered while running.
func (m *Metrics) Reloaded(err error) {
	if err != nil {
		m.reloads.WithLabelValues("refused").Inc()
		return
	}
	m.reloads.WithLabelValues("accepted").Inc()
}

// Stages exports the set of stages in force and its hash, so that a record can prove what ran.
func (m *Metrics) Stages(hash, stages string) {
	m.stagesInfo.Reset()
	m.stagesInfo.WithLabelValues(hash, stages).Set(1)
}

// Handler serves the metrics in the formats of Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{Registry: m.Registry})
}
