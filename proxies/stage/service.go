package stage

import (
	"bytes"

	"crossroads/proxies/exchange"
)

// Service finds the service that the Host field of an outbound call names. A service that nobody knows fails with no_route (404).
// It does not allocate.
type Service struct {
	find func(host []byte) *exchange.Route
}

// NewService makes the stage; find is given the host in lower case and without its port.
func NewService(find func(host []byte) *exchange.Route) *Service { return &Service{find: find} }

// Name implements exchange.Stage.
func (s *Service) Name() string { return "service" }

// Inward implements exchange.Stage.
func (s *Service) Inward(x *exchange.Exchange) exchange.Step {
	var buffer [256]byte
	host := x.Request.Header.Host()
	if colon := bytes.LastIndexByte(host, ':'); colon >= 0 {
		host = host[:colon]
	}
	if len(host) > len(buffer) {
		return x.Fail(exchange.NoRoute)
	}
	lower := buffer[:len(host)]
	for i, c := range host {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	if x.Route = s.find(lower); x.Route == nil {
		return x.Fail(exchange.NoRoute)
	}
	if x.Route.Timeout > 0 {
		x.Deadline = x.Start.Add(x.Route.Timeout)
	}
	return exchange.Continue
}

// Outward implements exchange.Stage.
func (s *Service) Outward(*exchange.Exchange) {}

// Finish implements exchange.Stage.
func (s *Service) Finish(*exchange.Exchange, exchange.End) {}
