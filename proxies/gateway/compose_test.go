package gateway

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/exchange"
)

// service answers as its handler says.
func service(t *testing.T, handle http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handle)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func says(typ, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", typ)
		fmt.Fprint(w, body)
	}
}

// composing starts a gateway whose one route composes user (required), then reviews and ads (optional). patience is how long reviews may
// take.
func composing(t *testing.T, patience, more string, handlers ...http.HandlerFunc) *running {
	t.Helper()
	var addresses []string
	for _, h := range handlers {
		addresses = append(addresses, service(t, h))
	}
	return start(t, upstreams(addresses...)+`routes:
  - name: page
    match: [{path: {exact: /page}}]
    compose:
      parts:
        user: {upstream: u0, path: "/users/1?full=1", pass_query: true, timeout: 20s}
        reviews: {upstream: u1, path: /reviews, optional: true, timeout: `+patience+`, max_body: 1KiB}
        ads: {upstream: u2, path: /ads, optional: true, max_body: 1KiB}
`+more)
}

func TestComposesPartsInOrder(t *testing.T) {
	arrived := make(chan string, 3)
	together := make(chan struct{})
	part := func(typ, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			arrived <- r.Method + " " + r.RequestURI + " " + r.Header.Get("If-None-Match") + r.Header.Get("Range") + r.Header.Get("X-Tenant")
			<-together // until all three are here: nothing waits for another
			w.Header().Set("Cache-Control", "private")
			w.Header().Set("Set-Cookie", "a=b")
			says(typ, body)(w, r)
		}
	}
	g := composing(t, "2s", "ledger: {sample: 100%}\n", part("application/json", ` {"id": 1} `), part("text/plain", "a \"b\"\n"), part("image/png", "\xff\x00"))
	asked := map[string]bool{}
	go func() {
		for range 3 {
			asked[<-arrived] = true
		}
		close(together)
	}()
	a := g.get("/page?lang=en", `If-None-Match: "x"`, "Range: bytes=0-1", "X-Tenant: t")
	require.Equal(t, 200, a.StatusCode, a.body)
	require.Equal(t, "application/json", a.Header.Get("Content-Type"))
	require.Equal(t, `{"user":{"id": 1},"reviews":"a \"b\"\n","ads":{"base64":"/wA="}}`+"\n", a.body)
	require.Empty(t, a.Header.Get("X-Failed-Parts"))
	require.Equal(t, []string{"no-store"}, a.Header["Cache-Control"], "not what one of the parts says of itself")
	require.Empty(t, a.Header.Get("Set-Cookie"))
	require.Equal(t, map[string]bool{"GET /users/1?full=1&lang=en t": true, "GET /reviews t": true, "GET /ads t": true}, asked)
	require.Regexp(t, `part-user;dur=[0-9.]+, part-reviews;dur=[0-9.]+, part-ads;dur=`, strings.Join(a.Header["Server-Timing"], ", "))
	g.shows(`gateway_aggregation_parts_total{part="user",result="ok",route="page"} 1`)
	g.shows(`gateway_aggregation_part_seconds_count{part="ads",route="page"} 1`)
}

func TestOptionalPartsMayFail(t *testing.T) {
	released := make(chan struct{})
	defer close(released)
	slow := func(w http.ResponseWriter, r *http.Request) { <-released }
	g := composing(t, "300ms", "", says("application/json", "[]"), slow, says("text/plain", strings.Repeat("x", 2<<10)))
	for _, method := range []string{"GET", "HEAD"} {
		a := g.do(method, "/page", nil)
		require.Equal(t, 200, a.StatusCode)
		require.Equal(t, "reviews;reason=upstream_timeout, ads;reason=part_too_large", a.Header.Get("X-Failed-Parts"))
		require.EqualValues(t, len(`{"user":[],"reviews":null,"ads":null}`)+1, a.ContentLength)
	}
	g.shows(`gateway_aggregation_parts_total{part="reviews",result="upstream_timeout",route="page"} 2`)
}

func TestRequiredPartFailsTheWhole(t *testing.T) {
	fails := map[string]struct {
		user   http.HandlerFunc
		status int
		says   string
	}{
		"refused":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, 502, "status_4xx"},
		"redirects": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", http.StatusFound) }, 502, "status_3xx"},
		"cut": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			fmt.Fprint(w, "short")
		}, 502, "upstream_reset"},
		"encoded": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			fmt.Fprint(w, "x")
		}, 502, "part_encoded"},
	}
	for name, f := range fails {
		t.Run(name, func(t *testing.T) {
			asked, waited := make(chan struct{}), make(chan struct{})
			fail := func(w http.ResponseWriter, r *http.Request) {
				<-asked // a part that was never sent has no origin to see its end
				f.user(w, r)
			}
			g := composing(t, "20s", "", fail, func(w http.ResponseWriter, r *http.Request) {
				close(asked)
				<-r.Context().Done() // ends because the required part failed, not because it was slow
				close(waited)
			}, says("text/plain", "ad"))
			a := g.get("/page")
			require.Equal(t, f.status, a.StatusCode)
			require.Contains(t, a.body, `"reason":"`+f.says+`"`)
			require.Contains(t, a.body, `"detail":"part user"`)
			<-waited
			g.shows(`gateway_aggregation_parts_total{part="reviews",result="part_cancelled",route="page"} 1`)
		})
	}
}

