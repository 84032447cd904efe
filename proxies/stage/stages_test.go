package stage_test

import (
	"fmt"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
	"crossroads/proxies/stage"
	"crossroads/proxies/stage/stagetest"
	"crossroads/proxies/telemetry"
)

// through sends one request through stages and returns the exchange before it is finished.
func through(r request, stages ...exchange.Stage) *exchange.Exchange {
	x := r.Exchange()
	c := exchange.Chain{Stages: stages, Forward: &stagetest.Upstream{}}
	c.Serve(x)
	return x
}

func field(x *exchange.Exchange, name string) []string {
	var found []string
	for k, v := range x.Request.Header.All() {
		if strings.EqualFold(string(k), name) {
			found = append(found, string(v))
		}
	}
	return found
}

func TestForwardingBelievesNobody(t *testing.T) {
	x := through(request{Peer: "192.0.2.7:1", Fields: []string{
		"X-Forwarded-For: 10.0.0.1", "X-Forwarded-For: 10.0.0.2", "X.Forwarded.For: 1.1.1.1", "x_forwarded_for: 1.1.1.2",
		"X-Forwarded-Proto: https", "X-Forwarded-Host: evil", "X-Forwarded-Port: 1", "X-Forwarded-Anything: 1",
		"X-Real-Ip: 10.0.0.1", "x.real.ip: 10.0.0.1", "Forwarded: for=10.0.0.1",
		"X-Consumer-Name: admin", "X-Consumer-Groups: root", "X-Jwt-Sub: admin", "X-Mesh-Peer: a", "X-Other: kept",
	}}, stage.NewForwarding(0))
	require.Equal(t, netip.MustParseAddr("192.0.2.7"), x.Peer.Client)
	require.Equal(t, []string{"192.0.2.7"}, field(x, "X-Forwarded-For"))
	require.Equal(t, []string{"http"}, field(x, "X-Forwarded-Proto"))
	require.Equal(t, []string{"example.com"}, field(x, "X-Forwarded-Host"))
	require.Equal(t, []string{"kept"}, field(x, "X-Other"))
	for _, gone := range []string{"X.Forwarded.For", "x_forwarded_for", "X-Forwarded-Port", "X-Forwarded-Anything", "X-Real-Ip", "x.real.ip",
		"Forwarded", "X-Consumer-Name", "X-Consumer-Groups", "X-Jwt-Sub", "X-Mesh-Peer"} {
		require.Empty(t, field(x, gone), gone)
	}
}

func TestForwardingCountsTrustedHops(t *testing.T) {
	for _, c := range []struct {
		hops   int
		given  []string
		client string
		sent   string
	}{
		{1, []string{"10.0.0.1"}, "10.0.0.1", "10.0.0.1, 192.0.2.7"},
		{1, []string{"6.6.6.6, 10.0.0.1"}, "10.0.0.1", "6.6.6.6, 10.0.0.1, 192.0.2.7"},
		{2, []string{"6.6.6.6", "10.0.0.1, 10.0.0.2"}, "10.0.0.1", "6.6.6.6, 10.0.0.1, 10.0.0.2, 192.0.2.7"},
		{2, []string{"10.0.0.1"}, "192.0.2.7", "10.0.0.1, 192.0.2.7"},
		{1, []string{"nonsense"}, "192.0.2.7", "nonsense, 192.0.2.7"},
		{1, []string{"[2001:db8::1]:44"}, "2001:db8::1", "[2001:db8::1]:44, 192.0.2.7"},
		{1, nil, "192.0.2.7", "192.0.2.7"},
	} {
		var fields []string
		for _, g := range c.given {
			fields = append(fields, "X-Forwarded-For: "+g)
		}
		x := through(request{Peer: "192.0.2.7:1", Fields: append(fields, "X-Forwarded-Proto: https", "X.Forwarded.Proto: x")}, stage.NewForwarding(c.hops))
		require.Equal(t, c.client, x.Peer.Client.String(), "%v", c)
		require.Equal(t, []string{c.sent}, field(x, "X-Forwarded-For"))
		require.Equal(t, []string{"https"}, field(x, "X-Forwarded-Proto"), "a trusted proxy says how the client came")
	}
}

