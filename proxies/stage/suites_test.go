package stage_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/config/units"
	"crossroads/proxies/exchange"
	"crossroads/proxies/route"
	"crossroads/proxies/stage"
	"crossroads/proxies/stage/stagetest"
	"crossroads/proxies/telemetry"
	"crossroads/proxies/wire"
)

type request = stagetest.Request

func metrics() *telemetry.Metrics { return telemetry.NewMetrics("gateway", "test") }

func plain() []request {
	return []request{
		{},
		{Method: "POST", Target: "/a/b?c=d", Body: 5, Fields: []string{"Cookie: a=\"b\"", "X-Forwarded-For: 10.0.0.1"}},
		{Fields: []string{"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "X-Request-Id: abc", "X-Mesh-Peer: me"}},
	}
}

func always(st exchange.Stage) func(testing.TB) exchange.Stage {
	return func(testing.TB) exchange.Stage { return st }
}

func TestForwardingSuite(t *testing.T) {
	stagetest.Run(t, stagetest.Suite{New: always(stage.NewForwarding(0)), Pass: plain()})
	stagetest.Run(t, stagetest.Suite{New: always(stage.NewForwarding(0)), Pass: []request{{}, {Fields: []string{"Accept: */*"}}}, Free: true})
	stagetest.Run(t, stagetest.Suite{New: always(stage.NewForwarding(1)), Pass: plain()})
}

func TestRequestIDSuite(t *testing.T) {
	stagetest.Run(t, stagetest.Suite{New: always(stage.NewRequestID(false)), Pass: plain(), Free: true, Chance: true})
	stagetest.Run(t, stagetest.Suite{New: always(stage.NewRequestID(true)), Pass: plain()[2:], Free: true})
}

func TestTraceSuite(t *testing.T) {
	stagetest.Run(t, stagetest.Suite{New: always(stage.NewTrace()), Pass: plain(), Free: true, Chance: true})
}

func TestMeshPeerSuite(t *testing.T) {
	named := request{PeerID: "spiffe://d/ns/n/sa/a", Fields: []string{"X-Mesh-Peer: spiffe://d/ns/n/sa/admin"}}
	stagetest.Run(t, stagetest.Suite{New: always(stage.NewMeshPeer()), Pass: append(plain(), named)})
	stagetest.Run(t, stagetest.Suite{New: always(stage.NewMeshPeer()), Pass: []request{{PeerID: named.PeerID}, {}}, Free: true})
}

func TestRoutingSuite(t *testing.T) {
	index, err := route.Build([]route.Rule{{Match: []config.Match{{Path: config.PathMatch{Prefix: "/a"}}},
		Route: &exchange.Route{Name: "a", Timeout: time.Second}}})
	require.NoError(t, err)
	stagetest.Run(t, stagetest.Suite{New: always(stage.NewRouting(index)), Free: true,
		Pass: []request{{Target: "/a"}, {Target: "/a/b?c"}}, Stop: []request{{Target: "/b"}, {Target: "/ab"}}})
}

func TestServiceSuite(t *testing.T) {
	known := &exchange.Route{Name: "stock", Timeout: time.Second}
	st := stage.NewService(func(host []byte) (*exchange.Route, *exchange.Fault) {
		if string(host) == "stock" {
			return known, nil
		}
		return nil, exchange.NoRoute
	})
	stagetest.Run(t, stagetest.Suite{New: always(st), Free: true,
		Pass: []request{{Fields: []string{"Host: stock"}}, {Fields: []string{"Host: stock:80"}}}, Stop: []request{{}, {Fields: []string{"Host: stocks"}}}})
	stagetest.Run(t, stagetest.Suite{New: always(st), Pass: []request{{Fields: []string{"Host: STOCK"}}}})
}

func TestBodyLimitSuite(t *testing.T) {
	small := &exchange.Route{MaxBody: 10}
	stagetest.Run(t, stagetest.Suite{New: always(stage.NewBodyLimit()), Free: true,
		Pass: []request{{}, {Route: small}, {Route: small, Body: 10}, {Route: small, Body: wire.Chunked}, {Route: &exchange.Route{}, Body: 1 << 40}},
		Stop: []request{{Route: small, Body: 11}}})
}

func hash(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

func keyAuth(mode config.Mode) func(testing.TB) exchange.Stage {
	return func(t testing.TB) exchange.Stage {
		st, err := stage.NewKeyAuth(&config.KeyAuth{Mode: mode,
			Places: []config.KeyPlace{{Header: "X-Api-Key"}, {Header: "Authorization"}, {Query: "api_key"}, {Cookie: "key"}},
			Keys: []config.Key{
				{Consumer: "demo", SHA256: hash("demo"), Groups: []string{"a", "b"}},
				{Consumer: "other", SHA256: hash("o/th er")},
			}}, metrics())
		require.NoError(t, err)
		return st
	}
}

func TestKeyAuthSuite(t *testing.T) {
	header := []request{{Fields: []string{"X-Api-Key: demo"}}, {Fields: []string{"authorization: KEY demo", "Accept: */*"}, Target: "/a?b=c"}}
	stagetest.Run(t, stagetest.Suite{
		New: keyAuth(config.On), Shadow: keyAuth(config.Shadow),
		Pass: append(header, request{Target: "/a?b=c&api_key=o%2Fth+er&d"}, request{Fields: []string{`Cookie: a="1"; key=demo; b=2`}}),
		Stop: []request{{}, {Fields: []string{"X-Api-Key: nope"}}, {Fields: []string{"X-Api-Key: demo", "X-Api-Key: demo"}},
			{Target: "/?api_key=demo", Fields: []string{"Cookie: key=demo"}}, {Fields: []string{"Authorization: Basic ZGVtbw=="}}},
	})
	headerOnly := func(t testing.TB) exchange.Stage {
		st, err := stage.NewKeyAuth(&config.KeyAuth{Mode: config.On, Places: []config.KeyPlace{{Header: "X-Api-Key"}},
			Keys: []config.Key{{Consumer: "demo", SHA256: hash("demo"), Groups: []string{"a"}}}}, metrics())
		require.NoError(t, err)
		return st
	}
	stagetest.Run(t, stagetest.Suite{New: headerOnly, Pass: header[:1], Free: true})
}

func rateLimit(mode config.Mode, policies ...config.RateLimitPolicy) func(testing.TB) exchange.Stage {
	return func(testing.TB) exchange.Stage {
		before, after := stage.NewRateLimits(&config.RateLimit{Mode: mode, Policies: policies, MaxKeys: 100}, metrics())
		if after != nil {
			return after
		}
		return before
	}
}

func policy(name string, rate, burst float64, key ...string) config.RateLimitPolicy {
	return config.RateLimitPolicy{Name: name, Rate: units.Count(rate), Burst: units.Count(burst), Key: key}
}

func TestRateLimitSuite(t *testing.T) {
	wide := policy("wide", 1e6, 1e6, "address")
	stagetest.Run(t, stagetest.Suite{
		New: rateLimit(config.On, wide), Shadow: rateLimit(config.Shadow, policy("narrow", 0.001, 1, "address")),
		Pass: []request{{}, {Peer: "[2001:db8::1]:1"}}, Free: true})
}

func TestObservingStagesSuite(t *testing.T) {
	m := metrics()
	r := &exchange.Route{Name: "r"}
	log, err := telemetry.OpenAccessLog("stdout", io.Discard, io.Discard, func() {})
	require.NoError(t, err)
	t.Cleanup(log.Close)
	routes := stage.NewRouteMetrics(m, m.NewRequests(), m.NewTop(), []*exchange.Route{r})
	edges := telemetry.NewMetrics("sidecar", "test")
	timing := stage.NewServerTiming("gateway")
	pass := []request{{}, {Route: r}, {Route: r, Method: "BREW"}}
	stagetest.Run(t, stagetest.Suite{New: always(routes), Pass: pass, Free: true})
	stagetest.Run(t, stagetest.Suite{New: always(stage.NewEdgeMetrics(edges, edges.NewEdges(), true, "orders")), Pass: pass, Free: true})
	stagetest.Run(t, stagetest.Suite{New: always(stage.NewAccessLog(log, "inbound", 1)), Pass: pass})
	stagetest.Run(t, stagetest.Suite{New: always(timing), Pass: pass, Free: true})
	stagetest.Run(t, stagetest.Suite{New: always(stage.NewMeshTiming("orders-inbound", true)), Pass: pass, Free: true})
}

func TestEdgeAndTapSuites(t *testing.T) {
	edges := telemetry.NewMetrics("sidecar", "test").NewEdges()
	stagetest.Run(t, stagetest.Suite{New: always(stage.NewEdge(edges, true, "stock")), Pass: plain(), Free: true})
	stagetest.Run(t, stagetest.Suite{New: always(stage.NewTap(new(telemetry.Tap), "inbound")), Pass: plain(), Free: true})
}
