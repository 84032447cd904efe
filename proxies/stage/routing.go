package stage

import (
	"bytes"

	"crossroads/proxies/exchange"
	"crossroads/proxies/route"
)

// Routing finds the route of a request and with it the deadline; without a route it fails with no_route (404), and where the path
// is ambiguous in a way that the route does not tolerate, with ambiguous_path (400). It does not allocate.
type Routing struct{ index *route.Index }

// NewRouting makes the stage.
func NewRouting(index *route.Index) *Routing { return &Routing{index: index} }

// Name implements exchange.Stage.
func (s *Routing) Name() string { return "route" }

// Inward implements exchange.Stage.
func (s *Routing) Inward(x *exchange.Exchange) exchange.Step {
	h := &x.Request.Header
	q := route.Question{Host: h.Host(), Path: x.Path, Query: query(x), Method: h.Method(), Header: h}
	x.Route = s.index.Find(&q)
	switch {
	case x.Flaws != 0 && (x.Route == nil || x.Flaws&^x.Route.Tolerate != 0):
		return x.Fail(exchange.AmbiguousPath)
	case x.Route == nil:
		return x.Fail(exchange.NoRoute)
	}
	if x.Route.Timeout > 0 {
		x.Deadline = x.Start.Add(x.Route.Timeout)
	}
	return exchange.Continue
}

// query returns what stands behind the question mark.
func query(x *exchange.Exchange) []byte {
	target := x.Request.Header.RequestURI()
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		return target[i+1:]
	}
	return nil
}

// Outward implements exchange.Stage.
func (s *Routing) Outward(*exchange.Exchange) {}

// Finish implements exchange.Stage.
func (s *Routing) Finish(*exchange.Exchange, exchange.End) {}