func TestForwardingKeepsCookiesAsTheyCame(t *testing.T) {
	x := through(request{Fields: []string{`Cookie: a="quoted, x"; b`, "X-Forwarded-For: 1"}}, stage.NewForwarding(0))
	require.Equal(t, []string{`a="quoted, x"; b`}, field(x, "Cookie"))
	require.Contains(t, stagetest.Head(x), "Cookie: a=\"quoted, x\"; b\r\n")
}

func TestRequestID(t *testing.T) {
	edge := through(request{Fields: []string{"X-Request-Id: mine"}}, stage.NewRequestID(false))
	require.Regexp(t, "^[0-9a-f]{32}$", edge.ID)
	require.Equal(t, []string{edge.ID}, field(edge, "X-Request-Id"))
	require.Equal(t, edge.ID, string(edge.Response.Header.Peek("X-Request-Id")))
	require.NotEqual(t, edge.ID, through(request{}, stage.NewRequestID(false)).ID)

	for given, kept := range map[string]bool{"a-B_9.": true, strings.Repeat("a", 128): true, strings.Repeat("a", 129): false, "a b": false, "a\"": false, "": false} {
		x := through(request{Fields: []string{"X-Request-Id: " + given}}, stage.NewRequestID(true))
		require.Equal(t, kept, x.ID == given, "%q", given)
	}
}

