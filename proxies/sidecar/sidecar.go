// Package sidecar is the reference sidecar: the proxy beside one instance of a service, which takes all of its calls both ways. It
// joins the stages to two chains: inbound, from others to the application, and outbound, from the application to others.
//
// Its one invariant: what crosses the network between two sidecars is authenticated on both sides where mtls is strict; an endpoint
// without a promised identity is then never called, and a caller without one never heard. How identities are obtained is in package
// identity, where services are in package discovery.
package sidecar

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"

	"crossroads/proxies/config"
	"crossroads/proxies/discovery"
	"crossroads/proxies/faults"
	"crossroads/proxies/identity"
	"crossroads/proxies/listen"
	"crossroads/proxies/operate"
	"crossroads/proxies/telemetry"
	"crossroads/proxies/upstream"
)

// Options is what a sidecar needs besides its configuration.
type Options struct {
	Version        string
	Stdout, Stderr io.Writer    // of the access log
	Log            *slog.Logger // of the sidecar itself
}

// Sidecar serves. Make it with New, serve with Run.
type Sidecar struct {
	config   *config.Sidecar
	options  Options
	metrics  *telemetry.Metrics
	edges    *telemetry.Edges
	opaque   *telemetry.Opaque
	access   *telemetry.AccessLog
	tap      telemetry.Tap
	source   *identity.Source     // nil without identity
	services *discovery.Client    // nil without a control plane
	reporter *discovery.Reporter  // nil without a control plane, or where it is not to hear of the edges
	register *discovery.Registrar // nil: nobody is told where the service is
	admin    *operate.Admin
	life     operate.Life
	app      *upstream.Upstream    // the application; nil without inbound
	shaken   *telemetry.Handshakes // with other sidecars
	policies policies              // who may call the application
	limits   limits                // and how much
	catalog  *catalog              // the services it may call; nil without outbound
	inbound  []operate.Front
	outbound []operate.Front
	chains   []string // in words, for stages_info
	faults   faults.Set
}

