package stage_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/config/units"
	"crossroads/proxies/exchange"
	"crossroads/proxies/stage"
	"crossroads/proxies/stage/stagetest"
)

func cors(mode config.Mode, credentials bool, origins ...string) *stage.CORS {
	c := &config.CORS{}
	c.SetDefaults()
	c.Mode, c.Origins, c.Credentials, c.MaxAge = mode, origins, credentials, units.Duration(time.Minute)
	c.Headers, c.Expose = []string{"Content-Type", "X-Api-Key"}, []string{"Ratelimit"}
	return stage.NewCORS(c, metrics())
}

const home = "https://app.example.com"

func preflight(origin string) request {
	return request{Method: "OPTIONS", Fields: []string{"Origin: " + origin, "Access-Control-Request-Method: PUT"}}
}

func TestCORSSuite(t *testing.T) {
	pass := []request{{}, {Fields: []string{"Origin: " + home}}, {Fields: []string{"Origin: https://evil.example"}}, {Method: "OPTIONS", Fields: []string{"Origin: " + home}}}
	stop := []request{preflight(home), preflight("https://evil.example")}
	stagetest.Run(t, stagetest.Suite{New: always(cors(config.On, true, home)), Shadow: always(cors(config.Shadow, true, home)), Pass: pass, Stop: stop, Free: true})
}

func answer(x *exchange.Exchange) http.Header {
	h := http.Header{}
	for name, value := range x.Response.Header.All() {
		h.Add(string(name), string(value))
	}
	return h
}

func TestCORSPreflightIsAnsweredBeforeAuthentication(t *testing.T) {
	x := through(preflight(home), cors(config.On, true, home), keyAuth(config.On)(t))
	require.Nil(t, x.Fault)
	require.Equal(t, 204, x.Response.StatusCode())
	require.Equal(t, http.Header{
		"Access-Control-Allow-Origin": {home}, "Access-Control-Allow-Credentials": {"true"}, "Access-Control-Allow-Methods": {"GET, HEAD, POST"},
		"Access-Control-Allow-Headers": {"Content-Type, X-Api-Key"}, "Access-Control-Max-Age": {"60"},
		"Vary": {"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"},
	}, answer(x))
	x = through(preflight("https://evil.example"), cors(config.On, true, home))
	require.Equal(t, 204, x.Response.StatusCode())
	require.Equal(t, http.Header{"Vary": {"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}}, answer(x))
}

func TestCORSForeignOriginsGetNothing(t *testing.T) {
	for _, origin := range []string{"https://evil.example", "null", "*", "", home + ".evil.example", "http://app.example.com", home + ":443", home + "/", "HTTPS://app.example.com"} {
		got := answer(through(request{Fields: []string{"Origin: " + origin}}, cors(config.On, true, home), says{"Access-Control-Allow-Origin", "*"}))
		require.Empty(t, got["Access-Control-Allow-Origin"], origin)
		require.Empty(t, got["Access-Control-Allow-Credentials"], origin)
		require.Equal(t, []string{"Origin"}, got["Vary"], origin)
	}
	got := answer(through(request{Fields: []string{"Origin: " + home, "Origin: https://evil.example"}}, cors(config.On, true, home)))
	require.Empty(t, got["Access-Control-Allow-Origin"])
}

// says stands for an upstream that sets response fields.
type says []string

func (s says) Name() string                            { return "says" }
func (s says) Inward(*exchange.Exchange) exchange.Step { return exchange.Continue }
func (s says) Finish(*exchange.Exchange, exchange.End) {}
func (s says) Outward(x *exchange.Exchange) {
	for i := 0; i < len(s); i += 2 {
		x.Response.Header.Add(s[i], s[i+1])
	}
}

func TestCORSOfAnswersAndRefusals(t *testing.T) {
	upstream := says{"Vary", "Accept", "Link", "a", "Access-Control-Allow-Origin", "https://other.example", "Link", "b", "Set-Cookie", "c=1",
		"Access-Control-Expose-Headers", "X-Secret", "Link", "c", "Content-Type", "text/plain", "Access-Control-Allow-Credentials", "true"}
	got := answer(through(request{Fields: []string{"Origin: " + home}}, cors(config.On, false, home), upstream))
	require.Equal(t, []string{home}, got["Access-Control-Allow-Origin"])
	require.Empty(t, got["Access-Control-Allow-Credentials"])
	require.Equal(t, []string{"Ratelimit"}, got["Access-Control-Expose-Headers"])
	require.Equal(t, []string{"Accept", "Origin"}, got["Vary"])
	require.Equal(t, []string{"a", "b", "c"}, got["Link"])
	require.Equal(t, []string{"c=1"}, got["Set-Cookie"])
	require.Equal(t, []string{"text/plain"}, got["Content-Type"])

	x := through(request{Fields: []string{"Origin: " + home}}, cors(config.On, false, home), keyAuth(config.On)(t))
	require.Equal(t, 401, x.Response.StatusCode())
	require.Equal(t, []string{home}, answer(x)["Access-Control-Allow-Origin"], "scripts may read why")
}

func TestCORSForEveryone(t *testing.T) {
	got := answer(through(request{Fields: []string{"Origin: https://any.example"}}, cors(config.On, false, "*")))
	require.Equal(t, []string{"*"}, got["Access-Control-Allow-Origin"])
	got = answer(through(request{Fields: []string{"Origin: https://any.example"}}, cors(config.On, true, "*")))
	require.Empty(t, got["Access-Control-Allow-Origin"], "never * with credentials, whatever the configuration says")
	require.Empty(t, got["Access-Control-Allow-Credentials"])
}

func BenchmarkCORS(b *testing.B) {
	st := cors(config.On, true, home)
	r := request{Fields: []string{"Origin: " + home, "Accept: */*"}}
	x := r.Exchange()
	b.ReportAllocs()
	for b.Loop() {
		x.Response.Reset()
		st.Inward(x)
		st.Outward(x)
	}
}
