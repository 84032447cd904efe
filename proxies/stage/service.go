package stage

import (
	"bytes"

	"crossroads/proxies/exchange"
)

// Service finds the service that the Host field of a call within the mesh names, and with it the deadline. A service that nobody
// knows fails with what find says. It allocates only for a host
// that is not in lower case.
type Service struct {
	find func(host []byte) (*exchange.Route, *exchange.Fault)
}

// NewService makes the stage; find is given the host in lower case and without its port, and may not keep it.
func NewService(find func(host []byte) (*exchange.Route, *exchange.Fault)) *Service {
	return &Service{find: find}
}

// Name implements exchange.Stage.
func (s *Service) Name() string { return "service" }

// Inward implements exchange.Stage.
func (s *Service) Inward(x *exchange.Exchange) exchange.Step {
	host := x.Request.Header.Host()
	if colon := bytes.LastIndexByte(host, ':'); colon >= 0 {
		host = host[:colon]
	}
	if bytes.ContainsAny(host, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		host = bytes.ToLower(host)
	}
	found, fault := s.find(host)
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
func (s *Service) Outward(*exchange.Exchange) {}

// Finish implements exchange.Stage.
func (s *Service) Finish(*exchange.Exchange, exchange.End) {}
