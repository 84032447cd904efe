package parity

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/harness/deploy"
	"crossroads/harness/workload"
	"crossroads/proxies/config/strict"
	"crossroads/topologies"
)

const experiment = `
version: 1
name: demo
application:
  entry: shop
  services:
    shop: {response: {size: 100B}, script: [{call: stock}]}
    stock: {}
topologies:
  direct: {}
  gateway: {gateway: {stages: {key_auth: on, rate_limit: {rate: 100k, burst: 10k}}}}
  plain-gateway: {gateway: {}}
  secure: {gateway: {tls: on}}
  limited: {gateway: {stages: {rate_limit: {rate: 100k, burst: 10k}}}}
  shadow: {gateway: {stages: {key_auth: shadow, rate_limit: {mode: shadow, rate: 100k, burst: 10k}}}}
  mesh: {mesh: {sidecars: both, mtls: strict}}
  permissive: {mesh: {sidecars: both, mtls: permissive}}
  mesh-plain: {mesh: {sidecars: both, mtls: off}}
  gateway+mesh: {extends: [gateway, mesh]}
  retrying: {extends: [mesh], mesh: {retries: on, breaker: off}}
  all: {gateway: {stages: {access_log: on, cors: on, key_auth: on, jwt: on, introspection: on, authorization: on, rate_limit: on, body_limit: {max: 1KiB}},
    upstream: {balance: random, retries: on, breaker: on, health: on, bulkhead: on}}}
  watching: {gateway: {stages: {cors: shadow, key_auth: shadow, jwt: shadow, introspection: shadow, authorization: shadow, rate_limit: shadow}}}
load:
  rates: [100]
  requests:
    - {path: /}
    - {method: POST, path: /orders, body: {size: 64B}}
`

// system is a fake deployment that does everything right, unless told to lie.
type system struct {
	deploy.Deployment // nothing else of it is asked
	arm               *topologies.Arm
	keys              bool // key_auth acts
	limit             bool // rate_limit acts
	policy            string
	missing           int                        // hops left out towards the entry
	skipped           int                        // hops left out on the edge
	doing             func(shop *workload.Probe) // changes what the probe tells
	changed           func(body []byte, seq string) []byte
	status            int           // instead of the origin's
	inbound           func() string // starts an inbound port and returns its address
	consumers         bool          // the limit knows the probe consumer
	unlisted          bool          // the deployment does not list the origin
	wrongSize         bool          // the origin answers with another size than declared
	alive             bool          // of the probe: answers with HTML instead of the workload's report

	believes string // a field that the gateway passes on as it came
	dials    bool   // every request comes to the application on a connection of its own
	closes   bool   // the entry ends the client's connection with every answer
	plain    bool   // the entry speaks no TLS, declared or not
	foreign  bool   // the entry's certificate is of nobody who is believed
	old      bool   // the entry takes clients of TLS 1.1

	guard *guard // the stages that are not above; nil: there is no gateway

	probes  atomic.Int64
	peers   atomic.Int64
	origin  *httptest.Server
	entry   *httptest.Server
	roots   string // whom the entry's clients believe
	sidecar string
	terms   func(*topologies.Mesh) // changes what the sidecar shows of itself
	admin   *httptest.Server
}

func start(t *testing.T, arm string, lie func(*system)) (*system, *topologies.Arm) {
	t.Helper()
	e, err := topologies.Parse("demo.yaml", []byte(experiment))
	require.NoError(t, err)
	a, known := e.Arm(arm)
	require.True(t, known)
	s := &system{arm: a, policy: `"probe";q=3;w=3, "declared";q=10000;w=1`, changed: func(body []byte, _ string) []byte { return body }}
	if g := a.Topology.Gateway; g != nil {
		s.keys = g.Stages.Mode("key_auth") == "on"
		s.consumers = s.keys
		s.limit = g.Stages.Mode("rate_limit") == "on"
		s.guard = newGuard(t, g)
	}
	if m := a.Topology.Mesh; m != nil {
		s.inbound = map[string]func() string{
			"strict":     func() string { return tlsPort(t, tls.RequireAnyClientCert) },
			"permissive": func() string { return eitherPort(t) },
			"off":        func() string { return plainPort(t, http.StatusOK) },
		}[m.MTLS]
	}
	if lie != nil {
		lie(s)
	}
	if s.inbound != nil {
		s.sidecar = s.inbound()
	}
	s.origin, s.entry = httptest.NewServer(http.HandlerFunc(s.work)), httptest.NewUnstartedServer(http.HandlerFunc(s.proxy))
	s.entry.Config.ErrorLog = log.New(io.Discard, "", 0)
	if !a.EntryTLS() || s.plain {
		s.entry.Start()
	} else {
		s.entry.TLS = &tls.Config{}
		if s.old {
			s.entry.TLS.MinVersion = tls.VersionTLS10
		}
		s.entry.StartTLS()
	}
	if a.EntryTLS() && !s.plain && !s.foreign {
		s.roots = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.entry.Certificate().Raw}))
	}
	s.admin = httptest.NewServer(http.HandlerFunc(s.config))
	t.Cleanup(func() { s.origin.Close(); s.entry.Close(); s.admin.Close() })
	return s, a
}

