// Package config holds the proxies' own files: what a gateway, a sidecar, a control plane and a relay can be told, read strictly
// (package strict) into values that never change once read.
//
// Its one invariant: a value returned by a Load function is whole: defaults filled in, references resolved, timeouts in order.
// It opens nothing but the file itself: secrets, certificates and sockets are opened by whoever uses them.
package config

import (
	"crossroads/proxies/config/strict"
	"crossroads/proxies/config/units"
)

// Mode of a stage: off (not in the chain), shadow (counts what it would have done, never acts) or on.
type Mode string

const (
	Off    Mode = "off"
	Shadow Mode = "shadow"
	On     Mode = "on"
)

// Gateway is the file of `gateway run --config`.
type Gateway struct {
	Version   int                  `yaml:"version" json:"version"`
	Name      string               `yaml:"name,omitempty" json:"name,omitempty"`
	Listen    []Listener           `yaml:"listen" json:"listen"`
	Admin     Admin                `yaml:"admin,omitempty" json:"admin"`
	Identity  *Identity            `yaml:"identity,omitempty" json:"identity,omitempty"` // for mTLS towards upstreams
	Clients   Clients              `yaml:"clients,omitempty" json:"clients"`
	Upstreams strict.Map[Upstream] `yaml:"upstreams" json:"upstreams"`
	Routes    []Route              `yaml:"routes" json:"routes"`
	Stages    GatewayStages        `yaml:"stages,omitempty" json:"stages"`
	Log       Log                  `yaml:"log,omitempty" json:"log"`
	Ledger    Ledger               `yaml:"ledger,omitempty" json:"ledger"`
	Drain     Drain                `yaml:"drain,omitempty" json:"drain"`
	Workers   int                  `yaml:"workers,omitempty" json:"workers"`         // GOMAXPROCS; 0: what the machine offers
	Faults    *Faults              `yaml:"faults,omitempty" json:"faults,omitempty"` // what is to go wrong on purpose
}

// Listener is one address that accepts connections: host:port, or unix:/path.
type Listener struct {
	Address string `yaml:"address" json:"address"`
	TLS     *TLS   `yaml:"tls,omitempty" json:"tls,omitempty"`
}

// TLS names a certificate chain and its key, both PEM files.
type TLS struct {
	Certificate string `yaml:"certificate" json:"certificate"`
	Key         string `yaml:"key" json:"key"`
}

// Admin is the operators' listener; loopback unless told otherwise.
type Admin struct {
	Address string `yaml:"address,omitempty" json:"address"`
}

// Clients bounds what a client may do before any stage looks at it.
type Clients struct {
	HeaderTimeout         units.Duration `yaml:"header_timeout,omitempty" json:"header_timeout"` // first byte to end of the head; 0: none, as for the other two
	BodyIdle              units.Duration `yaml:"body_idle,omitempty" json:"body_idle"`           // silence while a body is due
	KeepAlive             units.Duration `yaml:"keep_alive,omitempty" json:"keep_alive"`         // idle between requests
	MaxHead               units.Bytes    `yaml:"max_head,omitempty" json:"max_head"`             // request line and fields
	MaxBody               units.Bytes    `yaml:"max_body,omitempty" json:"max_body"`             // 0: no limit
	MaxConnections        int            `yaml:"max_connections,omitempty" json:"max_connections"`
	ConnectionsPerAddress int            `yaml:"connections_per_address,omitempty" json:"connections_per_address"` // 0: no limit
	TrustedHops           int            `yaml:"trusted_hops,omitempty" json:"trusted_hops"`                       // proxies in front of this one
}

