package stage_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
	"crossroads/proxies/stage"
	"crossroads/proxies/stage/stagetest"
)

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