// config is the sidecar's page of that name.
func (s *system) config(w http.ResponseWriter, _ *http.Request) {
	m := *s.arm.Topology.Mesh
	if s.terms != nil {
		s.terms(&m)
	}
	attempts := map[string]int{"on": 2}[m.Retries]
	fmt.Fprintf(w, `{"outbound": {"defaults": {"breaker": {"mode": %q}}, "retry": {"attempts": %d}}}`, m.Breaker, attempts)
}

// work is the origin.
func (s *system) work(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	if r.Header.Get(workload.HeaderProbe) != "" {
		s.report(w, r, true)
		return
	}
	size := 100
	if s.wrongSize {
		size = 99
	}
	seed := r.Method + r.URL.Path + r.Header.Get("X-Crossroads-Seq")
	_, _ = w.Write([]byte(strings.Repeat(seed, size)[:size]))
}

// proxy is everything in front of the origin.
func (s *system) proxy(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("X-Api-Key")
	if s.closes {
		w.Header().Set("Connection", "close")
	}
	if s.limit && s.policy != "" {
		w.Header().Set("RateLimit-Policy", s.policy)
	}
	switch {
	case s.guard.answers(w, r):
	case s.keys && key != "demo" && key != "probe":
		w.WriteHeader(http.StatusUnauthorized)
	case s.limit && s.consumers && key == "probe" && s.probes.Add(1) > deploy.ProbeBurst:
		w.WriteHeader(http.StatusTooManyRequests)
	case r.Header.Get(workload.HeaderProbe) != "":
		s.report(w, r, false)
	default:
		answer := httptest.NewRecorder()
		s.work(answer, r)
		if s.status != 0 {
			w.WriteHeader(s.status)
		}
		_, _ = w.Write(s.changed(answer.Body.Bytes(), r.Header.Get("X-Crossroads-Seq")))
	}
}

// fields is what the gateway makes of a client's.
func (s *system) fields(r *http.Request) [][2]string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	all := [][2]string{{"X-Forwarded-For", "127.0.0.1"}, {"X-Forwarded-Proto", scheme}, {"X-Forwarded-Host", r.Host}}
	if s.believes != requestID {
		all = append(all, [2]string{requestID, "made"})
	}
	if s.believes != "" {
		all = append(all, [2]string{s.believes, r.Header.Get(s.believes)})
	}
	return all
}

func (s *system) report(w http.ResponseWriter, r *http.Request, honest bool) {
	if s.alive && !honest {
		_, _ = w.Write([]byte("<h1>it works!</h1>"))
		return
	}
	entry, edge := s.arm.Hops()
	stock := &workload.Probe{Service: "stock", Hops: max(0, edge-s.skipped), Seq: r.Header.Get("X-Crossroads-Seq"), Wait: 1000}
	shop := &workload.Probe{Service: "shop", Hops: max(0, entry-s.missing), Seq: r.Header.Get("X-Crossroads-Seq"), CPU: 77}
	if !honest {
		shop.Headers, shop.Host = s.fields(r), r.Host
	}
	if s.dials {
		shop.Peer = fmt.Sprint(s.peers.Add(1))
	}
	shop.Calls = []workload.ProbedCall{{To: "stock", Made: true, Probe: stock}}
	if honest {
		shop.Hops = 0
	} else if s.doing != nil {
		s.doing(shop)
	}
	_ = json.NewEncoder(w).Encode(shop)
}