// Upstream is a set of endpoints that serve the same thing.
type Upstream struct {
	Endpoints []Endpoint     `yaml:"endpoints,omitempty" json:"endpoints,omitempty"`
	Discover  string         `yaml:"discover,omitempty" json:"discover,omitempty"` // service name asked of the control plane instead
	Balance   string         `yaml:"balance,omitempty" json:"balance"`             // round_robin | least_request | peak_ewma | random | hash
	HashBy    []string       `yaml:"hash_by,omitempty" json:"hash_by,omitempty"`   // of balance hash, first that is known: header:NAME, consumer, address
	MTLS      string         `yaml:"mtls,omitempty" json:"mtls"`                   // off | on: present the SVID and verify each endpoint's identity
	Connect   units.Duration `yaml:"connect_timeout,omitempty" json:"connect_timeout"`
	Idle      units.Duration `yaml:"idle_timeout,omitempty" json:"idle_timeout"`       // of pooled connections; keep it below the upstream's own
	MaxIdle   int            `yaml:"max_idle,omitempty" json:"max_idle"`               // pooled connections per endpoint
	MaxConns  int            `yaml:"max_connections,omitempty" json:"max_connections"` // per endpoint; 0: no limit
	Breaker   Breaker        `yaml:"breaker,omitempty" json:"breaker"`
	Health    *Health        `yaml:"health,omitempty" json:"health,omitempty"` // active checks; none unless written
	Panic     units.Share    `yaml:"panic_threshold,omitempty" json:"panic_threshold"`
	Limits    Limits         `yaml:"limits,omitempty" json:"limits"`
	Budget    RetryBudget    `yaml:"retry_budget,omitempty" json:"retry_budget"`
}

// Endpoint is one address of an upstream: host:port, or unix:/path.
type Endpoint struct {
	Address  string `yaml:"address" json:"address"`
	Weight   int    `yaml:"weight,omitempty" json:"weight"`
	Identity string `yaml:"identity,omitempty" json:"identity,omitempty"` // SPIFFE ID it must prove
}

// Route sends what it matches to its backends. Matches follow the Kubernetes Gateway API; several are alternatives.
type Route struct {
	Name     string         `yaml:"name" json:"name"`
	Hosts    []string       `yaml:"hosts,omitempty" json:"hosts,omitempty"`
	Match    []Match        `yaml:"match,omitempty" json:"match,omitempty"` // empty: every path
	Backends []Backend      `yaml:"backends,omitempty" json:"backends,omitempty"`
	Compose  *Compose       `yaml:"compose,omitempty" json:"compose,omitempty"` // instead of backends
	Timeout  units.Duration `yaml:"timeout,omitempty" json:"timeout"`
	PerTry   units.Duration `yaml:"per_try,omitempty" json:"per_try"`
	Idle     units.Duration `yaml:"stream_idle,omitempty" json:"stream_idle"`
	MaxBody  units.Bytes    `yaml:"max_body,omitempty" json:"max_body"` // of a request; 0: what clients.max_body says
	Retry    Retry          `yaml:"retry,omitempty" json:"retry"`
	Tolerate []string       `yaml:"tolerate,omitempty" json:"tolerate,omitempty"` // of an ambiguous path, which is refused else: see PathFlaws
}

// Match holds when all of its parts hold.
type Match struct {
	Path    PathMatch          `yaml:"path,omitempty" json:"path"`
	Method  string             `yaml:"method,omitempty" json:"method,omitempty"`
	Headers strict.Map[string] `yaml:"headers,omitempty" json:"headers"`
	Query   strict.Map[string] `yaml:"query,omitempty" json:"query"`
}

// PathMatch is exact or by prefix of whole path elements; neither means the prefix /.
type PathMatch struct {
	Exact  string `yaml:"exact,omitempty" json:"exact,omitempty"`
	Prefix string `yaml:"prefix,omitempty" json:"prefix,omitempty"`
}

// Backend names an upstream and its share.
type Backend struct {
	Upstream string `yaml:"upstream" json:"upstream"`
	Weight   int    `yaml:"weight,omitempty" json:"weight"`
}

