package stage_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
	"crossroads/proxies/stage"
	"crossroads/proxies/stage/stagetest"
)

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
		require.Equal(t, exchange.Consumer{Name: "demo", Credential: x.Consumer.Credential, Groups: []string{"a", "b"}}, x.Consumer)
		require.Len(t, x.Consumer.Credential, 32)
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
