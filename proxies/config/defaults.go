package config

import (
	"time"

	"crossroads/proxies/config/strict"
	"crossroads/proxies/config/units"
)

// This file is the one place where defaults stand. strict.Decode calls SetDefaults before it decodes a mapping over a value, so
// that a key left out keeps its default wherever its mapping stands; `validate --print-defaults` prints what comes of it.

// Default addresses.
const (
	GatewayAddress      = ":8080"
	GatewayAdmin        = "127.0.0.1:9901"
	SidecarInbound      = ":4143"
	SidecarOutbound     = "127.0.0.1:4140"
	SidecarAdmin        = "127.0.0.1:4191"
	ControlBootstrap    = ":8086"
	ControlSnapshots    = ":8087"
	ControlAdmin        = "127.0.0.1:9990"
	RelayAdmin          = "127.0.0.1:9902"
	defaultKeyHeader    = "X-Api-Key"
	defaultRateLimitMax = 100_000
)

const millisecond = units.Duration(time.Millisecond)

func seconds(n int) units.Duration { return units.Duration(time.Duration(n) * time.Second) }

// SetDefaults fills in what a file may leave out.
func (g *Gateway) SetDefaults() {
	g.Admin.Address = GatewayAdmin
	g.Clients.SetDefaults()
	g.Log.SetDefaults()
	g.Drain.SetDefaults()
}

// SetDefaults fills in what a file may leave out.
func (c *Clients) SetDefaults() {
	*c = Clients{
		HeaderTimeout:  seconds(10),
		BodyIdle:       seconds(30),
		KeepAlive:      seconds(60),
		MaxHead:        32 << 10,
		MaxConnections: 10_000,
	}
}

// SetDefaults fills in what a file may leave out. MTLS and the breaker's mode depend on where it stands: see resolveUpstream.
func (u *Upstream) SetDefaults() {
	*u = Upstream{
		Balance: "round_robin",
		Connect: seconds(2),
		Idle:    seconds(30),
		MaxIdle: 512,
		Panic:   0.5,
	}
	u.Breaker.SetDefaults()
	u.Budget.SetDefaults()
}

// SetDefaults fills in what a file may leave out; for Mode see resolveUpstream.
func (b *Breaker) SetDefaults() {
	*b = Breaker{ConsecutiveFailures: 7, SuccessRate: 0.8, MinRequests: 5, SlowRate: 0.5,
		Open: seconds(1), MaxOpen: seconds(60), MaxEjected: 0.5}
}

// SetDefaults fills in what a file may leave out.
func (h *Health) SetDefaults() {
	*h = Health{Interval: seconds(3), Timeout: seconds(1), Down: 3, Up: 1}
}

// SetDefaults fills in what a file may leave out.
func (r *Retry) SetDefaults() { *r = Retry{Backoff: 25 * millisecond, MaxBackoff: 250 * millisecond} }

// SetDefaults fills in what a file may leave out.
func (r *RetryBudget) SetDefaults() {
	*r = RetryBudget{Share: 0.2, PerSecond: 10, Concurrent: 0.2, MinConcurrent: 3}
}

// SetDefaults fills in what a file may leave out.
func (e *Endpoint) SetDefaults() { *e = Endpoint{Weight: 1} }

// SetDefaults fills in what a file may leave out.
func (r *Route) SetDefaults() {
	*r = Route{Timeout: seconds(30), Idle: seconds(60)}
	r.Retry.SetDefaults()
}

// SetDefaults fills in what a file may leave out.
func (b *Backend) SetDefaults() { *b = Backend{Weight: 1} }

// SetDefaults fills in what a file may leave out.
func (k *KeyAuth) SetDefaults() { *k = KeyAuth{Mode: On} }

// SetDefaults fills in what a file may leave out.
func (r *RateLimit) SetDefaults() { *r = RateLimit{Mode: On, MaxKeys: defaultRateLimitMax} }

// SetDefaults fills in what a file may leave out.
func (j *JWT) SetDefaults() {
	*j = JWT{Mode: On, Algorithms: []string{"RS256", "ES256", "EdDSA"}, Skew: seconds(5), MaxCached: 10_000}
	j.Keys.SetDefaults()
	j.Token.SetDefaults()
	j.Claims.SetDefaults()
}

// SetDefaults fills in what a file may leave out.
func (k *KeySet) SetDefaults() {
	*k = KeySet{Fresh: seconds(300), Refetch: seconds(10), Timeout: seconds(2)}
}

// SetDefaults fills in what a file may leave out.
func (t *BearerToken) SetDefaults() {
	*t = BearerToken{Header: "Authorization", Credential: "remove", Max: 8 << 10}
}

// SetDefaults fills in what a file may leave out.
func (u *ClaimUse) SetDefaults() { *u = ClaimUse{Consumer: "sub", Groups: "groups"} }

// SetDefaults fills in what a file may leave out.
func (i *Introspection) SetDefaults() {
	*i = Introspection{Mode: On, Timeout: seconds(2), MaxConcurrent: 64, MaxCached: 10_000}
	i.Token.SetDefaults()
	i.Claims.SetDefaults()
}

// SetDefaults fills in what a file may leave out.
func (a *Access) SetDefaults() { *a = Access{Mode: On} }

// SetDefaults fills in what a file may leave out.
func (r *AccessRule) SetDefaults() { *r = AccessRule{Action: "allow"} }

