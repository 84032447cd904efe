package sidecar

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"crossroads/proxies/exchange"
	"crossroads/proxies/stage"
)

// inboundChain writes out what a call to the application passes. With edge it comes from outside of the mesh, and nothing that it
// says about itself is believed.
func (s *Sidecar) inboundChain(edge bool) exchange.Service {
	name := "inbound"
	if edge {
		name = "ingress"
	}
	b := s.chain(name, stage.NewEdgeMetrics(s.metrics, s.edges, true, s.config.Service))
	if edge {
		b.add(stage.NewForwarding(s.config.Clients.TrustedHops)) // a client outside may claim to be anybody
	}
	b.add(stage.NewMeshPeer())       // who calls, proved by its certificate, before anything looks at it
	b.add(stage.NewRequestID(!edge)) // inside the mesh the edge has named the request already
	b.add(stage.NewTrace())          // continued: a hop of its own in the trace
	b.add(s.policies.stage())        // whom the application is spared from leaves its trace above and goes no further
	for _, st := range s.limits.stages() {
		b.add(st) // what one caller may take of it; who may not call at all costs nobody's share
	}
	if p := s.faults.Inbound; p != nil {
		b.add(stage.NewFaults(p)) // who is refused is refused all the same
	}
	b.add(stage.NewService(s.theApp()))                   // whatever the Host field says: there is one application here
	b.add(stage.NewEdge(s.edges, true, s.config.Service)) // last: what was refused is not in flight
	return s.finish(b)
}

// streamIdle is how long a streamed body may be silent on its way to or from the application.
const streamIdle = time.Minute

// theApp is what every inbound call is for.
func (s *Sidecar) theApp() func([]byte) (*exchange.Route, *exchange.Fault) {
	app := &exchange.Route{Name: s.config.Service, Idle: streamIdle, CarryDeadline: true,
		Backends: []exchange.Backend{{Name: "app", Weight: 1, To: s.app}}}
	return func([]byte) (*exchange.Route, *exchange.Fault) { return app, nil }
}

// outboundChain writes out what a call of the application passes.
func (s *Sidecar) outboundChain() exchange.Service {
	b := s.chain("outbound", stage.NewEdgeMetrics(s.metrics, s.edges, false, s.self()))
	b.add(stage.NewRequestID(true))         // the application passes on what it was given
	b.add(stage.NewTrace())                 // continued: a hop of its own in the trace
	b.add(stage.NewService(s.catalog.find)) // which service the Host field names; balancing is behind it
	b.add(splitStage{s.catalog})            // and which one answers in its place
	if p := s.faults.Outbound; p != nil {
		b.add(stage.NewFaults(p)) // behind them: what fails is counted where it was to go
	}
	b.add(stage.NewEdge(s.edges, false, s.self())) // last: now it is known who is called
	return s.finish(b)
}

// self names this sidecar as the source of calls: its identity, or the service where it has none.
func (s *Sidecar) self() string {
	if s.config.Identity != nil {
		return s.config.Identity.ID
	}
	return s.config.Service
}

// builder collects a chain; what it begins with is the same for both directions.
type builder struct {
	name    string
	stages  []exchange.Stage
	watch   []interface{ Watch([]exchange.Stage) }
	sampled exchange.Sampling
}

func (s *Sidecar) chain(name string, metrics *stage.Metrics) *builder {
	l := s.config.Ledger
	b := &builder{name: name, sampled: exchange.Sampling{Share: l.Sample.F(), OnRequest: l.OnRequest, Field: exchange.LedgerField}}
	word := s.config.Service + "-" + name
	timing := stage.NewServerTiming(word)
	switch name {
	case "inbound": // its callers are sidecars, and ask in the mesh's own field
		b.sampled.Field, timing = exchange.MeshLedgerField, stage.NewMeshTiming(word, true)
	case "ingress":
		timing = stage.NewMeshTiming(word, false)
	}
	if b.sampled.Some() {
		b.add(timing) // first: its Outward is last
	}
	if s.access != nil {
		b.add(stage.NewAccessLog(s.access, name, s.config.Log.Sample.F())) // its Finish is nearly last, and so knows how everything ended
	}
	b.add(stage.NewTap(&s.tap, name)) // likewise, for whoever watches live
	b.add(metrics)                    // in front of all that may refuse, because refusals count
	return b
}

func (b *builder) add(st exchange.Stage) {
	b.stages = append(b.stages, st)
	if w, ok := st.(interface{ Watch([]exchange.Stage) }); ok && b.sampled.Some() {
		b.watch = append(b.watch, w)
	}
}

// finish makes a chain of what was collected, and exports of which stages the chains consist, so that a record can prove what ran.
func (s *Sidecar) finish(b *builder) exchange.Service {
	words := make([]string, 0, len(b.stages))
	for _, st := range b.stages {
		words = append(words, st.Name())
	}
	s.chains = append(s.chains, b.name+":"+strings.Join(words, ","))
	all := strings.Join(s.chains, " ") + " mtls:" + s.config.MTLS
	sum := sha256.Sum256([]byte(all))
	s.metrics.Stages(hex.EncodeToString(sum[:8]), all)
	for _, w := range b.watch {
		w.Watch(b.stages)
	}
	return &service{
		chain:   exchange.Chain{Stages: b.stages, Forward: only{}, OnFault: writeMeshError},
		sampled: b.sampled,
	}
}

// service is one chain as listen serves it.
type service struct {
	chain   exchange.Chain
	sampled exchange.Sampling
}

// Serve implements exchange.Service.
func (s *service) Serve(x *exchange.Exchange) {
	if s.sampled.Some() {
		s.sampled.Decide(x)
	}
	s.chain.Serve(x)
}

// Finish implements exchange.Service.
func (s *service) Finish(x *exchange.Exchange, end exchange.End) { s.chain.Finish(x, end) }

// only forwards to the one backend that a sidecar's route has.
type only struct{}

// Forward implements exchange.Forwarder.
func (only) Forward(x *exchange.Exchange) exchange.Step { return x.Route.Backends[0].To.Forward(x) }

// writeMeshError answers with a fault and names it in X-Mesh-Error, so that it can be told from the application's own errors.
func writeMeshError(x *exchange.Exchange, f *exchange.Fault) {
	exchange.WriteFault(x, f)
	x.Response.Header.Set(stage.MeshError, f.Reason)
}
