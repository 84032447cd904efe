package stage_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/config/strict"
	"crossroads/proxies/config/units"
	"crossroads/proxies/exchange"
	"crossroads/proxies/stage"
	"crossroads/proxies/stage/stagetest"
	"crossroads/proxies/telemetry"
)

// server answers questions about tokens.
type server struct {
	*httptest.Server
	asked atomic.Int64
	gate  chan struct{} // closed: answers at once
}

func newServer(t testing.TB, answer func(token string) string) *server {
	s := &server{gate: make(chan struct{})}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		user, password, _ := r.BasicAuth()
		if r.Method != "POST" || user != "gate+way" || password != "s%3Acret" || r.FormValue("token") == "" || r.URL.RawQuery != "" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		<-s.gate
		said := answer(r.FormValue("token"))
		if strings.HasPrefix(said, "/") {
			http.Redirect(w, r, said, http.StatusFound)
			return
		}
		w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		fmt.Fprint(w, said)
	}))
	t.Cleanup(s.Close)
	return s
}

// known says what tokens mean, at the instant at which test requests arrive.
func known(token string) string {
	now := stagetest.Epoch.Unix()
	return map[string]string{
		"good":     fmt.Sprintf(`{"active":true,"sub":"ann","scope":"read write","exp":%d,"iss":"i","aud":["a"]}`, now+60),
		"undated":  `{"active":true,"sub":"ann","iss":"i","aud":"a"}`,
		"over":     fmt.Sprintf(`{"active":true,"sub":"ann","exp":%d,"iss":"i","aud":"a"}`, now),
		"early":    fmt.Sprintf(`{"active":true,"sub":"ann","exp":%d,"nbf":%d,"iss":"i","aud":"a"}`, now+60, now+30),
		"inactive": `{"active":false}`,
		"foreign":  fmt.Sprintf(`{"active":true,"sub":"ann","exp":%d,"iss":"i","aud":"b"}`, now+60),
		"badexp":   `{"active":true,"sub":"ann","exp":"soon","iss":"i","aud":"a"}`,
		"nobody":   fmt.Sprintf(`{"active":true,"exp":%d,"iss":"i","aud":"a"}`, now+60),
		"twice":    `{"active":false,"active":true,"sub":"ann","iss":"i","aud":"a"}`,
		"text":     `{"active":"true","sub":"ann"}`, "broken": `{"active":true`, "moved": "/elsewhere",
	}[token]
}

func introspection(t testing.TB, mode config.Mode, url string, m *telemetry.Metrics, change func(*config.Introspection)) *stage.Introspection {
	c := &config.Introspection{}
	c.SetDefaults()
	c.Mode, c.URL, c.ClientID, c.Issuers, c.Audiences = mode, url, "gate way", []string{"i"}, []string{"a"}
	c.Claims.Fields = strict.Map[string]{}
	c.Claims.Fields.Set("X-User-Id", "sub")
	if change != nil {
		change(c)
	}
	st, err := stage.NewIntrospection(c, "s:cret", m)
	require.NoError(t, err)
	return st
}

func TestIntrospectionSuite(t *testing.T) {
	s := newServer(t, known)
	close(s.gate)
	of := func(mode config.Mode) func(testing.TB) exchange.Stage {
		return func(t testing.TB) exchange.Stage { return introspection(t, mode, s.URL, metrics(), nil) }
	}
	stagetest.Run(t, stagetest.Suite{New: of(config.On), Shadow: of(config.Shadow), Pass: []request{bearerOf("good")},
		Stop: []request{{}, bearerOf("inactive"), bearerOf("a b")}, Free: true})
}

func TestIntrospectionAnswers(t *testing.T) {
	s := newServer(t, known)
	close(s.gate)
	m := metrics()
	st := introspection(t, config.On, s.URL, m, nil)
	for token, status := range map[string]int{"good": 200, "undated": 200, "over": 401, "early": 401, "inactive": 401, "foreign": 401, "badexp": 401,
		"nobody": 401, "twice": 503, "text": 503, "broken": 503, "moved": 503, "unknown": 503, "a,b": 401, strings.Repeat("a", 9000): 401} {
		x := through(bearerOf(token), st)
		require.Equal(t, status, x.Response.StatusCode(), token)
		if status == 401 {
			require.Contains(t, string(x.Response.Header.Peek("WWW-Authenticate")), `Bearer error="invalid_token"`)
		}
	}
	x := through(request{Fields: []string{"Authorization: bearer good", "X-User-Id: admin"}}, st)
	require.Equal(t, []string{"ann"}, field(x, "X-User-Id"))
	require.Equal(t, []string{"ann"}, field(x, "X-Consumer-Name"))
	require.Equal(t, []string{"read", "write"}, x.Consumer.Scopes)
	require.Empty(t, field(x, "Authorization"))
	shown := scrape(t, m)
	require.Contains(t, shown, `gateway_auth_decisions_total{outcome="unavailable",scheme="introspection"} 5`)
	require.Contains(t, shown, `gateway_source_requests_total{result="failed",source="introspection"} 5`)
}