func TestTrace(t *testing.T) {
	const given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	x := through(request{Fields: []string{"Traceparent: " + given, "Tracestate: a=b"}}, stage.NewTrace())
	sent := field(x, "Traceparent")
	require.Len(t, sent, 1)
	require.Regexp(t, "^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$", sent[0])
	require.NotEqual(t, given, sent[0], "a span of its own")
	require.Equal(t, []string{"a=b"}, field(x, "Tracestate"))

	for _, bad := range [][]string{nil, {"Traceparent: 00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, {"Traceparent: " + given, "Traceparent: " + given}} {
		x := through(request{Fields: append(bad, "Tracestate: a=b")}, stage.NewTrace())
		sent := field(x, "Traceparent")
		require.Len(t, sent, 1)
		require.NotContains(t, sent[0], "0af7651916cd43dd8448eb211c80319c")
		require.Empty(t, field(x, "Tracestate"), "the state of a context that was not continued")
	}
}

func TestKeyAuthRemovesTheKeyAndNamesTheConsumer(t *testing.T) {
	st := keyAuth(config.On)(t)
	for _, r := range []request{
		{Fields: []string{"X-Api-Key: demo"}, Target: "/a?x=1"},
		{Fields: []string{"Authorization: Key demo"}, Target: "/a?x=1"},
		{Target: "/a?api_key=demo&x=1"},
		{Target: "/a?x=1&%61pi_key=demo"},
		{Fields: []string{"Cookie: key=demo"}, Target: "/a?x=1"},
	} {
		x := through(r, st)
		require.Nil(t, x.Fault)
		require.Equal(t, exchange.Consumer{Name: "demo", Groups: []string{"a", "b"}}, x.Consumer)
		require.Equal(t, []string{"demo"}, field(x, "X-Consumer-Name"))
		require.Equal(t, []string{"a,b"}, field(x, "X-Consumer-Groups"))
		sent := stagetest.Head(x)
		require.Contains(t, sent, "GET /a?x=1 HTTP/1.1\r\n")
		require.NotContains(t, strings.ReplaceAll(strings.ReplaceAll(sent, "X-Consumer-Name: demo", ""), "{demo", ""), "demo", "the key goes no further")
		require.Equal(t, "/a", string(x.Path))
	}
	x := through(request{Fields: []string{`Cookie: a="1"; key=demo; b=2`}}, st)
	require.Equal(t, []string{`a="1"; b=2`}, field(x, "Cookie"))
}

func TestKeyAuthRefuses(t *testing.T) {
	m := metrics()
	st, err := stage.NewKeyAuth(&config.KeyAuth{Mode: config.On, Places: []config.KeyPlace{{Header: "X-Api-Key"}, {Query: "k"}},
		Keys: []config.Key{{Consumer: "demo", SHA256: hash("demo")}}}, m)
	require.NoError(t, err)
	for _, r := range []request{{}, {Target: "/?k=no"}, {Fields: []string{"X-Api-Key: demo"}, Target: "/?k=demo"}, {Fields: []string{"X-Api-Key:"}}} {
		x := through(r, st)
		require.Equal(t, exchange.Unauthenticated, x.Fault)
		require.Equal(t, 401, x.Response.StatusCode())
		require.Contains(t, string(x.Response.Header.Peek("WWW-Authenticate")), "Key")
		require.Empty(t, x.Consumer.Name)
	}
	shown := scrape(t, m)
	require.Contains(t, shown, `gateway_auth_decisions_total{outcome="missing",scheme="key"} 1`)
	require.Contains(t, shown, `gateway_auth_decisions_total{outcome="unknown",scheme="key"} 2`)
	require.Contains(t, shown, `gateway_auth_decisions_total{outcome="several",scheme="key"} 1`)
	_, err = stage.NewKeyAuth(&config.KeyAuth{Keys: []config.Key{{Consumer: "x", SHA256: "short"}}}, metrics())
	require.ErrorContains(t, err, `consumer "x"`)
}

func at(d time.Duration) time.Time { return stagetest.Epoch.Add(d) }

func TestRateLimitIsGCRA(t *testing.T) {
	st := rateLimit(config.On, policy("p", 10, 3, "address"))(t)
	passes := func(d time.Duration) bool { return through(request{At: at(d)}, st).Fault == nil }
	for range 3 {
		require.True(t, passes(0), "the burst")
	}
	require.False(t, passes(0))
	require.False(t, passes(99*time.Millisecond))
	require.True(t, passes(100*time.Millisecond), "one came back")
	require.False(t, passes(100*time.Millisecond))
	for range 3 {
		require.True(t, passes(time.Hour), "never more than the burst comes back")
	}
	require.False(t, passes(time.Hour))
}

func TestRateLimitTellsTheClient(t *testing.T) {
	st := rateLimit(config.On, policy("slow", 0.5, 2, "address"))(t)
	x := through(request{}, st)
	require.Equal(t, `"slow";q=2;w=4`, string(x.Response.Header.Peek("RateLimit-Policy")))
	require.Equal(t, `"slow";r=1;t=2`, string(x.Response.Header.Peek("RateLimit")))
	require.Empty(t, x.Response.Header.Peek("Retry-After"))
	through(request{}, st)
	x = through(request{At: at(500 * time.Millisecond)}, st)
	require.Equal(t, exchange.RateLimited, x.Fault)
	require.Equal(t, 429, x.Response.StatusCode())
	require.Equal(t, "2", string(x.Response.Header.Peek("Retry-After")), "1.5 s, rounded up")
	require.Equal(t, `"slow";r=0;t=4`, string(x.Response.Header.Peek("RateLimit")))
}

func TestRateLimitKeys(t *testing.T) {
	one := func(key ...string) exchange.Stage { return rateLimit(config.On, policy("p", 0.001, 1, key...))(t) }
	consumer := func(name string) exchange.Stage { return &named{name} }
	for name, c := range map[string]struct {
		st    exchange.Stage
		a, b  request
		as    [2]string // consumers
		share bool
	}{
		"address":              {one("address"), request{Peer: "192.0.2.1:1"}, request{Peer: "192.0.2.2:1"}, [2]string{}, false},
		"address, other port":  {one("address"), request{Peer: "192.0.2.1:1"}, request{Peer: "192.0.2.1:2"}, [2]string{}, true},
		"mapped address":       {one("address"), request{Peer: "192.0.2.1:1"}, request{Peer: "[::ffff:192.0.2.1]:1"}, [2]string{}, true},
		"IPv6, same /64":       {one("address"), request{Peer: "[2001:db8:0:1::1]:1"}, request{Peer: "[2001:db8:0:1:ffff::9]:1"}, [2]string{}, true},
		"IPv6, other /64":      {one("address"), request{Peer: "[2001:db8:0:1::1]:1"}, request{Peer: "[2001:db8:0:2::1]:1"}, [2]string{}, false},
		"consumer":             {one("consumer", "address"), request{}, request{}, [2]string{"a", "b"}, false},
		"consumer first":       {one("consumer", "address"), request{Peer: "192.0.2.1:1"}, request{Peer: "192.0.2.2:1"}, [2]string{"a", "a"}, true},
		"address as next best": {one("consumer", "address"), request{Peer: "192.0.2.1:1"}, request{Peer: "192.0.2.2:1"}, [2]string{}, false},
		"field":                {one("header:X-Tenant"), request{Fields: []string{"X-Tenant: a"}}, request{Fields: []string{"X-Tenant: b"}}, [2]string{}, false},
		"field missing":        {one("header:X-Tenant"), request{}, request{Peer: "192.0.2.9:1"}, [2]string{}, true},
		"route":                {one("route"), request{Route: &exchange.Route{Name: "a"}}, request{Route: &exchange.Route{Name: "b"}}, [2]string{}, false},
		"forged forwarding":    {one("address"), request{Fields: []string{"X-Forwarded-For: 1.1.1.1"}}, request{Fields: []string{"X-Forwarded-For: 2.2.2.2"}}, [2]string{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			require.Nil(t, through(c.a, stage.NewForwarding(0), consumer(c.as[0]), c.st).Fault)
			require.Equal(t, c.share, through(c.b, stage.NewForwarding(0), consumer(c.as[1]), c.st).Fault != nil)
		})
	}
}

// named stands for authentication.
type named struct{ consumer string }

func (n *named) Name() string { return "named" }
func (n *named) Inward(x *exchange.Exchange) exchange.Step {
	x.Consumer.Name = n.consumer
	return exchange.Continue
}
func (n *named) Outward(*exchange.Exchange)              {}
func (n *named) Finish(*exchange.Exchange, exchange.End) {}

func TestRateLimitDeniedRequestsTakeNothingElsewhere(t *testing.T) {
	st := rateLimit(config.On, policy("wide", 0.001, 2, "address"), policy("narrow", 0.001, 1, "header:X-T"))(t)
	tenant := func(n string) request { return request{Fields: []string{"X-T: " + n}} }
	require.Nil(t, through(tenant("a"), st).Fault)
	for range 5 {
		require.NotNil(t, through(tenant("a"), st).Fault, "narrow denies")
	}
	require.Nil(t, through(tenant("b"), st).Fault, "wide still has one")
	x := through(tenant("c"), st)
	require.NotNil(t, x.Fault)
	require.Equal(t, "wide", x.Limit.Policy)
}

func TestRateLimitOnlySomeConsumers(t *testing.T) {
	p := policy("p", 0.001, 1, "consumer")
	p.Only = []string{"probe"}
	st := rateLimit(config.On, p)(t)
	for range 3 {
		require.Nil(t, through(request{}, &named{"demo"}, st).Fault)
	}
	require.Nil(t, through(request{}, &named{"probe"}, st).Fault)
	require.NotNil(t, through(request{}, &named{"probe"}, st).Fault)
}

func TestRateLimitStagesStandOnBothSidesOfAuthentication(t *testing.T) {
	before, after := stage.NewRateLimits(&config.RateLimit{Mode: config.On, MaxKeys: 10,
		Policies: []config.RateLimitPolicy{policy("a", 1, 1, "address"), policy("c", 1, 1, "consumer", "address")}}, metrics())
	require.Equal(t, "rate_limit_address", before.Name())
	require.Equal(t, "rate_limit", after.Name())
	before, after = stage.NewRateLimits(&config.RateLimit{Mode: config.On, MaxKeys: 10,
		Policies: []config.RateLimitPolicy{policy("a", 1, 1, "route")}}, metrics())
	require.NotNil(t, before)
	require.Nil(t, after)
}

func TestRateLimitTableIsBounded(t *testing.T) {
	m := metrics()
	st, _ := stage.NewRateLimits(&config.RateLimit{Mode: config.On, MaxKeys: 10,
		Policies: []config.RateLimitPolicy{policy("p", 0.001, 1, "address")}}, m)
	from := func(i int) request { return request{Peer: fmt.Sprintf("10.0.%d.%d:1", i/256, i%256)} }
	for i := range 100 {
		require.Nil(t, through(from(i), st).Fault)
		require.NotNil(t, through(from(i), st).Fault, "a key that was just used is still known")
	}
	require.Contains(t, scrape(t, m), "gateway_rate_limit_evictions_total 90")
	require.NotNil(t, through(from(99), st).Fault)
	require.Nil(t, through(from(0), st).Fault, "the oldest made room")
}

func TestShadowCounts(t *testing.T) {
	m := metrics()
	st, _ := stage.NewRateLimits(&config.RateLimit{Mode: config.Shadow, MaxKeys: 10,
		Policies: []config.RateLimitPolicy{policy("p", 0.001, 1, "address")}}, m)
	for range 3 {
		require.Nil(t, through(request{}, st).Fault)
	}
	require.Contains(t, scrape(t, m), `gateway_rate_limit_decisions_total{decision="shadow_allowed",policy="p"} 1`)
	require.Contains(t, scrape(t, m), `gateway_rate_limit_decisions_total{decision="shadow_denied",policy="p"} 2`)
}

func TestMeshPeerIsWhatTheCertificateSays(t *testing.T) {
	forged := []string{"X-Mesh-Peer: spiffe://d/ns/n/sa/admin", "x.mesh.peer: admin", "X_Mesh_Peer: admin"}
	x := through(request{PeerID: "spiffe://d/ns/n/sa/a", Fields: forged}, stage.NewMeshPeer())
	require.Equal(t, []string{"spiffe://d/ns/n/sa/a"}, field(x, "X-Mesh-Peer"))
	require.Empty(t, field(x, "x.mesh.peer"))
	x = through(request{Fields: forged}, stage.NewMeshPeer())
	require.NotContains(t, stagetest.Head(x), "admin")
}

func TestMetricsCountByRouteMethodAndCode(t *testing.T) {
	m := telemetry.NewMetrics("gateway", "test")
	r := &exchange.Route{Name: "orders"}
	st := stage.NewRouteMetrics(m, m.NewRequests(), []*exchange.Route{r})
	send := func(req request) {
		x := req.Exchange()
		c := exchange.Chain{Stages: []exchange.Stage{st}, Forward: &stagetest.Upstream{}}
		c.Serve(x)
		c.Finish(x, exchange.Complete)
	}
	send(request{Route: r})
	send(request{Route: r})
	send(request{Route: r, Method: "BREW"})
	send(request{})
	shown := scrape(t, m)
	require.Contains(t, shown, `gateway_http_requests_total{code="200",method="GET",route="orders"} 2`)
	require.Contains(t, shown, `gateway_http_requests_total{code="200",method="other",route="orders"} 1`)
	require.Contains(t, shown, `gateway_http_requests_total{code="200",method="GET",route=""} 1`)
	require.Contains(t, shown, `gateway_requests_in_flight 0`)
}

// scrape returns what Prometheus would read.
func scrape(t *testing.T, m *telemetry.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, 200, w.Code)
	return w.Body.String()
}

