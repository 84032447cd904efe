package gateway

import (
	"crypto/tls"
	"fmt"
	"hash/maphash"
	"reflect"
	"slices"

	"crossroads/proxies/config"
	"crossroads/proxies/discovery"
	"crossroads/proxies/exchange"
	"crossroads/proxies/route"
	"crossroads/proxies/telemetry"
	"crossroads/proxies/upstream"
	"crossroads/proxies/wire"
)

// snapshot is one configuration in force: everything a request needs. It never changes; endpoints change inside their upstream.
type snapshot struct {
	config       *config.Gateway
	chain        exchange.Chain
	index        *route.Index
	routes       []*exchange.Route
	upstreams    map[string]*upstream.Upstream
	guards       guards
	certificates []*tls.Certificate // by listener
	ledger       exchange.Sampling
	stages       string // the chain in words, for stages_info
	hash         string
}

// build makes a snapshot. What is the same as in old is taken over: pools, breakers and rate limits live on.
func (g *Gateway) build(c *config.Gateway, old *snapshot) (_ *snapshot, err error) {
	s := &snapshot{config: c, upstreams: map[string]*upstream.Upstream{}, ledger: exchange.Sampling{Share: c.Ledger.Sample.F(), OnRequest: c.Ledger.OnRequest, Field: exchange.LedgerField}}
	defer func() {
		if err != nil {
			s.abandon(old)
		}
	}()
	for i, l := range c.Listen {
		if err := s.loadCertificate(l); err != nil {
			return nil, fmt.Errorf("listener %d: %w", i, err)
		}
	}
	for name, u := range c.Upstreams.All() {
		made, err := g.upstream(name, u, old)
		if err != nil {
			return nil, err
		}
		s.upstreams[name] = made
	}
	if err := s.buildRoutes(g.parts, func(name string) exchange.Forwarder { return g.partOf(s, name) }); err != nil {
		return nil, err
	}
	return s, g.buildChain(s, old)
}

// abandon closes what a snapshot that never serves has opened, but for what it took over: health checks would go on.
func (s *snapshot) abandon(old *snapshot) {
	for name, u := range s.upstreams {
		if old == nil || old.upstreams[name] != u {
			u.Close()
		}
	}
	if st := s.guards.store; st != nil && (old == nil || old.guards.store != st) {
		_ = st.Close()
	}
}

func (s *snapshot) loadCertificate(l config.Listener) error {
	if l.TLS == nil {
		s.certificates = append(s.certificates, nil)
		return nil
	}
	pair, err := tls.LoadX509KeyPair(l.TLS.Certificate, l.TLS.Key)
	if err != nil {
		return fmt.Errorf("load the certificate: %w", err)
	}
	s.certificates = append(s.certificates, &pair)
	return nil
}

// serverTLS takes the certificate from the snapshot in force, so that a reload renews it. TLS 1.2 is the least that RFC 9325 3.1.1
// allows.
func (g *Gateway) serverTLS(listener int, t *config.TLS) *tls.Config {
	if t == nil {
		return nil
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		// A head and its body are one record and one write, as nginx's and Envoy's are.
		DynamicRecordSizingDisabled: true,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return g.current.Load().certificates[listener], nil
		},
	}
}

// upstream makes an upstream, or takes over the old one where nothing but its endpoints changed.
func (g *Gateway) upstream(name string, c config.Upstream, old *snapshot) (*upstream.Upstream, error) {
	if old != nil {
		before, known := old.config.Upstreams.Get(name)
		after := c
		before.Endpoints, after.Endpoints = nil, nil
		if known && reflect.DeepEqual(before, after) {
			return old.upstreams[name], nil
		}
	}
	c.Endpoints = g.endpoints(c)
	o := upstream.Options{Name: name, Config: c, Observer: g.metrics, Seed: new(maphash.Hash).Sum64()}
	if p := g.faults.Outbound; p != nil {
		o.Faults = p
	}
	if c.MTLS == "on" {
		o.Handshake = g.shaken.Outbound
		o.TLS = func(e config.Endpoint) *tls.Config { return g.source.ClientConfig(e.Identity) }
	}
	return upstream.New(o)
}

// endpoints returns those listed, or those that the control plane last named.
func (g *Gateway) endpoints(c config.Upstream) []config.Endpoint {
	if c.Discover == "" {
		return c.Endpoints
	}
	return g.discovered.Services[c.Discover].Endpoints
}

// discover puts the endpoints of a snapshot of the control plane in place.
func (g *Gateway) discover(d discovery.Snapshot) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.discovered = d
	s := g.current.Load()
	if s == nil {
		return
	}
	for name, c := range s.config.Upstreams.All() {
		if c.Discover != "" {
			s.upstreams[name].Update(g.endpoints(c))
		}
	}
}

func (s *snapshot) buildRoutes(parts *telemetry.Parts, to func(upstream string) exchange.Forwarder) error {
	var rules []route.Rule
	for _, r := range s.config.Routes {
		made := &exchange.Route{
			Name: r.Name, Timeout: r.Timeout.D(), PerTry: r.PerTry.D(), Idle: r.Idle.D(), MaxBody: int64(r.MaxBody),
			Retry: exchange.Retry{Attempts: r.Retry.Attempts, On: r.Retry.Codes, Backoff: r.Retry.Backoff.D(), MaxBackoff: r.Retry.MaxBackoff.D()},
		}
		made.Tolerate = tolerated(r.Tolerate)
		for _, b := range r.Backends {
			made.Backends = append(made.Backends, exchange.Backend{Name: b.Upstream, Weight: b.Weight, To: s.upstreams[b.Upstream]})
		}
		if r.Compose != nil {
			made.Backends = []exchange.Backend{{Name: "compose", Weight: 1, To: newComposer(r, to, parts, *made)}}
		}
		s.routes = append(s.routes, made)
		rules = append(rules, route.Rule{Hosts: r.Hosts, Match: r.Match, Route: made})
	}
	index, err := route.Build(rules)
	s.index = index
	return err
}

// tolerated reads the words of a route's tolerate.
func tolerated(words []string) (f wire.Flaw) {
	for _, w := range words {
		f |= 1 << slices.Index(config.PathFlaws, w)
	}
	return f
}
