package gateway

import (
	"errors"

	"crossroads/proxies/config"
	"crossroads/proxies/operate"
	"crossroads/proxies/telemetry"
	"crossroads/proxies/upstream"
)

// newAdmin opens the admin listener with the gateway's pages.
func (g *Gateway) newAdmin(c *config.Gateway) (*operate.Admin, error) {
	a, err := operate.NewAdmin(c.Admin.Address, g.metrics.Handler(), g.ready)
	if err != nil {
		return nil, operate.Hint(err, "another process may hold the address; `admin.address` in the configuration chooses another")
	}
	a.Page("/config", func() any { return g.current.Load().config.Redacted() })
	a.Page("/upstreams", func() any {
		found := map[string][]upstream.EndpointState{}
		for name, u := range g.current.Load().upstreams {
			found[name] = u.Endpoints()
		}
		return found
	})
	a.Page("/routes", func() any { return g.current.Load().config.Routes })
	a.Page("/consumers", func() any { return g.top.List() })
	a.Handle("/faults", g.faults.Handler())
	if g.options.Load != nil {
		a.Action("/reload", g.ReloadFile)
	}
	g.metrics.EndpointStates(g.endpointStates)
	return a, nil
}

// ReloadFile reads the configuration again and puts it in force.
func (g *Gateway) ReloadFile() error {
	g.reading.Lock() // what was read last is in force last
	defer g.reading.Unlock()
	c, err := g.options.Load()
	if err != nil {
		g.metrics.Reloaded(err)
		return err
	}
	return g.Reload(c)
}

// ready says why the gateway should get no requests: it stops, or cannot reach its mesh yet.
func (g *Gateway) ready() error {
	if err := g.life.Ready(); err != nil {
		return err
	}
	if g.source != nil && !g.source.Ready() {
		return errors.New("waiting for an SVID: " + g.source.Stats().LastError)
	}
	if g.services != nil && g.discovers() && !g.services.Ready() {
		return errors.New("waiting for the control plane: " + g.services.Status().LastError)
	}
	return nil
}

func (g *Gateway) discovers() bool {
	for _, u := range g.current.Load().config.Upstreams.All() {
		if u.Discover != "" {
			return true
		}
	}
	return false
}

func (g *Gateway) endpointStates() []telemetry.EndpointState {
	var found []telemetry.EndpointState
	for name, u := range g.current.Load().upstreams {
		for _, e := range u.Endpoints() {
			found = append(found, telemetry.EndpointState{Upstream: name, Endpoint: e.Address, Ready: e.Ready,
				Breaker: e.Breaker, InFlight: int(e.InFlight), Idle: e.Pooled})
		}
	}
	return found
}

func (g *Gateway) export(s *snapshot) { g.metrics.Stages(s.hash, s.stages) }
