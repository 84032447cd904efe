package gateway

import (
	"fmt"
	"math/rand/v2"
	"reflect"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
	"crossroads/proxies/stage"
)

// buildChain writes the gateway's chain out: every request passes these stages from top to bottom, every response from bottom to
// top. Reading a request strictly comes before it (listen), balancing and trying behind it (upstream).
func (g *Gateway) buildChain(s *snapshot, old *snapshot) error {
	auth, err := g.keyAuth(s.config.Stages.KeyAuth)
	if err != nil {
		return err
	}
	g.rateLimits(s, old)
	metrics := stage.NewRouteMetrics(g.metrics, g.requests, s.routes)
	access := stage.NewAccessLog(g.access, "", s.config.Log.Sample.F())
	timing := stage.NewServerTiming("gateway")

	var chain []exchange.Stage
	add := func(present bool, st exchange.Stage) {
		if present {
			chain = append(chain, st)
		}
	}
	add(s.ledger > 0, timing)                                       // first: its Outward is last, when the other stages have spent their time
	add(g.access != nil, access)                                    // its Finish is nearly last, and so knows how everything ended
	add(true, metrics)                                              // likewise; in front of all that may refuse, because refusals count
	add(true, stage.NewForwarding(s.config.Clients.TrustedHops))    // who the client is: limits and logs depend on it
	add(true, stage.NewRequestID(s.config.Clients.TrustedHops > 0)) // before anything can fail, so that failures can be named
	add(true, stage.NewTrace())                                     // likewise
	add(true, stage.NewRouting(s.index))                            // what is unknown costs neither authentication nor quota
	add(s.limits[0] != nil, s.limits[0])                            // by address: protects authentication from guessing
	add(auth != nil, auth)                                          // who asks
	add(s.limits[1] != nil, s.limits[1])                            // by consumer: needs to know who asks
	add(limitsBodies(s.routes), stage.NewBodyLimit())               // last: a large body of somebody unknown was refused already
	// Nothing, unless this build was made to prove a gate.
	if chain, err = injected(chain); err != nil {
		return err
	}
	if len(chain) > exchange.MaxStages {
		return fmt.Errorf("%d stages: a chain has at most %d", len(chain), exchange.MaxStages)
	}
	if s.ledger > 0 {
		metrics.Watch(chain)
		access.Watch(chain)
		timing.Watch(chain)
	}
	s.chain = exchange.Chain{Stages: chain, Forward: backends{}, OnFault: writeProblem}
	s.describe()
	return nil
}

// keyAuth returns nil where authentication is off: an absent stage costs nothing.
func (g *Gateway) keyAuth(c *config.KeyAuth) (*stage.KeyAuth, error) {
	if c == nil || c.Mode == config.Off {
		return nil, nil
	}
	return stage.NewKeyAuth(c, g.metrics)
}

// rateLimits takes the old limits over where their settings are the same: a reload does not forgive anybody's debt.
func (g *Gateway) rateLimits(s *snapshot, old *snapshot) {
	c := s.config.Stages.RateLimit
	if c == nil || c.Mode == config.Off {
		return
	}
	if old != nil && reflect.DeepEqual(c, old.config.Stages.RateLimit) {
		s.limits = old.limits
		return
	}
	s.limits[0], s.limits[1] = stage.NewRateLimits(c, g.metrics)
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