func (s *system) Entries() []deploy.Entry {
	if s.guard != nil {
		return []deploy.Entry{{Name: "gateway-1", URL: s.entry.URL, Roots: s.roots}}
	}
	return []deploy.Entry{{Name: "shop", URL: s.entry.URL}}
}

func (s *system) Processes() []deploy.Process {
	var all []deploy.Process
	if !s.unlisted {
		all = append(all, deploy.Process{ID: "shop-1", Kind: deploy.KindWorkload, Service: "shop", Admin: s.origin.URL})
	}
	if s.guard != nil && !s.guard.unlisted {
		all = append(all, deploy.Process{ID: "gateway-1", Kind: deploy.KindGateway, Admin: s.guard.admin.URL, Access: s.guard.log})
	}
	if s.sidecar != "" {
		all = append(all, deploy.Process{ID: "sidecar-shop-1", Kind: deploy.KindSidecar, Service: "shop", Admin: s.admin.URL, Ports: map[string]string{"inbound": s.sidecar}})
	}
	return all
}

// plainPort serves anybody in plaintext with a status.
func plainPort(t *testing.T, status int) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// tlsPort serves with TLS only.
func tlsPort(t *testing.T, clients tls.ClientAuthType) string {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.TLS = &tls.Config{ClientAuth: clients}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // refusals are what is tested
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// eitherPort serves anybody in plaintext and asks who comes with TLS for a certificate.
func eitherPort(t *testing.T) string {
	plain, secured := plainPort(t, http.StatusOK), tlsPort(t, tls.RequireAnyClientCert)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				in, to := bufio.NewReader(conn), plain
				if first, err := in.Peek(1); err == nil && first[0] == 22 { // a TLS handshake, RFC 8446 5.1
					to = secured
				}
				behind, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer behind.Close()
				go func() { _, _ = io.Copy(behind, in) }()
				_, _ = io.Copy(conn, behind)
			}()
		}
	}()
	return l.Addr().String()
}

func closedPort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

func TestHonestSystemsPass(t *testing.T) {
	for _, arm := range []string{"direct", "gateway", "plain-gateway", "limited", "shadow", "all", "watching", "mesh", "permissive", "mesh-plain", "gateway+mesh", "retrying"} {
		t.Run(arm, func(t *testing.T) {
			s, a := start(t, arm, nil)
			require.Empty(t, Check(t.Context(), a, s))
		})
	}
}