// GatewayStages are the stages of a gateway that can be switched.
type GatewayStages struct {
	CORS          *CORS          `yaml:"cors,omitempty" json:"cors,omitempty"`
	KeyAuth       *KeyAuth       `yaml:"key_auth,omitempty" json:"key_auth,omitempty"`
	JWT           *JWT           `yaml:"jwt,omitempty" json:"jwt,omitempty"`
	Introspection *Introspection `yaml:"introspection,omitempty" json:"introspection,omitempty"`
	Authorization *Access        `yaml:"authorization,omitempty" json:"authorization,omitempty"`
	RateLimit     *RateLimit     `yaml:"rate_limit,omitempty" json:"rate_limit,omitempty"`
}

// KeyAuth authenticates by a secret key that the request carries.
type KeyAuth struct {
	Mode     Mode       `yaml:"mode,omitempty" json:"mode"`
	Places   []KeyPlace `yaml:"places,omitempty" json:"places"` // looked at in order; default: header X-Api-Key
	Keys     []Key      `yaml:"keys" json:"keys"`
	Optional bool       `yaml:"optional,omitempty" json:"optional"` // a request without a key passes as nobody's
}

// KeyPlace is where a key may stand; exactly one of the three is set.
type KeyPlace struct {
	Header string `yaml:"header,omitempty" json:"header,omitempty"`
	Query  string `yaml:"query,omitempty" json:"query,omitempty"`
	Cookie string `yaml:"cookie,omitempty" json:"cookie,omitempty"`
}

// Key is a consumer's key, kept as its SHA-256 in hexadecimal: never the key itself.
type Key struct {
	Consumer string   `yaml:"consumer" json:"consumer"`
	SHA256   string   `yaml:"sha256" json:"sha256"`
	Groups   []string `yaml:"groups,omitempty" json:"groups,omitempty"`
}

// RateLimit admits requests at a rate with a burst, for each value of its key, and never delays one (GCRA).
type RateLimit struct {
	Mode     Mode              `yaml:"mode,omitempty" json:"mode"`
	Policies []RateLimitPolicy `yaml:"policies" json:"policies"`
	MaxKeys  int               `yaml:"max_keys,omitempty" json:"max_keys"`     // bound of the table; the oldest are evicted
	Redis    *RedisStore       `yaml:"redis,omitempty" json:"redis,omitempty"` // shared by several gateways; absent: this one's own table
}

// RateLimitPolicy is one limit; all policies are checked and the strictest answer wins.
type RateLimitPolicy struct {
	Name  string      `yaml:"name" json:"name"`
	Key   []string    `yaml:"key,omitempty" json:"key"` // first that is known: consumer, credential, address, header:NAME, route; default consumer, address
	Rate  units.Count `yaml:"rate" json:"rate"`         // per second
	Burst units.Count `yaml:"burst" json:"burst"`
	Only  []string    `yaml:"only,omitempty" json:"only,omitempty"` // consumers it holds for; empty: all
}

// Log is the access log: one JSON object a line.
type Log struct {
	Access string      `yaml:"access,omitempty" json:"access"` // off | stdout | stderr | a file
	Sample units.Share `yaml:"sample,omitempty" json:"sample"` // of requests without a fault; faults are always logged
}

// Ledger says how often stage times are taken.
type Ledger struct {
	Sample    units.Share `yaml:"sample,omitempty" json:"sample"`         // 0: none at random
	OnRequest bool        `yaml:"on_request,omitempty" json:"on_request"` // those that carry X-Crossroads-Ledger; only where whoever calls may know
}

// Drain is how a proxy stops: not ready, still serving for Delay; then Connection: close for Grace; then the rest is cut.
type Drain struct {
	Delay units.Duration `yaml:"delay,omitempty" json:"delay"`
	Grace units.Duration `yaml:"grace,omitempty" json:"grace"`
}

// Identity is how a proxy obtains its SVID: from a control plane by CSR and token, or from files.
type Identity struct {
	TrustDomain string          `yaml:"trust_domain" json:"trust_domain"`
	ID          string          `yaml:"id" json:"id"` // spiffe://<trust domain>/ns/<namespace>/sa/<service>
	Control     *ControlAddress `yaml:"control,omitempty" json:"control,omitempty"`
	Files       *IdentityFiles  `yaml:"files,omitempty" json:"files,omitempty"`
}

