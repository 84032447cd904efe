package stage

import (
	"crossroads/proxies/exchange"
	"crossroads/proxies/telemetry"
)

// Edge counts what is in flight on each edge. It stands last, where it is known who is called; Metrics, which stands first, counts
// how everything ended. It does not allocate on a pass.
type Edge struct {
	of func(*exchange.Exchange) *telemetry.EdgeMetrics
}

// NewEdge makes the stage; for inbound and self see NewEdgeMetrics.
func NewEdge(edges *telemetry.Edges, inbound bool, self string) *Edge {
	return &Edge{func(x *exchange.Exchange) *telemetry.EdgeMetrics { return edgeOf(edges, x, inbound, self) }}
}

// Name implements exchange.Stage.
func (s *Edge) Name() string { return "edge" }

// Inward implements exchange.Stage.
func (s *Edge) Inward(x *exchange.Exchange) exchange.Step {
	edge := s.of(x)
	edge.Begin()
	x.Edge = edge
	return exchange.Continue
}

// Outward implements exchange.Stage.
func (s *Edge) Outward(*exchange.Exchange) {}

// Finish implements exchange.Stage.
func (s *Edge) Finish(x *exchange.Exchange, _ exchange.End) {
	if edge, counted := x.Edge.(*telemetry.EdgeMetrics); counted {
		edge.End()
	}
}