func TestRequiredPartTooLateIs504(t *testing.T) {
	released := make(chan struct{})
	defer close(released)
	g := start(t, upstreams(service(t, func(http.ResponseWriter, *http.Request) { <-released }))+
		"routes: [{name: page, compose: {parts: {only: {upstream: u0, path: /x, timeout: 50ms}}}}]\n")
	a := g.get("/")
	require.Equal(t, 504, a.StatusCode)
	require.Contains(t, a.body, "upstream_timeout")
	g.shows(`gateway_aggregation_parts_total{part="only",result="upstream_timeout",route="page"} 1`)
}

func TestComposesOnlyForGET(t *testing.T) {
	g := composing(t, "20s", "", says("application/json", "1"), says("application/json", "2"), says("application/json", "3"))
	a := g.do("POST", "/page", strings.NewReader("x"))
	require.Equal(t, 405, a.StatusCode)
	require.Equal(t, "GET, HEAD", a.Header.Get("Allow"))
	require.Equal(t, `{"user":1,"reviews":2,"ads":3}`+"\n", g.get("/page").body)
}

// The parts of a cut gateway do not hold it up.
func TestDrainCutsParts(t *testing.T) {
	asked := make(chan struct{}, 1)
	released := make(chan struct{})
	defer close(released)
	g := start(t, upstreams(service(t, func(http.ResponseWriter, *http.Request) { asked <- struct{}{}; <-released }))+
		"routes: [{name: page, timeout: 10m, compose: {parts: {only: {upstream: u0, path: /x, timeout: 5m}}}}]\ndrain: {grace: 50ms}\n")
	go func() {
		if resp, err := http.Get(g.url); err == nil {
			resp.Body.Close()
		}
	}()
	<-asked
	began := time.Now()
	require.ErrorContains(t, g.drained(), "requests were cut")
	require.Less(t, time.Since(began), time.Minute)
}

// FuzzJoin: whatever the bodies hold, the answer is one JSON object with the parts as they were.
func FuzzJoin(f *testing.F) {
	f.Add([]byte(`{"a":1}`), "application/json", []byte("text"), "text/plain")
	f.Add([]byte(`{"a":1}}`), "application/json", []byte("\xff"), "application/problem+json; charset=utf-8")
	f.Add([]byte(`"x","admin":true`), "application/json", []byte(" "), "application/json")
	f.Fuzz(func(t *testing.T, a []byte, typeA string, b []byte, typeB string) {
		out := join([]string{"a", "b", "c"}, []fetched{{body: a, typ: typeA}, {body: b, typ: typeB}, {fault: exchange.UpstreamReset}})
		var got map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(out, &got), "%q", out)
		require.Len(t, got, 3)
		require.Equal(t, "null", string(got["c"]))
		for name, body := range map[string][]byte{"a": a, "b": b} {
			var text string
			var raw struct{ Base64 string }
			switch {
			case len(body) == 0:
				require.Equal(t, "null", string(got[name]))
			case !utf8.Valid(body):
				require.NoError(t, json.Unmarshal(got[name], &raw))
				back, err := base64.StdEncoding.DecodeString(raw.Base64)
				require.NoError(t, err)
				require.Equal(t, body, back)
			case string(got[name]) == strings.Trim(string(body), " \t\r\n"): // JSON as it came
			default:
				require.NoError(t, json.Unmarshal(got[name], &text))
				require.Equal(t, string(body), text)
			}
		}
	})
}

// A part's deadline is for the whole of it: a body that drips, each byte well before any silence would be noticed, ends the wait too.
func TestPartThatDripsIsTooLate(t *testing.T) {
	dripping := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		for r.Context().Err() == nil {
			_, _ = w.Write([]byte("x"))
			_ = http.NewResponseController(w).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	}
	g := composing(t, "300ms", "", says("application/json", "1"), dripping, says("text/plain", "ad"))
	began := time.Now()
	a := g.get("/page")
	require.Equal(t, 200, a.StatusCode, a.body)
	require.Equal(t, "reviews;reason=upstream_timeout", a.Header.Get("X-Failed-Parts"))
	require.Equal(t, `{"user":1,"reviews":null,"ads":"ad"}`+"\n", a.body)
	require.Less(t, time.Since(began), 8*time.Second, "the whole body would take ten")
}