// SetDefaults fills in what a file may leave out.
func (k *CORS) SetDefaults() {
	*k = CORS{Mode: On, Methods: []string{"GET", "HEAD", "POST"}, MaxAge: seconds(600)}
}

// SetDefaults fills in what a file may leave out.
func (r *RedisStore) SetDefaults() {
	*r = RedisStore{Prefix: "crossroads", Timeout: units.Duration(50 * time.Millisecond), Pause: seconds(1)}
}

// SetDefaults fills in what a file may leave out.
func (l *Log) SetDefaults() { *l = Log{Access: "off", Sample: 1} }

// SetDefaults fills in what a file may leave out.
func (d *Drain) SetDefaults() { *d = Drain{Grace: seconds(10)} }

// SetDefaults fills in what a file may leave out.
func (d *MeshDrain) SetDefaults() { *d = MeshDrain{Grace: seconds(10)} }

// SetDefaults fills in what a file may leave out.
func (s *Sidecar) SetDefaults() {
	s.Admin.Address = SidecarAdmin
	s.MTLS = "strict"
	s.Clients.SetDefaults()
	s.Log.SetDefaults()
	s.Drain.SetDefaults()
}

// SetDefaults fills in what a file may leave out.
func (i *Inbound) SetDefaults() { *i = Inbound{Listen: SidecarInbound} }

// SetDefaults fills in what a file may leave out.
func (o *Outbound) SetDefaults() {
	*o = Outbound{Listen: SidecarOutbound, Timeout: seconds(30), Idle: seconds(60)}
	o.Retry.SetDefaults()
	o.Defaults.SetDefaults()
}

// SetDefaults fills in what a file may leave out.
func (c *Control) SetDefaults() {
	c.Bootstrap = ControlBootstrap
	c.Listen = ControlSnapshots
	c.Admin.Address = ControlAdmin
	c.Lifetime = units.Duration(24 * time.Hour)
	c.Graph.SetDefaults()
}

// SetDefaults fills in what a file may leave out.
func (g *MeshGraph) SetDefaults() {
	*g = MeshGraph{Window: units.Duration(500 * time.Millisecond), Keep: seconds(60)}
}

// SetDefaults fills in what a file may leave out.
func (a *ControlAddress) SetDefaults() { *a = ControlAddress{Reports: "on"} }

// SetDefaults fills in what a file may leave out.
func (r *Relay) SetDefaults() { r.Admin.Address = RelayAdmin }

// SetDefaults fills in what a file may leave out.
func (s *Service) SetDefaults() { *s = Service{Protocol: "http"} }

// resolveUpstream fills in what depends on where an upstream stands: a sidecar guards its endpoints with a breaker and speaks mTLS
// unless told otherwise, a gateway does either only when asked. Whoever writes a breaker at all wants it on.
func resolveUpstream(u *Upstream, doc *strict.Document, path string, breaker Mode, mtls string) {
	switch {
	case u.Breaker.Mode != "":
	case doc.Has(path + ".breaker"):
		u.Breaker.Mode = On
	default:
		u.Breaker.Mode = breaker
	}
	if u.MTLS == "" {
		u.MTLS = mtls
	}
	if u.Balance == "hash" && len(u.HashBy) == 0 {
		u.HashBy = []string{"consumer", "address"}
	}
}

// resolve fills in what only the whole file tells.
func (g *Gateway) resolve(doc *strict.Document) {
	if len(g.Listen) == 0 {
		g.Listen = []Listener{{Address: GatewayAddress}}
	}
	for name, u := range g.Upstreams.All() {
		resolveUpstream(&u, doc, strict.Key("$.upstreams", name), Off, "off")
		g.Upstreams.Set(name, u)
	}
	if k := g.Stages.KeyAuth; k != nil && len(k.Places) == 0 {
		k.Places = []KeyPlace{{Header: defaultKeyHeader}}
	}
	g.Faults.resolve("outbound")
	if r := g.Stages.RateLimit; r != nil {
		for i := range r.Policies {
			r.Policies[i].resolve()
		}
	}
}

// resolve fills in a policy's key, and the smallest burst that lets a single request pass.
func (p *RateLimitPolicy) resolve() {
	if len(p.Key) == 0 {
		p.Key = []string{"consumer", "address"}
	}
	if p.Burst == 0 {
		p.Burst = max(1, p.Rate)
	}
}

// resolve fills in what only the whole file tells.
func (s *Sidecar) resolve(doc *strict.Document) {
	if s.Inbound != nil && s.Inbound.Limits != nil {
		s.Inbound.Limits.resolve()
	}
	if s.Outbound == nil {
		return
	}
	mtls := "on"
	if s.MTLS == "off" {
		mtls = "off"
	}
	resolveUpstream(&s.Outbound.Defaults, doc, "$.outbound.defaults", On, mtls)
	for name, u := range s.Outbound.Upstreams.All() {
		resolveUpstream(&u, doc, strict.Key("$.outbound.upstreams", name), On, mtls)
		s.Outbound.Upstreams.Set(name, u)
	}
}

// resolve gives every endpoint that names no identity the one of its service.
func (e *Endpoints) resolve() {
	for name, s := range e.Services.All() {
		for i := range s.Endpoints {
			if s.Endpoints[i].Identity == "" {
				s.Endpoints[i].Identity = s.Identity
			}
		}
		e.Services.Set(name, s)
	}
}