// ControlAddress is where the control plane is and how it is recognized and convinced.
type ControlAddress struct {
	Bootstrap string `yaml:"bootstrap" json:"bootstrap"`       // host:port for the CSR (TLS, server verified by Roots)
	Address   string `yaml:"address" json:"address"`           // host:port for snapshots (mTLS)
	Roots     string `yaml:"roots" json:"roots"`               // PEM file: the trust bundle to start with
	Token     string `yaml:"token" json:"token"`               // file that holds the bootstrap token
	Reports   string `yaml:"reports,omitempty" json:"reports"` // off | on: tell the control plane what is seen of the edges
}

// IdentityFiles are PEM files; they are read again when they change.
type IdentityFiles struct {
	Certificate string `yaml:"certificate" json:"certificate"`
	Key         string `yaml:"key" json:"key"`
	Bundle      string `yaml:"bundle" json:"bundle"`
}

// Sidecar is the file of `sidecar run --config`.
type Sidecar struct {
	Version  int       `yaml:"version" json:"version"`
	Service  string    `yaml:"service" json:"service"`
	Admin    Admin     `yaml:"admin,omitempty" json:"admin"`
	Identity *Identity `yaml:"identity,omitempty" json:"identity,omitempty"`
	MTLS     string    `yaml:"mtls,omitempty" json:"mtls"` // strict | permissive | off, for both directions
	Inbound  *Inbound  `yaml:"inbound,omitempty" json:"inbound,omitempty"`
	Outbound *Outbound `yaml:"outbound,omitempty" json:"outbound,omitempty"`
	Clients  Clients   `yaml:"clients,omitempty" json:"clients"`
	Log      Log       `yaml:"log,omitempty" json:"log"`
	Ledger   Ledger    `yaml:"ledger,omitempty" json:"ledger"`
	Drain    MeshDrain `yaml:"drain,omitempty" json:"drain"`
	Workers  int       `yaml:"workers,omitempty" json:"workers"`
	Faults   *Faults   `yaml:"faults,omitempty" json:"faults,omitempty"` // what is to go wrong on purpose
}

// MeshDrain is how a sidecar stops: as Drain for inbound, whose calls the application answers with calls of its own; outbound stays for
// them, and longer where Application says so. All of it happens within Grace.
type MeshDrain struct {
	Delay units.Duration `yaml:"delay,omitempty" json:"delay"`
	Grace units.Duration `yaml:"grace,omitempty" json:"grace"`
	// Application is how long outbound stays for an application that works on after its last inbound call; it ends sooner once the
	// application accepts no connections any more. 0: no longer than that call.
	Application units.Duration `yaml:"application,omitempty" json:"application"`
}

// Terms are those of Drain.
func (d MeshDrain) Terms() Drain { return Drain{Delay: d.Delay, Grace: d.Grace} }

// Inbound takes the calls of others to the application beside the sidecar.
type Inbound struct {
	Listen  string       `yaml:"listen" json:"listen"`                       // mTLS (or what MTLS says), default port 4143
	Ingress string       `yaml:"ingress,omitempty" json:"ingress,omitempty"` // plaintext from outside the mesh; off by default
	App     string       `yaml:"app,omitempty" json:"app,omitempty"`         // the application: host:port, or unix:/path; needed where it speaks HTTP
	TCP     []InboundTCP `yaml:"tcp,omitempty" json:"tcp,omitempty"`         // opaque connections that the application takes, by port
	// Authorization holds besides what the control plane says; of the two defaults the stricter counts.
	Authorization *MeshAuthorization `yaml:"authorization,omitempty" json:"authorization,omitempty"`
	Limits        *CallerLimits      `yaml:"limits,omitempty" json:"limits,omitempty"`
	// Register tells the control plane where the service can be reached here.
	Register *Register `yaml:"register,omitempty" json:"register,omitempty"`
}

