package sidecar

import (
	"crypto/tls"
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"

	"crossroads/proxies/config"
	"crossroads/proxies/discovery"
	"crossroads/proxies/exchange"
	"crossroads/proxies/identity"
	"crossroads/proxies/route"
	"crossroads/proxies/telemetry"
	"crossroads/proxies/upstream"
)

// catalog knows the services that the application may call: those listed in the file, and those that the control plane names.
// Requests read one table, which is replaced as a whole.
type catalog struct {
	config   *config.Sidecar
	source   *identity.Source
	metrics  *telemetry.Metrics
	shaken   *telemetry.Handshakes
	faults   upstream.Faults // nil: none on purpose
	table    atomic.Pointer[table]
	mu       sync.Mutex // of replacing the table
	carried  carried
	copies   chan struct{} // mirrored calls under way
	mirrored *telemetry.Mirrored
}

type table struct {
	routes      map[string]*exchange.Route
	upstreams   map[string]*upstream.Upstream
	addresses   map[netip.AddrPort]string // by which applications know services
	splits      *route.Index              // nil: none; what it finds is a key of splitRoutes
	splitRoutes map[*exchange.Route]*splitRoute
	awaiting    bool // the control plane has not spoken yet
}

func newCatalog(c *config.Sidecar, source *identity.Source, m *telemetry.Metrics, h *telemetry.Handshakes, f upstream.Faults) (*catalog, error) {
	k := &catalog{config: c, source: source, metrics: m, shaken: h, faults: f, copies: make(chan struct{}, maxCopies), mirrored: m.NewMirrored()}
	t := &table{routes: map[string]*exchange.Route{}, upstreams: map[string]*upstream.Upstream{}, awaiting: c.Outbound.Discover}
	for name, terms := range c.Outbound.Upstreams.All() {
		if err := k.put(t, name, terms); err != nil {
			return nil, err
		}
	}
	k.readAddresses(t, nil)
	if err := k.readSplits(t, nil); err != nil {
		return nil, err
	}
	k.table.Store(t)
	return k, nil
}

// put adds a service to a table that does not serve yet.
func (k *catalog) put(t *table, name string, terms config.Upstream) error {
	terms.Endpoints = k.callable(terms, terms.Endpoints)
	o := upstream.Options{Name: name, Config: terms, Observer: k.metrics, Seed: new(maphash.Hash).Sum64(), Faults: k.faults}
	if terms.MTLS == "on" {
		o.TLS, o.Handshake = k.tls, k.shaken.Outbound
	}
	u, err := upstream.New(o)
	if err != nil {
		return err
	}
	t.upstreams[name], t.routes[name] = u, k.route(name, u)
	return nil
}

func (k *catalog) route(name string, u *upstream.Upstream) *exchange.Route {
	out := k.config.Outbound
	r := out.Retry
	return &exchange.Route{Name: name, Timeout: out.Timeout.D(), PerTry: out.PerTry.D(), Idle: out.Idle.D(), CarryDeadline: true,
		Retry:    exchange.Retry{Attempts: r.Attempts, On: r.Codes, Backoff: r.Backoff.D(), MaxBackoff: r.MaxBackoff.D()},
		Backends: []exchange.Backend{{Name: name, Weight: 1, To: u}}}
}

// tls verifies that an endpoint is who it was promised to be. One without a promise is called in plaintext; callable has seen to it
// that this happens in permissive mode only.
func (k *catalog) tls(e config.Endpoint) *tls.Config {
	if e.Identity == "" {
		return nil
	}
	return k.source.ClientConfig(e.Identity)
}

// callable leaves out what may not be called: in strict mode, endpoints that nobody promised an identity for.
func (k *catalog) callable(terms config.Upstream, endpoints []config.Endpoint) []config.Endpoint {
	if terms.MTLS != "on" || k.config.MTLS != "strict" {
		return endpoints
	}
	var found []config.Endpoint
	for _, e := range endpoints {
		if e.Identity != "" {
			found = append(found, e)
		}
	}
	return found
}

// discover puts a snapshot of the control plane in force. Services listed in the file stay as the file says; upstreams of services
// that stay keep their connections and breakers.
func (k *catalog) discover(d discovery.Snapshot) {
	k.mu.Lock()
	defer k.mu.Unlock()
	old := k.table.Load()
	next := &table{routes: map[string]*exchange.Route{}, upstreams: map[string]*upstream.Upstream{}}
	for name := range k.config.Outbound.Upstreams.All() {
		next.routes[name], next.upstreams[name] = old.routes[name], old.upstreams[name]
	}
	for name, s := range d.Services {
		if k.config.Outbound.Discover && next.routes[name] == nil {
			k.place(next, old, name, s)
		}
	}
	for name, terms := range k.config.Outbound.Upstreams.All() {
		if terms.Discover != "" {
			next.upstreams[name].Update(k.callable(terms, d.Services[terms.Discover].Endpoints))
		}
	}
	addresses := map[string][]string{}
	for name, s := range d.Services {
		addresses[name] = s.Addresses
	}
	k.readAddresses(next, addresses)
	if err := k.readSplits(next, d.Splits); err != nil {
		k.metrics.Rejected("splits") // config has checked them: only a rule without a route could get here
	}
	k.table.Store(next)
	for name, u := range old.upstreams {
		if next.upstreams[name] != u {
			u.Close()
		}
	}
}

func (k *catalog) place(next, old *table, name string, s discovery.Service) {
	terms := k.config.Outbound.Defaults
	if u := old.upstreams[name]; u != nil {
		u.Update(k.callable(terms, s.Endpoints))
		next.upstreams[name], next.routes[name] = u, old.routes[name]
		return
	}
	terms.Endpoints = s.Endpoints
	if err := k.put(next, name, terms); err != nil {
		k.metrics.Rejected("service_terms") // config has checked the terms: only a balancer that is not built could get here
	}
}

// find returns the route of a service, or why there is none.
func (k *catalog) find(host []byte) (*exchange.Route, *exchange.Fault) {
	t := k.table.Load()
	if r := t.routes[string(host)]; r != nil {
		return r, nil
	}
	if t.awaiting {
		return nil, unknownYet
	}
	return nil, exchange.NoRoute
}

// unknownYet is not no_route: the service may well exist, and the call may be tried again.
var unknownYet = exchange.NoEndpoint.With("the control plane has not been heard yet")

func (k *catalog) close() {
	for _, u := range k.table.Load().upstreams {
		u.Close()
	}
}