func TestIntrospectionIsRememberedUntilExp(t *testing.T) {
	s := newServer(t, known)
	close(s.gate)
	at := func(st *stage.Introspection, token string, after time.Duration) int {
		r := bearerOf(token)
		r.At = stagetest.Epoch.Add(after)
		return through(r, st).Response.StatusCode()
	}
	st := introspection(t, config.On, s.URL, metrics(), nil)
	for range 5 {
		require.Equal(t, 200, at(st, "good", 0))
		require.Equal(t, 200, at(st, "good", 59*time.Second))
	}
	require.EqualValues(t, 1, s.asked.Load())
	require.Equal(t, 401, at(st, "good", time.Minute))
	require.EqualValues(t, 2, s.asked.Load(), "at exp it is asked again, and its answer held against the clock")
	at(st, "undated", 0)
	at(st, "undated", 0)
	require.EqualValues(t, 4, s.asked.Load(), "without exp nothing is remembered")

	short := introspection(t, config.On, s.URL, metrics(), func(c *config.Introspection) { c.MaxAge = units.Duration(10 * time.Second) })
	at(short, "good", 0)
	at(short, "good", 9*time.Second)
	require.EqualValues(t, 5, s.asked.Load())
	at(short, "good", 10*time.Second)
	require.EqualValues(t, 6, s.asked.Load())
}

func TestIntrospectionAsksOnceForAToken(t *testing.T) {
	s := newServer(t, known)
	st := introspection(t, config.On, s.URL, metrics(), func(c *config.Introspection) { c.MaxConcurrent = 1; c.Timeout = units.Duration(time.Minute) })
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if x := through(bearerOf("good"), st); x.Fault != nil {
				t.Error(x.Fault)
			}
		})
	}
	require.Eventually(t, func() bool { return s.asked.Load() == 1 }, 5*time.Second, time.Millisecond)
	x := through(bearerOf("undated"), st)
	require.Equal(t, exchange.AuthUnavailable, x.Fault, "no place is free: refused rather than queued")
	close(s.gate)
	all.Wait()
	require.EqualValues(t, 1, s.asked.Load())
}

func TestIntrospectionFailsClosed(t *testing.T) {
	s := newServer(t, known)
	s.Close()
	for range 3 {
		require.Equal(t, 503, through(bearerOf("good"), introspection(t, config.On, s.URL, metrics(), nil)).Response.StatusCode())
	}
	slow := newServer(t, known)
	defer close(slow.gate)
	st := introspection(t, config.On, slow.URL, metrics(), func(c *config.Introspection) { c.Timeout = units.Duration(20 * time.Millisecond) })
	require.Equal(t, 503, through(bearerOf("good"), st).Response.StatusCode())
}

// Whatever a server says, the stage neither panics nor lets anybody pass who is not named.
func FuzzIntrospectionAnswer(f *testing.F) {
	for _, token := range []string{"good", "twice", "text", "nobody"} {
		f.Add(known(token))
	}
	f.Fuzz(func(t *testing.T, said string) {
		x := through(bearerOf("x"), stage.Judged(introspection(t, config.On, "http://127.0.0.1:1", metrics(), nil), []byte(said)))
		if x.Fault == nil && x.Consumer.Name == "" {
			t.Fatalf("%q let nobody in", said)
		}
	})
}

func BenchmarkIntrospection(b *testing.B) {
	s := newServer(b, known)
	close(s.gate)
	st := introspection(b, config.On, s.URL, metrics(), nil)
	r := bearerOf("good")
	x := r.Exchange()
	b.ReportAllocs()
	for b.Loop() {
		r.Fill(x)
		st.Inward(x)
	}
}
