package gateway

import (
	"sync"
	"time"

	"crossroads/proxies/config"
	"crossroads/proxies/discovery"
	"crossroads/proxies/edges"
	"crossroads/proxies/exchange"
	"crossroads/proxies/telemetry"
)

// reports collects what the control plane is told of the gateway's edges: clients outside calling it, and it calling services. There
// is none without a control plane.
type reports struct {
	entry edges.Recorder
	mu    sync.Mutex
	out   map[string]*edges.Recorder // by whom is called: a service of the mesh, or its identity
}

// newReporter makes what tells the control plane, unless the file says not to.
func (g *Gateway) newReporter(c *config.Gateway) *discovery.Reporter {
	if c.Identity.Control.Reports == string(config.Off) {
		return nil
	}
	g.reports = &reports{out: map[string]*edges.Recorder{}}
	return discovery.NewReporter(*c.Identity.Control, g.source, g.report, g.options.Log)
}

// to returns the recorder of one edge, the same for the same callee.
func (r *reports) to(callee string) *edges.Recorder {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.out[callee] == nil {
		r.out[callee] = &edges.Recorder{}
	}
	return r.out[callee]
}

// callee names whom an upstream stands for, as the mesh knows it; "" where it knows nobody.
func callee(u config.Upstream) string {
	switch {
	case u.Discover != "":
		return u.Discover
	case u.MTLS == "on" && len(u.Endpoints) > 0:
		return u.Endpoints[0].Identity
	}
	return ""
}

// partOf is where a part of a composed answer comes from; it is counted on its edge, if it has one.
func (g *Gateway) partOf(s *snapshot, upstream string) exchange.Forwarder {
	u, _ := s.config.Upstreams.Get(upstream)
	if g.reports == nil || callee(u) == "" {
		return s.upstreams[upstream]
	}
	return calledPart{s.upstreams[upstream], g.reports.to(callee(u))}
}

// calledPart counts calls for the parts of composed answers. Whether a part's body came whole is not seen here.
type calledPart struct {
	exchange.Forwarder
	to *edges.Recorder
}

// Forward implements exchange.Forwarder.
func (p calledPart) Forward(x *exchange.Exchange) exchange.Step {
	p.to.Begin()
	defer p.to.End()
	step := p.Forwarder.Forward(x)
	outcome, reason := telemetry.Outcome(x, exchange.Complete)
	p.to.Observe(outcome, reason, x.Attempts, x.Upstream, 0)
	return step
}

// byRoute finds the edge of each route that goes to one upstream. Which of several one request went to is not reported; parts of
// composed answers see to themselves.
func (g *Gateway) byRoute(s *snapshot) map[*exchange.Route]*edges.Recorder {
	found := map[*exchange.Route]*edges.Recorder{}
	for i, r := range s.config.Routes {
		if len(r.Backends) != 1 || r.Compose != nil {
			continue
		}
		if u, known := s.config.Upstreams.Get(r.Backends[0].Upstream); known && callee(u) != "" {
			found[s.routes[i]] = g.reports.to(callee(u))
		}
	}
	return found
}

// report cuts the windows.
func (g *Gateway) report(now time.Time) edges.Report {
	r := edges.Report{Instance: g.AdminAddress()}
	if w, ok := g.reports.entry.Cut(now); ok {
		w.Direction = edges.Inbound
		r.Windows = append(r.Windows, w)
	}
	s := g.current.Load()
	g.reports.mu.Lock()
	defer g.reports.mu.Unlock()
	for to, recorder := range g.reports.out {
		w, ok := recorder.Cut(now)
		if !ok {
			continue
		}
		w.Direction, w.Peer = edges.Outbound, to
		for name, u := range s.config.Upstreams.All() {
			if callee(u) != to {
				continue
			}
			for _, e := range s.upstreams[name].Endpoints() {
				w.Endpoints++
				if !e.Ready || e.Refusing {
					w.Ejected++
				}
			}
		}
		r.Windows = append(r.Windows, w)
	}
	return r
}

// entryEdge counts clients' requests; it stands first, because refusals count.
type entryEdge struct{ to *edges.Recorder }

// Name implements exchange.Stage.
func (s entryEdge) Name() string { return "entry_edge" }

// Inward implements exchange.Stage.
func (s entryEdge) Inward(*exchange.Exchange) exchange.Step {
	s.to.Begin()
	return exchange.Continue
}

// Outward implements exchange.Stage.
func (s entryEdge) Outward(*exchange.Exchange) {}

// Finish implements exchange.Stage.
func (s entryEdge) Finish(x *exchange.Exchange, end exchange.End) {
	took := time.Since(x.Start)
	s.to.End()
	outcome, reason := telemetry.Outcome(x, end)
	s.to.Observe(outcome, reason, 1, took, max(0, took-x.Upstream))
}

// calledEdge counts what goes on to a service; it stands last.
type calledEdge struct {
	to map[*exchange.Route]*edges.Recorder
}

// Name implements exchange.Stage.
func (s calledEdge) Name() string { return "edge" }

// Inward implements exchange.Stage.
func (s calledEdge) Inward(x *exchange.Exchange) exchange.Step {
	if to := s.to[x.Route]; to != nil {
		to.Begin()
		x.Edge = to
	}
	return exchange.Continue
}

// Outward implements exchange.Stage.
func (s calledEdge) Outward(*exchange.Exchange) {}

// Finish implements exchange.Stage.
func (s calledEdge) Finish(x *exchange.Exchange, end exchange.End) {
	to, counted := x.Edge.(*edges.Recorder)
	if !counted {
		return
	}
	to.End()
	outcome, reason := telemetry.Outcome(x, end)
	to.Observe(outcome, reason, x.Attempts, x.Upstream, 0)
}
