package sidecar

import (
	"errors"
	"sort"

	"crossroads/proxies/operate"
	"crossroads/proxies/telemetry"
	"crossroads/proxies/upstream"
)

// newAdmin opens the admin listener with the sidecar's pages.
func (s *Sidecar) newAdmin() (*operate.Admin, error) {
	a, err := operate.NewAdmin(s.config.Admin.Address, s.metrics.Handler(), s.ready)
	if err != nil {
		return nil, operate.Hint(err, "another process may hold the address; `admin.address` in the configuration chooses another")
	}
	a.Page("/config", func() any { return s.config })
	a.Page("/upstreams", func() any { return s.upstreams() })
	a.Page("/routes", func() any {
		names := []string{}
		if s.catalog != nil {
			for name := range s.catalog.table.Load().routes {
				names = append(names, name)
			}
		}
		sort.Strings(names)
		return map[string]any{"outbound": names, "inbound": s.config.Service}
	})
	a.Tap(&s.tap)
	a.Handle("/faults", s.faults.Handler())
	s.metrics.EndpointStates(s.endpointStates)
	return a, nil
}

func (s *Sidecar) upstreams() map[string][]upstream.EndpointState {
	found := map[string][]upstream.EndpointState{}
	if s.app != nil {
		found["app"] = s.app.Endpoints()
	}
	if s.catalog != nil {
		for name, u := range s.catalog.table.Load().upstreams {
			found[name] = u.Endpoints()
		}
	}
	return found
}

func (s *Sidecar) endpointStates() []telemetry.EndpointState {
	var found []telemetry.EndpointState
	for name, states := range s.upstreams() {
		for _, e := range states {
			found = append(found, telemetry.EndpointState{Upstream: name, Endpoint: e.Address, Ready: e.Ready,
				Breaker: e.Breaker, InFlight: int(e.InFlight), Idle: e.Pooled})
		}
	}
	return found
}

// ready says why the sidecar should get no calls: it stops, has no identity yet, or knows no services yet.
func (s *Sidecar) ready() error {
	if err := s.life.Ready(); err != nil {
		return err
	}
	if s.source != nil && !s.source.Ready() {
		return errors.New("waiting for an SVID: " + s.source.Stats().LastError)
	}
	if s.services != nil && !s.services.Ready() {
		return errors.New("waiting for the control plane: " + s.services.Status().LastError)
	}
	return nil
}