// New opens everything the configuration names. ctx bounds the life of what runs in the background.
func New(ctx context.Context, c *config.Sidecar, o Options) (_ *Sidecar, err error) {
	s := &Sidecar{config: c, options: o, metrics: telemetry.NewMetrics("sidecar", o.Version)}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	s.edges, s.opaque = s.metrics.NewEdges(), s.metrics.NewOpaque()
	s.shaken = s.metrics.NewHandshakes(o.Log)
	if s.access, err = telemetry.OpenAccessLog(c.Log.Access, o.Stdout, o.Stderr, s.metrics.LogDropped); err != nil {
		return nil, err
	}
	s.openFaults()
	if c.Identity != nil {
		obtaining := identity.Options{Log: o.Log}
		if p := s.faults.Own; p != nil {
			obtaining.Before = p.Renewal
		}
		if s.source, err = identity.NewSource(ctx, *c.Identity, obtaining); err != nil {
			return nil, fmt.Errorf("obtain the sidecar's identity: %w", err)
		}
		s.metrics.Identity(s.svid)
	}
	s.policies.open(c, s.metrics, o.Log)
	if err = s.openInbound(); err != nil {
		return nil, err
	}
	if err = s.openOutbound(); err != nil {
		return nil, err
	}
	s.follow()
	s.announce()
	if s.admin, err = s.newAdmin(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Sidecar) svid() telemetry.SVID {
	stats := s.source.Stats()
	return telemetry.SVID{NotAfter: stats.NotAfter, Rotations: stats.Rotations, Failures: stats.Failures}
}

// openInbound makes the inbound chain and its listeners: one for the mesh, and one for plaintext from outside, if configured.
func (s *Sidecar) openInbound() (err error) {
	in := s.config.Inbound
	if in == nil {
		return nil
	}
	var terms config.Upstream
	terms.SetDefaults()
	terms.Breaker.Mode = config.Off // there is no other application to turn to
	s.limits.open(in.Limits, s.metrics)
	terms.MaxConns = s.limits.connections
	if in.App != "" {
		terms.Endpoints = []config.Endpoint{{Address: in.App, Weight: 1}}
	}
	if s.app, err = upstream.New(upstream.Options{Name: "app", Config: terms, Observer: s.metrics, Faults: hook(s.faults.Inbound)}); err != nil {
		return err
	}
	if err = s.openMesh(in); err != nil {
		return err
	}
	if in.Ingress == "" {
		return nil
	}
	return s.open(&s.inbound, "ingress", in.Ingress, listen.Options{Service: s.inboundChain(true)})
}

// openMesh opens the inbound listener for other sidecars: TLS, plaintext, or both told apart by their first bytes.
func (s *Sidecar) openMesh(in *config.Inbound) error {
	service := s.inboundChain(false)
	plain := listen.Options{Service: service}
	if s.config.MTLS == "off" {
		return s.open(&s.inbound, "inbound", in.Listen, plain)
	}
	secure := listen.Options{Service: service, TLS: s.source.ServerConfig(s.config.MTLS), PeerID: identity.PeerID, Handshake: s.shaken.Inbound}
	s.takeOpaque(in, &secure)
	if s.config.MTLS == "strict" {
		return s.open(&s.inbound, "inbound", in.Listen, secure)
	}
	l, err := s.listen(in.Listen)
	if err != nil {
		return err
	}
	both := split(l, s.config.Clients.HeaderTimeout.D())
	s.serve(&s.inbound, "inbound", both.tls, secure)
	s.serve(&s.inbound, "inbound", both.plain, plain)
	return nil
}

// openOutbound makes the outbound chain, its listener, and the catalog of services behind it.
func (s *Sidecar) openOutbound() (err error) {
	out := s.config.Outbound
	if out == nil {
		return nil
	}
	if s.catalog, err = newCatalog(s.config, s.source, s.metrics, s.shaken, hook(s.faults.Outbound)); err != nil {
		return err
	}
	if err = s.openTCP(out); err != nil {
		return err
	}
	if err = s.openTransparent(out); err != nil {
		return err
	}
	return s.open(&s.outbound, "outbound", out.Listen, listen.Options{Service: s.outboundChain()})
}

// follow listens to the control plane, if there is one: also where nothing is called, because roots come with the snapshots.
func (s *Sidecar) follow() {
	if s.config.Identity == nil || s.config.Identity.Control == nil {
		return
	}
	hearing := discovery.Options{Log: s.options.Log}
	if p := s.faults.Own; p != nil {
		hearing.Holds = p.Holds
	}
	s.services = discovery.New(*s.config.Identity.Control, s.source, s.apply, hearing)
	s.reporter = s.newReporter()
	s.metrics.Config(func() telemetry.ConfigState {
		st := s.services.Status()
		return telemetry.ConfigState{
			Version: st.Version, Published: st.Published, Propagation: st.Propagation, Connected: st.Connected}
	})
}

// apply puts a snapshot in force.
func (s *Sidecar) apply(d discovery.Snapshot) {
	s.policies.discover(d.Authorization)
	if s.catalog != nil {
		s.catalog.discover(d)
	}
}

func (s *Sidecar) open(group *[]operate.Front, name, address string, o listen.Options) error {
	l, err := s.listen(address)
	if err != nil {
		return err
	}
	s.serve(group, name, l, o)
	return nil
}

func (s *Sidecar) listen(address string) (net.Listener, error) {
	l, err := listen.Listen(address)
	return l, operate.Hint(err, "another process may hold the address; `listen` in the configuration chooses another")
}

func (s *Sidecar) serve(group *[]operate.Front, name string, l net.Listener, o listen.Options) {
	o.Clients, o.Observer, o.Via = s.config.Clients, s.metrics, s.config.Service+"-"+name
	o.Timed = s.config.Ledger.OnRequest || s.config.Ledger.Sample > 0
	*group = append(*group, operate.Front{Name: name, Listener: l, Server: listen.New(o)})
}

// Address is where a listener is: inbound, ingress or outbound; nil where there is none.
func (s *Sidecar) Address(name string) net.Addr {
	for _, group := range [][]operate.Front{s.inbound, s.outbound} {
		for _, f := range group {
			if f.Name == name {
				return f.Listener.Addr()
			}
		}
	}
	return nil
}

// AdminAddress is where the admin listener is.
func (s *Sidecar) AdminAddress() string { return s.admin.Address() }

// Run serves until ctx ends, then drains: inbound first, because the application needs its outbound calls to finish what it was
// asked, and as long as it works after that. force ends the drain at once. It returns nil after a drain that cut nothing.
func (s *Sidecar) Run(ctx, force context.Context) error {
	defer s.close()
	var beside []operate.Background
	if s.services != nil {
		beside = append(beside, func(ctx context.Context) { _ = s.services.Run(ctx) })
	}
	if s.reporter != nil {
		beside = append(beside, s.reporter.Run)
	}
	if s.register != nil {
		beside = append(beside, s.keepRegistered(ctx))
	}
	terms := func() config.Drain { return s.config.Drain.Terms() }
	return s.life.Run(ctx, force, terms, s.admin, beside, s.inbound, []operate.Front{{Server: s.applicationAtWork()}}, s.outbound)
}

// close gives back what New opened.
func (s *Sidecar) close() {
	for _, group := range [][]operate.Front{s.inbound, s.outbound} {
		for _, f := range group {
			f.Listener.Close()
		}
	}
	if s.app != nil {
		s.app.Close()
	}
	if s.catalog != nil {
		s.catalog.close()
	}
	if s.admin != nil {
		s.admin.Close()
	}
	if s.source != nil {
		s.source.Close()
	}
	s.access.Close()
}

// Reopen opens the access log again by its name.
func (s *Sidecar) Reopen() error { return s.access.Reopen() }