func BenchmarkKeyAuthAndRateLimit(b *testing.B) {
	auth := keyAuth(config.On)(b)
	limits := rateLimit(config.On, policy("p", 1e9, 1e9, "consumer", "address"))(b)
	r := request{Fields: []string{"X-Api-Key: demo", "Accept: */*", "User-Agent: bench"}}
	x := r.Exchange()
	b.Run("request alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Fill(x)
		}
	})
	b.Run("with both stages", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Fill(x)
			auth.Inward(x)
			limits.Inward(x)
			limits.Outward(x)
			auth.Outward(x)
		}
	})
}

// Fields of one name keep their order whatever is removed around them (RFC 9110 5.3).
func TestRemovingFieldsKeepsTheOrderOfOthers(t *testing.T) {
	fields := []string{"X-Api-Key: demo", "X-Forwarded-For: 1", "Accept: a", "Via: 1.1 one", "X-Request-Id: 1", "Cookie: a=1", "Accept: b",
		"X-Request-Id: 2", "Via: 1.1 two", "Accept: c", "Via: 1.1 three"}
	x := through(request{Fields: fields}, stage.NewForwarding(0), stage.NewMeshPeer(), stage.NewRequestID(true), stage.NewTrace(), keyAuth(config.On)(t))
	require.Nil(t, x.Fault)
	require.Equal(t, []string{"a", "b", "c"}, field(x, "Accept"))
	require.Equal(t, []string{"1.1 one", "1.1 two", "1.1 three"}, field(x, "Via"))
	require.Len(t, field(x, "X-Request-Id"), 1)
	require.Equal(t, []string{"a=1"}, field(x, "Cookie"))

	trusted := through(request{Fields: []string{"X-Forwarded-For: 1.1.1.1", "Via: 1.1 one", "Via: 1.1 two"}}, stage.NewForwarding(1))
	require.Equal(t, []string{"1.1 one", "1.1 two"}, field(trusted, "Via"))
}
