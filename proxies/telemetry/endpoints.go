package telemetry

import "github.com/prometheus/client_golang/prometheus"

// EndpointState is one endpoint as the metrics show it.
type EndpointState struct {
	Upstream, Endpoint string
	Ready              bool
	Breaker            string // closed | open | half_open; "" where there is none
	InFlight, Idle     int
}

// EndpointStates exports endpoint_healthy, breaker_state, endpoint_in_flight and endpoint_idle_connections from what states
// returns at the time of a scrape: nothing is kept for endpoints that are gone.
func (m *Metrics) EndpointStates(states func() []EndpointState) {
	desc := func(name, help string, more ...string) *prometheus.Desc {
		return prometheus.NewDesc(m.prefix+name, help, append([]string{"upstream", "endpoint"}, more...), nil)
	}
	m.Registry.MustRegister(&endpointCollector{
		states:   states,
		healthy:  desc("endpoint_healthy", "1 where breaker and health checks let the balancer choose the endpoint."),
		breaker:  desc("breaker_state", "1 for the state that the endpoint's breaker is in.", "state"),
		inFlight: desc("endpoint_in_flight", "Requests that the endpoint is answering."),
		idle:     desc("endpoint_idle_connections", "Pooled connections that wait for a request."),
	})
}

type endpointCollector struct {
	states                           func() []EndpointState
	healthy, breaker, inFlight, idle *prometheus.Desc
}

func (c *endpointCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.healthy, c.breaker, c.inFlight, c.idle} {
		to <- d
	}
}

func (c *endpointCollector) Collect(to chan<- prometheus.Metric) {
	for _, s := range c.states() {
		gauge := func(d *prometheus.Desc, v float64, more ...string) {
			to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{s.Upstream, s.Endpoint}, more...)...)
		}
		ready := 0.0
		if s.Ready {
			ready = 1
		}
		gauge(c.healthy, ready)
		gauge(c.inFlight, float64(s.InFlight))
		gauge(c.idle, float64(s.Idle))
		if s.Breaker != "" {
			gauge(c.breaker, 1, s.Breaker)
		}
	}
}
