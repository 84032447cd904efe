package telemetry

import (
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"crossroads/proxies/exchange"
)

// Requests are the metrics of a gateway's requests, by route.
type Requests struct {
	total    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	overhead *prometheus.HistogramVec
	mu       sync.Mutex
	routes   map[string]*RouteMetrics // every route ever served: a counter does not start again on reload
}

// NewRequests registers http_requests_total{route,method,code}, http_request_duration_seconds{route} and
// overhead_seconds{route}.
func (m *Metrics) NewRequests() *Requests {
	return &Requests{
		total:    m.counter("http_requests_total", "Requests answered.", "route", "method", "code"),
		duration: m.histogram("http_request_duration_seconds", "Head read to last byte sent.", "route"),
		overhead: m.histogram("overhead_seconds", "Time in the gateway alone: without waiting for upstreams.", "route"),
		routes:   map[string]*RouteMetrics{},
	}
}

// Route returns the metrics of one route, the same for the same name. The name "" stands for requests that no route took.
func (r *Requests) Route(name string) *RouteMetrics {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.routes[name] == nil {
		m := &RouteMetrics{requests: r, name: name, duration: r.duration.WithLabelValues(name), overhead: r.overhead.WithLabelValues(name)}
		m.codes.Store(&map[codeKey]prometheus.Counter{})
		r.routes[name] = m
	}
	return r.routes[name]
}

// RouteMetrics are the metrics of one route, found once and not by every request.
type RouteMetrics struct {
	requests *Requests
	name     string
	duration prometheus.Observer
	overhead prometheus.Observer
	codes    atomic.Pointer[map[codeKey]prometheus.Counter]
	mu       sync.Mutex
}

type codeKey struct {
	method method
	code   uint16
}

// Observe counts one finished request.
func (r *RouteMetrics) Observe(x *exchange.Exchange, took time.Duration) {
	key := codeKey{methodOf(x.Request.Header.Method()), codeOf(x.Response.StatusCode())}
	counter, ok := (*r.codes.Load())[key]
	if !ok {
		counter = r.add(key)
	}
	counter.Inc()
	r.duration.Observe(took.Seconds())
	r.overhead.Observe(max(0, took-x.Upstream).Seconds())
}

func (r *RouteMetrics) add(key codeKey) prometheus.Counter {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := *r.codes.Load()
	if counter, ok := known[key]; ok {
		return counter
	}
	more := maps.Clone(known)
	more[key] = r.requests.total.WithLabelValues(r.name, key.method.String(), codeText(key.code))
	r.codes.Store(&more)
	return more[key]
}

// method is a request method as a label: the ones of RFC 9110 9.3 and RFC 5789, all others are "other".
type method uint8

var methodNames = [...]string{"other", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}

func (m method) String() string { return methodNames[m] }

func methodOf(name []byte) method {
	for i, known := range methodNames[1:] {
		if string(name) == known {
			return method(i + 1)
		}
	}
	return 0
}

// codeOf keeps statuses of three digits; an upstream may send others, which are 0.
func codeOf(status int) uint16 {
	if status < 100 || status > 599 {
		return 0
	}
	return uint16(status)
}

func codeText(code uint16) string {
	if code == 0 {
		return "other"
	}
	return strconv.Itoa(int(code))
}

// InFlight counts requests that began (1) or finished (-1).
func (m *Metrics) InFlight(delta float64) { m.inFlight.Add(delta) }

// Ledger observes the stage times of a sampled exchange.
func (m *Metrics) Ledger(x *exchange.Exchange, stages []prometheus.Observer) {
	for i, s := range stages {
		s.Observe(float64(x.Ledger.Stages[i]) / 1e9)
	}
}

// StageObservers finds the histograms of a chain's stages.
func (m *Metrics) StageObservers(chain []exchange.Stage) []prometheus.Observer {
	var found []prometheus.Observer
	for _, s := range chain {
		found = append(found, m.stages.WithLabelValues(s.Name()))
	}
	return found
}
