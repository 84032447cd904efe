package stage

import (
	"net/netip"

	"crossroads/proxies/exchange"
)

// Destination finds the service that a redirected connection was going to, and with it the deadline: whatever the Host field says,
// the application meant whom it connected to. It does not allocate.
type Destination struct {
	find func(to netip.AddrPort) (*exchange.Route, *exchange.Fault)
}

// NewDestination makes the stage.
func NewDestination(find func(to netip.AddrPort) (*exchange.Route, *exchange.Fault)) *Destination {
	return &Destination{find: find}
}

// Name implements exchange.Stage.
func (s *Destination) Name() string { return "destination" }

// Inward implements exchange.Stage.
func (s *Destination) Inward(x *exchange.Exchange) exchange.Step {
	found, fault := s.find(x.Peer.Local)
	if found == nil {
		return x.Fail(fault)
	}
	x.Route = found
	if x.Route.Timeout > 0 {
		x.Deadline = x.Start.Add(x.Route.Timeout)
	}
	return exchange.Continue
}

// Outward implements exchange.Stage.
func (s *Destination) Outward(*exchange.Exchange) {}

// Finish implements exchange.Stage.
func (s *Destination) Finish(*exchange.Exchange, exchange.End) {}
