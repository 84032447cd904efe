package process

import (
	"slices"

	"crossroads/proxies/config"
	"crossroads/topologies"
)

// routes are those of the reference gateway.
func (l *layout) routes() []config.Route {
	var routes []config.Route
	for path, composition := range l.arm.Topology.Gateway.Compose.All() {
		routes = append(routes, composedRoute(path, composition))
	}
	var called []string
	whole := len(l.arm.Experiment.Load.Requests) == 0
	for _, r := range l.arm.Experiment.Load.Requests {
		whole = whole || len(r.Calls) == 0
		for _, call := range r.Calls {
			if !slices.Contains(called, call.Service) {
				called = append(called, call.Service)
				routes = append(routes, forwardingRoute("calls of "+call.Service, call.Service, call.Service))
			}
		}
	}
	if whole {
		routes = append(routes, forwardingRoute(l.entry(), l.entry()))
	}
	return routes
}

func forwardingRoute(name, service string, hosts ...string) config.Route {
	var r config.Route
	r.SetDefaults()
	r.Name, r.Hosts, r.Backends = name, hosts, []config.Backend{{Upstream: service, Weight: 1}}
	return r
}

// composedRoute composes the parts in the order of the file. A part has the time of the whole route, as the client's own call would.
func composedRoute(path string, composition topologies.Composition) config.Route {
	var r config.Route
	r.SetDefaults()
	r.Name, r.Match, r.Compose = "composed "+path, []config.Match{{Path: config.PathMatch{Exact: path}}}, &config.Compose{}
	for name, part := range composition.Parts.All() {
		var p config.Part
		p.SetDefaults()
		p.Upstream, p.Path, p.Timeout = part.Service, part.Path, r.Timeout
		r.Compose.Parts.Set(name, p)
	}
	return r
}
