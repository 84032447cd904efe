package stage

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"crossroads/proxies/exchange"
	"crossroads/proxies/telemetry"
)

// Metrics counts what became of each exchange, when it is over: it stands first in a chain, so that its Finish is last. It does
// not allocate on a pass.
type Metrics struct {
	metrics *telemetry.Metrics
	settle  func(x *exchange.Exchange, end exchange.End, took time.Duration)
	stages  []prometheus.Observer // of the chain, for sampled exchanges
}

// NewRouteMetrics makes the stage of a gateway: by route, and who asks most. Routes that are not listed count as the route "".
func NewRouteMetrics(m *telemetry.Metrics, requests *telemetry.Requests, top *telemetry.Top, routes []*exchange.Route) *Metrics {
	byRoute := map[*exchange.Route]*telemetry.RouteMetrics{nil: requests.Route("")}
	for _, r := range routes {
		byRoute[r] = requests.Route(r.Name)
	}
	return &Metrics{metrics: m, settle: func(x *exchange.Exchange, _ exchange.End, took time.Duration) {
		if of := byRoute[x.Route]; of != nil {
			of.Observe(x, took)
		}
		if x.Consumer.Name != "" {
			top.Count(x.Consumer.Name)
		}
	}}
}

// NewEdgeMetrics makes the stage of a sidecar: by who called whom. On inbound, self is the destination and the peer's verified
// identity the source; on outbound, self is the source and the route's name the destination.
func NewEdgeMetrics(m *telemetry.Metrics, edges *telemetry.Edges, inbound bool, self string) *Metrics {
	return &Metrics{metrics: m, settle: func(x *exchange.Exchange, end exchange.End, took time.Duration) {
		edge, known := x.Edge.(*telemetry.EdgeMetrics)
		if !known { // it was refused before its edge was counted, or the chain does not count
			edge = edgeOf(edges, x, inbound, self)
		}
		edge.Observe(x, end, took)
	}}
}

func edgeOf(edges *telemetry.Edges, x *exchange.Exchange, inbound bool, self string) *telemetry.EdgeMetrics {
	switch {
	case inbound && x.Peer.ID == "":
		return edges.Edge("inbound", telemetry.Unauthenticated, self)
	case inbound:
		return edges.Edge("inbound", x.Peer.ID, self)
	case x.Route == nil:
		return edges.Edge("outbound", self, telemetry.Unknown)
	}
	return edges.Edge("outbound", self, x.Route.Name)
}

// Watch tells the stage of which chain it is a part, so that stage times can be exported by name.
func (s *Metrics) Watch(chain []exchange.Stage) { s.stages = s.metrics.StageObservers(chain) }

// Name implements exchange.Stage.
func (s *Metrics) Name() string { return "metrics" }

// Inward implements exchange.Stage.
func (s *Metrics) Inward(*exchange.Exchange) exchange.Step {
	s.metrics.InFlight(1)
	return exchange.Continue
}

// Outward implements exchange.Stage.
func (s *Metrics) Outward(*exchange.Exchange) {}

// Finish implements exchange.Stage.
func (s *Metrics) Finish(x *exchange.Exchange, end exchange.End) {
	took := time.Since(x.Start)
	s.metrics.InFlight(-1)
	s.settle(x, end, took)
	if x.Fault != nil && x.Fault != exchange.Panicked { // whoever contained a panic has counted it
		s.metrics.Rejected(x.Fault.Reason)
	}
	if x.Ledger.On {
		x.Ledger.Total = int64(took)
		s.metrics.Ledger(x, s.stages)
	}
}