// Outbound takes the application's own calls; the Host field names the service called.
type Outbound struct {
	Listen    string               `yaml:"listen" json:"listen"`               // default port 4140; host:port, or unix:/path
	Discover  bool                 `yaml:"discover,omitempty" json:"discover"` // ask the control plane for services not listed
	Upstreams strict.Map[Upstream] `yaml:"upstreams,omitempty" json:"upstreams"`
	Defaults  Upstream             `yaml:"defaults,omitempty" json:"defaults"` // terms for discovered services; no endpoints
	Timeout   units.Duration       `yaml:"timeout,omitempty" json:"timeout"`
	PerTry    units.Duration       `yaml:"per_try,omitempty" json:"per_try"`
	Idle      units.Duration       `yaml:"stream_idle,omitempty" json:"stream_idle"`
	Retry     Retry                `yaml:"retry,omitempty" json:"retry"`
	Splits    []Split              `yaml:"splits,omitempty" json:"splits,omitempty"`
	TCP       []OutboundTCP        `yaml:"tcp,omitempty" json:"tcp,omitempty"`
	// Transparent takes connections that the kernel redirected; see `sidecar intercept`.
	Transparent *Transparent `yaml:"transparent,omitempty" json:"transparent,omitempty"`
}

// Control is the file of `control run --config`.
type Control struct {
	Version     int     `yaml:"version" json:"version"`
	TrustDomain string  `yaml:"trust_domain" json:"trust_domain"`
	Bootstrap   string  `yaml:"bootstrap" json:"bootstrap"` // default port 8086
	Listen      string  `yaml:"listen" json:"listen"`       // default port 8087
	Admin       Admin   `yaml:"admin,omitempty" json:"admin"`
	CA          CA      `yaml:"ca,omitempty" json:"ca"`
	Tokens      []Token `yaml:"tokens" json:"tokens"`
	Endpoints   string  `yaml:"endpoints" json:"endpoints"` // file of services and endpoints; watched
	// Registration adds endpoints that sidecars register; none unless written.
	Registration *Registration  `yaml:"registration,omitempty" json:"registration,omitempty"`
	Lifetime     units.Duration `yaml:"svid_lifetime,omitempty" json:"svid_lifetime"`
	Graph        MeshGraph      `yaml:"graph,omitempty" json:"graph"`
}

// MeshGraph is how the control plane assembles the dependency graph from what proxies report.
type MeshGraph struct {
	Window units.Duration `yaml:"window,omitempty" json:"window"` // of the reports
	Keep   units.Duration `yaml:"keep,omitempty" json:"keep"`     // of an edge that carries nothing any more
}

// CA names the root's files. Where both are missing a root is made, and written where Certificate and Key say.
type CA struct {
	Certificate string `yaml:"certificate,omitempty" json:"certificate,omitempty"`
	Key         string `yaml:"key,omitempty" json:"key,omitempty"`
}

// Token lets its bearer obtain SVIDs for the IDs listed.
type Token struct {
	File string   `yaml:"file" json:"file"`
	IDs  []string `yaml:"ids" json:"ids"` // SPIFFE IDs, or a prefix ending in /*
}

// Endpoints is the file of services that the control plane serves.
type Endpoints struct {
	Version       int                 `yaml:"version" json:"version"`
	Services      strict.Map[Service] `yaml:"services" json:"services"`
	Authorization *MeshAuthorization  `yaml:"authorization,omitempty" json:"authorization,omitempty"` // of the whole mesh
	Splits        []Split             `yaml:"splits,omitempty" json:"splits,omitempty"`
}

// Service is where one service can be reached.
type Service struct {
	Identity  string     `yaml:"identity,omitempty" json:"identity,omitempty"` // for endpoints that name none
	Protocol  string     `yaml:"protocol,omitempty" json:"protocol"`           // http
	Endpoints []Endpoint `yaml:"endpoints" json:"endpoints"`
	// Addresses are host:port pairs by which applications know the service; redirected connections to them are calls to it.
	Addresses []string `yaml:"addresses,omitempty" json:"addresses,omitempty"`
}
