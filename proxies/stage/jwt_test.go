package stage_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
	"crossroads/proxies/stage"
	"crossroads/proxies/stage/stagetest"
)

func bearerOf(token string) request {
	return request{Fields: []string{"Authorization: Bearer " + token}}
}

// keyFile writes a key set, so that nothing has to be fetched.
func keyFile(t testing.TB, f *forge, mode config.Mode) *config.JWT {
	file := filepath.Join(t.TempDir(), "jwks.json")
	require.NoError(t, os.WriteFile(file, []byte(f.jwks), 0o600))
	c := jwtConfig(mode, "")
	c.Keys.File = file
	return c
}

func TestJWTSuite(t *testing.T) {
	f := newForge(t)
	on, shadow := keyFile(t, f, config.On), keyFile(t, f, config.Shadow)
	good := bearerOf(f.token(t, first(f.good()), second(f.good())))
	stagetest.Run(t, stagetest.Suite{
		New:    func(t testing.TB) exchange.Stage { return newJWT(t, on, metrics()) },
		Shadow: func(t testing.TB) exchange.Stage { return newJWT(t, shadow, metrics()) },
		Pass:   []request{good}, Free: true,
		Stop: []request{{}, bearerOf("a.b.c"), bearerOf("x"), {Fields: append([]string{"Authorization: Bearer x.y.z"}, good.Fields...)}},
	})
}

func first(a, _ map[string]any) map[string]any  { return a }
func second(_, b map[string]any) map[string]any { return b }

func TestJWTSeveralTokens(t *testing.T) {
	f := newForge(t)
	m := metrics()
	st := newJWT(t, keyFile(t, f, config.On), m)
	token := f.token(t, first(f.good()), second(f.good()))
	good := "Authorization: Bearer " + token
	for _, r := range []request{
		{Fields: []string{good, good}}, {Fields: []string{good, "Authorization: Basic eDp5"}}, {Target: "/?access_token=" + token, Fields: []string{good}},
		{Target: "/?a&access%5Ftoken=other", Fields: []string{good}}, {Fields: []string{good + ", Bearer " + token}},
	} {
		x := through(r, st)
		require.Equal(t, 401, x.Response.StatusCode(), r.Target)
		require.Equal(t, `Bearer error="invalid_token", realm="gateway"`, string(x.Response.Header.Peek("WWW-Authenticate")))
	}
	x := through(request{}, st)
	require.Equal(t, `Bearer realm="gateway"`, string(x.Response.Header.Peek("WWW-Authenticate")), "no error where nothing was sent (RFC 6750 3.1)")
	shown := scrape(t, m)
	require.Contains(t, shown, `gateway_auth_decisions_total{outcome="several",scheme="jwt"} 4`)
	require.Contains(t, shown, `gateway_auth_decisions_total{outcome="malformed",scheme="jwt"} 1`)
	require.Contains(t, shown, `gateway_auth_decisions_total{outcome="missing",scheme="jwt"} 1`)
	require.Contains(t, shown, `gateway_source_requests_total{result="answered",source="key_set"} 1`)
}

func TestJWTIsNotRememberedBeyondExp(t *testing.T) {
	f := newForge(t)
	st := newJWT(t, keyFile(t, f, config.On), metrics())
	header, claims := f.good()
	claims["nbf"] = "now-10"
	token := f.token(t, header, claims)
	for after, status := range map[time.Duration]int{0: 200, 299 * time.Second: 200, 304 * time.Second: 200, 305 * time.Second: 401, time.Hour: 401} {
		for range 2 {
			r := bearerOf(token)
			r.At = f.now.Add(after)
			require.Equal(t, status, through(r, st).Response.StatusCode(), after.String())
		}
	}
}

// A token that was found valid is not, once its key has left the set.
func TestJWTOfAKeyThatWasTakenBack(t *testing.T) {
	f := newForge(t)
	c := keyFile(t, f, config.On)
	m := metrics()
	st := newJWT(t, c, m)
	r := bearerOf(f.token(t, first(f.good()), second(f.good())))
	require.Equal(t, 200, through(r, st).Response.StatusCode())
	require.NoError(t, os.WriteFile(c.Keys.File, []byte(`{"keys":[`+jwk(f.other, "r2")+`]}`), 0o600))
	st.Refresh()
	require.Eventually(t, func() bool { return strings.Contains(scrape(t, m), `result="answered",source="key_set"} 2`) }, 5*time.Second, time.Millisecond)
	require.Equal(t, 401, through(r, st).Response.StatusCode())
}

func TestJWTWithoutAnyKeys(t *testing.T) {
	f := newForge(t)
	source := newOrigin(t, func() string { return f.jwks })
	source.down.Store(true)
	x := through(bearerOf(f.token(t, first(f.good()), second(f.good()))), newJWT(t, jwtConfig(config.On, source.URL), metrics()))
	require.Equal(t, exchange.AuthUnavailable, x.Fault)
	require.Equal(t, 503, x.Response.StatusCode())
}