func TestLiesAreFound(t *testing.T) {
	tests := []struct {
		name  string
		arm   string
		lie   func(t *testing.T, s *system)
		probe string
		text  string
	}{
		{"a body cut short", "gateway", func(_ *testing.T, s *system) { s.changed = func(b []byte, _ string) []byte { return b[:99] } },
			"answers", "a body of 99 bytes where the origin's own has 100"},
		{"a body altered", "gateway", func(_ *testing.T, s *system) {
			s.changed = func(b []byte, _ string) []byte { return append([]byte{'!'}, b[1:]...) }
		}, "answers", "hashes to"},
		{"an answer from memory", "gateway", func(_ *testing.T, s *system) {
			s.changed = func(b []byte, _ string) []byte { return []byte(strings.ReplaceAll(string(b), "1", "0")) }
		}, "answers", "hashes to"},
		{"a status of its own", "mesh", func(_ *testing.T, s *system) { s.status = http.StatusServiceUnavailable },
			"answers", "answered 503 where the origin itself answers 200"},
		{"an origin that does less", "direct", func(_ *testing.T, s *system) { s.wrongSize = true },
			"answers", "with 99 bytes where 100 are declared"},
		{"nothing to compare with", "direct", func(_ *testing.T, s *system) { s.unlisted = true },
			"answers", "no process of the service shop"},
		{"a gateway that is not crossed", "gateway", func(_ *testing.T, s *system) { s.missing = 1 },
			"hops", "the call of the driver to shop crossed no proxy where 1 are due"},
		{"a sidecar too few on the edge", "mesh", func(_ *testing.T, s *system) { s.skipped = 1 },
			"hops", "the call of shop to stock crossed 1 () where 2 are due"},
		{"a proxy in the direct arm", "direct", func(_ *testing.T, s *system) { s.missing = -1 },
			"hops", "the call of the driver to shop crossed 1 () where 0 are due"},
		{"a call that fails", "mesh", func(_ *testing.T, s *system) {
			s.doing = func(shop *workload.Probe) { shop.Calls[0].Probe, shop.Calls[0].Failed = nil, "timeout" }
		}, "hops", "the call of shop to stock failed: timeout"},
		{"a call answered by a proxy", "mesh", func(_ *testing.T, s *system) {
			s.doing = func(shop *workload.Probe) { shop.Calls[0].Probe = &workload.Probe{Text: "no_endpoint"} }
		}, "hops", "was not answered by it: no_endpoint"},
		{"a call that is not in the script", "mesh", func(_ *testing.T, s *system) {
			s.doing = func(shop *workload.Probe) { shop.Calls = nil }
		}, "hops", "no call reached stock"},
		{"another service at the entry", "direct", func(_ *testing.T, s *system) {
			s.doing = func(shop *workload.Probe) { shop.Service = "stock" }
		}, "hops", `the request reached "stock" where shop is the entry`},
		{"somebody else answers", "gateway", func(_ *testing.T, s *system) { s.alive = true },
			"hops", "not by the workload: <h1>it works!</h1>"},
		{"a sequence number lost", "gateway", func(_ *testing.T, s *system) {
			s.doing = func(shop *workload.Probe) { shop.Seq = "" }
		}, "work", "made shop do"},
		{"less CPU burnt", "gateway", func(_ *testing.T, s *system) {
			s.doing = func(shop *workload.Probe) { shop.CPU = 76 }
		}, "work", "Iterations:76"},
		{"another wait drawn below", "mesh", func(_ *testing.T, s *system) {
			s.doing = func(shop *workload.Probe) { shop.Calls[0].Probe.Wait = 1 }
		}, "work", "made shop > stock do"},
		{"a call left out by chance", "mesh", func(_ *testing.T, s *system) {
			s.doing = func(shop *workload.Probe) { shop.Calls[0].Made = false }
		}, "work", "the call shop > stock was made false"},
		{"an entry without the TLS that is declared", "secure", func(_ *testing.T, s *system) { s.plain = true },
			"tls", "where tls is on"},
		{"an entry that takes TLS 1.1", "secure", func(_ *testing.T, s *system) { s.old = true },
			"tls", "a TLS 1.1 client was served where tls is on"},
		{"authentication that does not act", "gateway", func(_ *testing.T, s *system) { s.keys = false },
			"key_auth", "answered 200 where key_auth is on: 401 was due"},
		{"authentication in shadow that acts", "shadow", func(_ *testing.T, s *system) { s.keys = true },
			"key_auth", "answered 401 where key_auth is not on"},
		{"a limit that does not act", "gateway", func(_ *testing.T, s *system) { s.limit = false },
			"rate_limit", "none was answered 429"},
		{"a limit that lets nothing pass", "gateway", func(_ *testing.T, s *system) { s.probes.Store(deploy.ProbeBurst) },
			"rate_limit", "every request of the probe consumer"},
		{"a limit alone that does not act", "limited", func(_ *testing.T, s *system) { s.limit = false },
			"rate_limit", `RateLimit-Policy at gateway-1 is "" where rate_limit is on: "declared";q=10000 was due`},
		{"a limit with another quota", "limited", func(_ *testing.T, s *system) { s.policy = `"declared";q=10` },
			"rate_limit", "was due"},
		{"a limit announced that nobody declared", "plain-gateway", func(_ *testing.T, s *system) { s.limit = true },
			"rate_limit", "answers at gateway-1 announce the limit"},
		{"a limit that nobody declared", "plain-gateway", func(_ *testing.T, s *system) {
			s.limit, s.consumers, s.policy = true, true, ""
		},
			"rate_limit", "were answered 429 where rate_limit is not on"},
		{"a gateway that says it does less", "all", func(_ *testing.T, s *system) { s.guard.says["jwt"] = "off" },
			"stages", "gateway-1 says that jwt is off where on is declared"},
		{"a gateway that says it only looks", "all", func(_ *testing.T, s *system) { s.guard.says["cors"] = "shadow" },
			"stages", "gateway-1 says that cors is shadow where on is declared"},
		{"a gateway that says nothing", "plain-gateway", func(_ *testing.T, s *system) { s.guard.silent = true },
			"stages", "gateway-1 does not say which stages it has in force"},
		{"a gateway that nobody lists", "plain-gateway", func(_ *testing.T, s *system) { s.guard.unlisted = true },
			"stages", "the deployment lists no gateway"},
		{"tokens not asked for", "all", func(_ *testing.T, s *system) { s.guard.does["jwt"] = "off" },
			"jwt", "a request with a forged token at gateway-1 was answered 200 where jwt is on: 401 was due"},
		{"a forged token believed", "all", func(_ *testing.T, s *system) { s.guard.gullible = true },
			"jwt", "a request with a forged token at gateway-1 was answered 200"},
		{"tokens asked for in shadow", "watching", func(_ *testing.T, s *system) { s.guard.does["jwt"] = "on" },
			"jwt", "was answered 401 where jwt is not on"},
		{"opaque tokens not asked about", "all", func(_ *testing.T, s *system) { s.guard.does["introspection"] = "off" },
			"introspection", "with an unknown token at gateway-1 was answered 200"},
		{"rules that deny nothing", "all", func(_ *testing.T, s *system) { s.guard.does["authorization"] = "off" },
			"authorization", "a request for /crossroads-denied at gateway-1 was answered 200 where authorization is on: 403 was due"},
		{"rules that nobody declared", "plain-gateway", func(_ *testing.T, s *system) { s.guard.does["authorization"] = "on" },
			"authorization", "was answered 403 where authorization is not on"},
		{"a preflight not answered", "all", func(_ *testing.T, s *system) { s.guard.does["cors"] = "off" },
			"cors", "was answered 401 where cors is on: 204 was due"},
		{"a foreign page allowed", "all", func(_ *testing.T, s *system) { s.guard.open = true },
			"cors", `from https://foreign.crossroads.invalid at gateway-1 was answered with the allowed origin`},
		{"pages allowed that nobody declared", "plain-gateway", func(_ *testing.T, s *system) { s.guard.does["cors"] = "on" },
			"cors", `"" was due`},
		{"a long body let through", "all", func(_ *testing.T, s *system) { s.guard.limit = 0 },
			"body_limit", "a body of 1025 bytes at gateway-1 was answered 200 where body_limit is 1KiB: 413 was due"},
		{"a body refused that may be as long", "all", func(_ *testing.T, s *system) { s.guard.limit = 1023 },
			"body_limit", "a body of 1024 bytes at gateway-1 was answered 413"},
		{"a body refused without a limit", "plain-gateway", func(_ *testing.T, s *system) { s.guard.limit = 1 << 20 },
			"body_limit", "was answered 413"},
		{"a log without the line", "all", func(_ *testing.T, s *system) { s.guard.does["access_log"] = "off" },
			"access_log", "the access log of gateway-1 has no line of a request"},
		{"a line without the status", "all", func(_ *testing.T, s *system) { s.guard.line = `{"path":%q,"as":[%q,%q]}` },
			"access_log", "a line of the access log of gateway-1 does not say 200"},
		{"a line without the consumer", "all", func(_ *testing.T, s *system) { s.guard.line = `{"path":%q,"as":[%q,200],"key":%.0q}` },
			"access_log", "a line of the access log of gateway-1 does not say demo"},
		{"a line of words", "all", func(_ *testing.T, s *system) { s.guard.line = `%s %s 200 %s` },
			"access_log", "a line of the access log of gateway-1 is not JSON"},
		{"no log at all", "all", func(_ *testing.T, s *system) { s.guard.log = "" },
			"access_log", "gateway-1 keeps no access log where access_log is on"},
		{"a shadow that does not look", "watching", func(_ *testing.T, s *system) { s.guard.does["authorization"] = "off" },
			"authorization", "gateway-1 did not count the requests of the probe where authorization is in shadow"},
		{"other terms towards the service", "all", func(_ *testing.T, s *system) {
			s.guard.config = `{"upstreams":{"shop":{"balance":"random"}},"routes":[{}]}`
		},
			"upstream", "Retries:off"},
		{"plaintext served under strict", "mesh", func(t *testing.T, s *system) { s.inbound = func() string { return plainPort(t, 200) } },
			"mtls", "sidecar-shop-1: a plaintext request was served under mtls: strict"},
		{"no certificate asked for under strict", "gateway+mesh", func(t *testing.T, s *system) {
			s.inbound = func() string { return tlsPort(t, tls.RequestClientCert) }
		}, "mtls", "a TLS client without a certificate was served under mtls: strict"},
		{"nobody on the inbound port", "mesh", func(t *testing.T, s *system) { s.inbound = func() string { return closedPort(t) } },
			"mtls", "nobody to refuse a stranger"},
		{"plaintext refused under permissive", "permissive", func(t *testing.T, s *system) {
			s.inbound = func() string { return tlsPort(t, tls.RequireAnyClientCert) }
		}, "mtls", "a plaintext request was refused under mtls: permissive"},
		{"TLS where it is off", "mesh-plain", func(t *testing.T, s *system) { s.inbound = func() string { return tlsPort(t, tls.NoClientCert) } },
			"mtls", "a plaintext request was refused under mtls: off"},
		{"a breaker that nobody declared", "retrying", func(_ *testing.T, s *system) { s.terms = func(m *topologies.Mesh) { m.Breaker = "on" } },
			"terms", "sidecar-shop-1 has the breaker on where off is declared"},
		{"no retries", "retrying", func(_ *testing.T, s *system) { s.terms = func(m *topologies.Mesh) { m.Retries = "off" } },
			"terms", "sidecar-shop-1 tries 0 times where retries: on is declared"},
		{"a client believed about itself", "plain-gateway", func(_ *testing.T, s *system) { s.believes = "X-Forwarded-For" },
			"fields", `the application behind gateway-1 sees X-Forwarded-For: "127.0.0.1, 6.6.6.6" of a client that forged it: "127.0.0.1" was due`},
		{"a forged Forwarded passed on", "all", func(_ *testing.T, s *system) { s.believes = "Forwarded" },
			"fields", `sees Forwarded: "for=6.6.6.6"`},
		{"a connection a request", "plain-gateway", func(_ *testing.T, s *system) { s.dials = true },
			"keep_alive", "64 requests through gateway-1 came to the application on as many connections: none was used again"},
		{"a client's connection closed", "mesh", func(_ *testing.T, s *system) { s.closes = true },
			"keep_alive", "shop closed the client's connection after a request: it was to be kept"},
		{"no sidecar at all", "mesh", func(_ *testing.T, s *system) { s.inbound = nil },
			"mtls", "the deployment lists no sidecar"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, arm := start(t, tt.arm, func(s *system) { tt.lie(t, s) })
			failures := Check(t.Context(), arm, s)
			require.NotEmpty(t, failures)
			require.Contains(t, fmt.Sprint(failures), tt.text)
			for _, f := range failures {
				if tt.probe == "hops" && slices.Contains([]string{"work", "fields", "keep_alive"}, f.Probe) {
					continue // who took another way, or answered instead, did other work too
				}
				require.Equal(t, tt.probe, f.Probe, "only the probe concerned: %s", f.Text)
			}
		})
	}
}

