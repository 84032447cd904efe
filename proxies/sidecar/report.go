package sidecar

import (
	"time"

	"crossroads/proxies/config"
	"crossroads/proxies/discovery"
	"crossroads/proxies/edges"
	"crossroads/proxies/upstream"
)

// newReporter makes what tells the control plane of the edges, unless the file says not to.
func (s *Sidecar) newReporter() *discovery.Reporter {
	if s.config.Identity.Control.Reports == string(config.Off) {
		return nil
	}
	return discovery.NewReporter(*s.config.Identity.Control, s.source, s.report, s.options.Log)
}

// report cuts the windows of all edges, and adds what the balancers know of the endpoints.
func (s *Sidecar) report(now time.Time) edges.Report {
	r := edges.Report{Service: s.config.Service, Instance: s.instance(), Windows: s.edges.Windows(now)}
	if s.catalog == nil {
		return r
	}
	upstreams := s.catalog.table.Load().upstreams
	for i := range r.Windows {
		w := &r.Windows[i]
		if u := upstreams[w.Peer]; w.Direction == edges.Outbound && u != nil {
			w.Endpoints, w.Ejected = ejected(u)
		}
	}
	return r
}

// ejected counts the endpoints that are kept out of the balancer: by the breaker, by health checks, or because they refuse connections.
func ejected(u *upstream.Upstream) (all, out int) {
	for _, e := range u.Endpoints() {
		all++
		if !e.Ready || e.Refusing {
			out++
		}
	}
	return all, out
}

// instance tells this sidecar from others of its service: by where it accepts calls, or serves operators.
func (s *Sidecar) instance() string {
	if a := s.Address("inbound"); a != nil {
		return a.String()
	}
	return s.AdminAddress()
}