func TestJWTClaims(t *testing.T) {
	f := newForge(t)
	c := keyFile(t, f, config.On)
	c.Token.Credential, c.Token.Optional = "forward", true
	c.Claims.Groups = "roles"
	c.Claims.Fields.Set("X-Jwt-List", "list")
	c.Claims.Fields.Set("X-Jwt-Odd", "odd")
	c.Claims.Fields.Set("X-Tenant", "tenant")
	st := newJWT(t, c, metrics())
	header, claims := f.good()
	claims["roles"], claims["scope"], claims["list"], claims["tenant"] = []any{"a", "b,c", "d"}, "read  write", []any{"x", 1, true}, 7
	for _, odd := range []any{"a\r\nX-Admin: 1", "\u00fc", "", map[string]any{}, []any{"a,b", "c"}, strings.Repeat("a", 2000), " a"} {
		claims["odd"] = odd
		r := bearerOf(f.token(t, header, claims))
		r.Fields = append(r.Fields, "X-Jwt-Odd: mine", "X-Tenant: 1", "x.tenant: 2", "X-Other: kept")
		x := through(r, st)
		require.Nil(t, x.Fault, odd)
		require.Empty(t, field(x, "X-Jwt-Odd"))
		require.Empty(t, field(x, "X-Admin"))
		require.Equal(t, []string{"x,1,true"}, field(x, "X-Jwt-List"))
		require.Equal(t, []string{"7"}, field(x, "X-Tenant"))
		require.Empty(t, field(x, "X.tenant"))
		require.Equal(t, []string{"kept"}, field(x, "X-Other"))
		require.Equal(t, []string{"a,d"}, field(x, "X-Consumer-Groups"))
		require.Len(t, field(x, "Authorization"), 1)
		require.Equal(t, []string{"a", "d"}, x.Consumer.Groups)
		require.Equal(t, []string{"read", "write"}, x.Consumer.Scopes)
		require.Equal(t, []string{"7"}, x.Consumer.Claims["tenant"])
	}
	for _, sub := range []any{nil, "", "a\x00b", []any{"a", "b"}} {
		claims["sub"] = sub
		require.Equal(t, 401, through(bearerOf(f.token(t, header, claims)), st).Response.StatusCode(), sub)
	}
	x := through(request{Fields: []string{"X-Jwt-Sub: admin"}}, st)
	require.Nil(t, x.Fault, "no token is allowed here")
	require.Empty(t, x.Consumer.Name)
	require.Empty(t, field(x, "X-Jwt-Sub"))
	require.Equal(t, 401, through(bearerOf("a.b.c"), st).Response.StatusCode(), "but a wrong one is not")
}

// A key makes way for a token: the last stage that authenticated says who it is.
func TestKeyOrToken(t *testing.T) {
	f := newForge(t)
	c := keyFile(t, f, config.On)
	c.Token.Optional = true
	token := newJWT(t, c, metrics())
	keys, err := stage.NewKeyAuth(&config.KeyAuth{Mode: config.On, Optional: true, Places: []config.KeyPlace{{Header: "X-Api-Key"}},
		Keys: []config.Key{{Consumer: "demo", SHA256: hash("demo"), Groups: []string{"g"}}}}, metrics())
	require.NoError(t, err)
	good := "Authorization: Bearer " + f.token(t, first(f.good()), second(f.good()))
	for name, fields := range map[string][]string{"": nil, "demo": {"X-Api-Key: demo"}, "u1": {good}} {
		x := through(request{Fields: fields}, keys, token)
		require.Nil(t, x.Fault)
		require.Equal(t, name, x.Consumer.Name)
	}
	both := through(request{Fields: []string{"X-Api-Key: demo", good}}, keys, token)
	require.Equal(t, "u1", both.Consumer.Name)
	require.Empty(t, both.Consumer.Groups)
	require.Empty(t, field(both, "X-Consumer-Groups"))
	require.Equal(t, 401, through(request{Fields: []string{"X-Api-Key: no", good}}, keys, token).Response.StatusCode())
}

func TestJWTMemoryIsBounded(t *testing.T) {
	f := newForge(t)
	c := keyFile(t, f, config.On)
	c.MaxCached = 2
	st := newJWT(t, c, metrics())
	header, claims := f.good()
	for i := range 10 {
		claims["jti"] = fmt.Sprint(i)
		r := bearerOf(f.token(t, header, claims))
		require.Nil(t, through(r, st).Fault)
		require.Nil(t, through(r, st).Fault)
	}
	require.Equal(t, 2, stage.Remembered(st))
}

func BenchmarkJWT(b *testing.B) {
	f := newForge(b)
	st := newJWT(b, keyFile(b, f, config.On), metrics())
	r := bearerOf(f.token(b, first(f.good()), second(f.good())))
	x := r.Exchange()
	b.Run("request alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Fill(x)
		}
	})
	b.Run("remembered", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Fill(x)
			st.Inward(x)
		}
	})
	other := bearerOf(r.Fields[0][len("Authorization: Bearer "):len(r.Fields[0])-4] + "AAAA")
	b.Run("forged", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			other.Fill(x)
			st.Inward(x)
		}
	})
}