func TestDeclaredFailuresOfTheOriginAreAnswers(t *testing.T) {
	s, arm := start(t, "gateway", nil)
	s.origin.Config.Handler, s.status = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(workload.HeaderProbe) == "" {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		s.report(w, r, true)
	}), http.StatusBadGateway
	s.changed = func([]byte, string) []byte { return nil }
	require.Empty(t, Check(t.Context(), arm, s))
}

func TestExternalSystemsMustAnswer(t *testing.T) {
	e := &topologies.Experiment{Load: topologies.Driving{Requests: []topologies.Request{{Path: "/", Headers: strict.Map[string]{}}}}}
	arm := &topologies.Arm{Name: "before", Experiment: e, Topology: topologies.Topology{External: &topologies.External{URL: "http://127.0.0.1:1"}}}
	s := &system{changed: func(b []byte, _ string) []byte { return b }}
	s.entry = httptest.NewServer(http.HandlerFunc(s.proxy))
	defer s.entry.Close()
	require.Empty(t, Check(t.Context(), arm, s))
	s.status = http.StatusNotFound
	failures := Check(t.Context(), arm, s)
	require.Len(t, failures, 1)
	require.Contains(t, failures[0].Text, "answered 404")
	s.entry.Close()
	require.Contains(t, fmt.Sprint(Check(t.Context(), arm, s)), "connection refused")
}

func TestACancelledCheckDoesNotPass(t *testing.T) {
	s, arm := start(t, "gateway", nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NotEmpty(t, Check(ctx, arm, s))
}
