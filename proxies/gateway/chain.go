package gateway

import (
	"fmt"
	"math/rand/v2"

	"crossroads/proxies/exchange"
	"crossroads/proxies/stage"
)

// buildChain writes the gateway's chain out: every request passes these stages from top to bottom, every response from bottom to
// top. Reading a request strictly comes before it (listen), balancing and trying behind it (upstream).
func (g *Gateway) buildChain(s *snapshot, old *snapshot) error {
	err := g.buildGuards(s, old)
	if err != nil {
		return err
	}
	is := &s.guards
	metrics := stage.NewRouteMetrics(g.metrics, g.requests, g.top, s.routes)
	access := stage.NewAccessLog(g.access, "", s.config.Log.Sample.F())
	timing := stage.NewServerTiming("gateway")

	var chain []exchange.Stage
	add := func(present bool, st exchange.Stage) {
		if present {
			chain = append(chain, st)
		}
	}
	add(s.ledger.Some(), timing) // first: its Outward is last, when the other stages have spent their time
	add(g.access != nil, access) // its Finish is nearly last, and so knows how everything ended
	add(true, metrics)           // likewise; in front of all that may refuse, because refusals count
	if g.reports != nil {
		add(true, entryEdge{&g.reports.entry}) // likewise, for the control plane
	}
	add(true, stage.NewForwarding(s.config.Clients.TrustedHops))    // who the client is: limits and logs depend on it
	add(true, stage.NewRequestID(s.config.Clients.TrustedHops > 0)) // before anything can fail, so that failures can be named
	add(true, stage.NewTrace())                                     // likewise
	add(true, stage.NewRouting(s.index))                            // what is unknown costs neither authentication nor quota
	add(is.cors != nil, is.cors)                                    // a preflight carries no credentials: answered before any are asked for
	add(is.limits[0] != nil, is.limits[0])                          // by address: protects authentication from guessing
	add(is.key != nil, is.key)                                      // who asks, by key
	add(is.jwt != nil, is.jwt)                                      // by signed token: costs no question to anybody
	add(is.introspection != nil, is.introspection)                  // by asking about a token: the dearest, so the last
	add(is.access != nil, is.access)                                // whether they may: needs to know who asks
	add(is.limits[1] != nil, is.limits[1])                          // by consumer; what is denied anyway costs no quota
	add(limitsBodies(s.routes), stage.NewBodyLimit())               // last: a large body of somebody unknown was refused already
	if p := g.faults.Outbound; p != nil {
		add(true, stage.NewFaults(p)) // who is refused is refused all the same
	}
	if g.reports != nil {
		add(true, calledEdge{g.byRoute(s)}) // now it is known who is called
	}
	// Nothing, unless this build was made to prove a gate.
	if chain, err = injected(chain); err != nil {
		return err
	}
	if len(chain) > exchange.MaxStages {
		return fmt.Errorf("%d stages: a chain has at most %d", len(chain), exchange.MaxStages)
	}
	if s.ledger.Some() {
		metrics.Watch(chain)
		access.Watch(chain)
		timing.Watch(chain)
	}
	s.chain = exchange.Chain{Stages: chain, Forward: backends{}, OnFault: writeProblem}
	s.describe()
	return nil
}

func limitsBodies(routes []*exchange.Route) bool {
	for _, r := range routes {
		if r.MaxBody > 0 {
			return true
		}
	}
	return false
}

// backends forwards to one of the route's backends, by weight.
type backends struct{}

// Forward implements exchange.Forwarder.
func (backends) Forward(x *exchange.Exchange) exchange.Step {
	choices := x.Route.Backends
	if len(choices) == 1 {
		return choices[0].To.Forward(x)
	}
	total := 0
	for i := range choices {
		total += choices[i].Weight
	}
	if total <= 0 {
		return x.Fail(exchange.NoBackend)
	}
	at := rand.IntN(total)
	for i := range choices {
		if at -= choices[i].Weight; at < 0 {
			return choices[i].To.Forward(x)
		}
	}
	return x.Fail(exchange.NoBackend)
}
