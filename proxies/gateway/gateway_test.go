package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
)

// origin answers with its name and what it was asked.
func origin(t *testing.T, name string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		w.Header().Set("X-Origin", name)
		json.NewEncoder(w).Encode(map[string]any{"target": r.RequestURI, "headers": r.Header, "body": string(body)})
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// running is a gateway that serves.
type running struct {
	*Gateway
	t     *testing.T
	url   string
	stop  context.CancelFunc
	ended chan error
	log   *buffer
}

// buffer may be written while it is read.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) { b.mu.Lock(); defer b.mu.Unlock(); return b.b.Write(p) }
func (b *buffer) String() string              { b.mu.Lock(); defer b.mu.Unlock(); return b.b.String() }

const head = `version: 1
listen: [{address: "127.0.0.1:0"}]
admin: {address: "127.0.0.1:0"}
`

func parse(t *testing.T, text string) *config.Gateway {
	t.Helper()
	c, err := config.ParseGateway("gateway.yaml", []byte(head+text))
	require.NoError(t, err)
	return c
}

func start(t *testing.T, text string, change ...func(*Options)) *running {
	t.Helper()
	r := &running{t: t, ended: make(chan error, 1), log: &buffer{}}
	o := Options{Version: "test", Stdout: r.log, Stderr: r.log, Log: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&o)
	}
	ctx, stop := context.WithCancel(context.Background())
	g, err := New(ctx, parse(t, text), o)
	if err != nil {
		stop()
	}
	require.NoError(t, err)
	r.Gateway, r.stop = g, stop
	r.url = "http://" + g.Addresses()[0].String()
	go func() { r.ended <- g.Run(ctx, context.Background()) }()
	t.Cleanup(func() {
		stop()
		if r.ended != nil {
			<-r.ended
		}
	})
	return r
}

// drained stops the gateway and returns what Run said.
func (r *running) drained() error {
	r.stop()
	err := <-r.ended
	r.ended = nil
	return err
}

// answer is a response, read whole.
type answer struct {
	*http.Response
	body string
}

func (r *running) get(target string, fields ...string) answer {
	r.t.Helper()
	return r.do("GET", target, nil, fields...)
}

func (r *running) do(method, target string, body io.Reader, fields ...string) answer {
	r.t.Helper()
	req, err := http.NewRequest(method, r.url+target, body)
	require.NoError(r.t, err)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		if name == "Host" {
			req.Host = value
			continue
		}
		req.Header.Add(name, value)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(r.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(r.t, err)
	return answer{resp, string(text)}
}

// admin asks the admin listener.
func (r *running) admin(method, path string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequest(method, "http://"+r.AdminAddress()+path, nil)
	require.NoError(r.t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(r.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(r.t, err)
	return resp.StatusCode, string(text)
}

// shows waits until the metrics hold something, a string or a *regexp.Regexp: a request is counted once its response is out.
func (r *running) shows(what any) {
	r.t.Helper()
	pattern, ok := what.(*regexp.Regexp)
	if !ok {
		pattern = regexp.MustCompile(regexp.QuoteMeta(what.(string)))
	}
	require.Eventually(r.t, func() bool {
		_, text := r.admin("GET", "/metrics")
		return pattern.MatchString(text)
	}, 10*time.Second, 5*time.Millisecond, pattern.String())
}

func upstreams(addresses ...string) string {
	var b strings.Builder
	b.WriteString("upstreams:\n")
	for i, a := range addresses {
		fmt.Fprintf(&b, "  u%d: {endpoints: [{address: %q}]}\n", i, a)
	}
	return b.String()
}

const everything = "routes: [{name: all, backends: [{upstream: u0}]}]\n"

func TestRoutesByHostAndPath(t *testing.T) {
	g := start(t, upstreams(origin(t, "a"), origin(t, "b"))+`routes:
  - {name: orders, match: [{path: {prefix: /orders}}], backends: [{upstream: u0}]}
  - {name: host, hosts: ["*.example.com"], backends: [{upstream: u1}]}
`)
	a := g.get("/orders/7?full=1")
	require.Equal(t, 200, a.StatusCode)
	require.Equal(t, "a", a.Header.Get("X-Origin"))
	require.Contains(t, a.body, `"target":"/orders/7?full=1"`)
	require.Equal(t, "b", g.get("/orders", "Host: shop.example.com:80").Header.Get("X-Origin"))
	none := g.get("/elsewhere")
	require.Equal(t, 404, none.StatusCode)
	require.Equal(t, "application/problem+json", none.Header.Get("Content-Type"))
	require.JSONEq(t, `{"type":"about:blank","title":"Not Found","status":404,"reason":"no_route"}`, none.body)
	require.NotEmpty(t, none.Header.Get("X-Request-Id"))
}

func TestForwardsWhatItKnows(t *testing.T) {
	g := start(t, upstreams(origin(t, "a"))+everything)
	a := g.do("POST", "/x", strings.NewReader("hello"), "X-Forwarded-For: 6.6.6.6", "X-Consumer-Name: admin", "Connection: X-Drop", "X-Drop: 1")
	var seen struct {
		Headers http.Header
		Body    string
	}
	require.NoError(t, json.Unmarshal([]byte(a.body), &seen))
	require.Equal(t, "hello", seen.Body)
	require.Equal(t, "127.0.0.1", seen.Headers.Get("X-Forwarded-For"))
	require.Equal(t, "http", seen.Headers.Get("X-Forwarded-Proto"))
	require.Equal(t, "1.1 gateway", seen.Headers.Get("Via"))
	require.Equal(t, a.Header.Get("X-Request-Id"), seen.Headers.Get("X-Request-Id"))
	require.NotEmpty(t, seen.Headers.Get("Traceparent"))
	require.Empty(t, seen.Headers.Get("X-Consumer-Name"))
	require.Empty(t, seen.Headers.Get("X-Drop"))
}

func sha(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

func TestAuthenticatesAndLimits(t *testing.T) {
	g := start(t, upstreams(origin(t, "a"))+everything+`stages:
  key_auth: {keys: [{consumer: demo, sha256: `+sha("demo")+`}, {consumer: probe, sha256: `+sha("probe")+`}]}
  rate_limit: {policies: [{name: probes, rate: 0.001, burst: 2, only: [probe]}]}
log: {access: stdout}
`)
	none := g.get("/")
	require.Equal(t, 401, none.StatusCode)
	require.Contains(t, none.Header.Get("WWW-Authenticate"), "Key")
	require.Equal(t, 401, g.get("/", "X-Api-Key: wrong").StatusCode)
	a := g.get("/", "X-Api-Key: demo")
	require.Equal(t, 200, a.StatusCode)
	require.Contains(t, a.body, `"X-Consumer-Name":["demo"]`)
	require.NotContains(t, a.body, "X-Api-Key")
	for range 2 {
		require.Equal(t, 200, g.get("/", "X-Api-Key: probe").StatusCode)
	}
	limited := g.get("/", "X-Api-Key: probe")
	require.Equal(t, 429, limited.StatusCode)
	require.NotEmpty(t, limited.Header.Get("Retry-After"))
	require.Contains(t, limited.body, `"violated-policies":["probes"]`)
	require.Equal(t, 200, g.get("/", "X-Api-Key: demo").StatusCode, "the limit is the other's")

	g.shows(`gateway_http_requests_total{code="429",method="GET",route="all"} 1`)
	g.shows(`gateway_top_consumer_requests{consumer="probe"} 3`)
	code, consumers := g.admin("GET", "/consumers")
	require.Equal(t, 200, code)
	require.JSONEq(t, `[{"name":"probe","requests":3,"over_by":0},{"name":"demo","requests":2,"over_by":0}]`, consumers)
	g.shows(`gateway_rejected_requests_total{reason="rate_limited"} 1`)
	g.shows(regexp.MustCompile(`gateway_stages_info{hash="[0-9a-f]{16}",stages="access_log,metrics,forwarding,request_id,trace,route,key_auth,rate_limit"} 1`))
	require.NoError(t, g.drained())
	var reasons []string
	for line := range strings.Lines(g.log.String()) {
		var entry struct {
			Reason, Consumer, Route string
			Status                  int
		}
		require.NoError(t, json.Unmarshal([]byte(line), &entry), line)
		reasons = append(reasons, fmt.Sprintf("%d %s %s", entry.Status, entry.Reason, entry.Consumer))
	}
	require.Equal(t, []string{"401 unauthenticated ", "401 unauthenticated ", "200 ok demo", "200 ok probe", "200 ok probe",
		"429 rate_limited probe", "200 ok demo"}, reasons)
}

func TestRefusedRequestsAreLogged(t *testing.T) {
	g := start(t, upstreams("127.0.0.1:9")+everything+"log: {access: stdout}\n")
	for _, refused := range []string{"GET /t HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET /t HTTP/2.0\r\nHost: a\r\n\r\n"} {
		c := g.dial().send(refused)
		_, _, err := c.receive()
		require.NoError(t, err)
		c.conn.Close()
	}
	require.NoError(t, g.drained())
	lines := strings.Split(strings.TrimSpace(g.log.String()), "\n")
	require.Len(t, lines, 2)
	require.Regexp(t, `^{"time":"[^"]+Z","status":400,"reason":"bad_request","client":"127.0.0.1"}$`, lines[0])
	require.Regexp(t, `^{"time":"[^"]+Z","status":505,"reason":"version_refused","client":"127.0.0.1"}$`, lines[1])
}

// Two keys of one consumer, and requests without any: each credential has a quota of its own, and so has the address of the others.
func TestLimitsByCredential(t *testing.T) {
	g := start(t, upstreams(origin(t, "a"))+everything+`stages:
  key_auth: {optional: true, keys: [{consumer: demo, sha256: `+sha("one")+`}, {consumer: demo, sha256: `+sha("two")+`}]}
  rate_limit: {policies: [{name: p, key: [credential, address], rate: 0.001, burst: 1}]}
`)
	for _, fields := range [][]string{{"X-Api-Key: one"}, {"X-Api-Key: two"}, nil} {
		require.Equal(t, 200, g.get("/", fields...).StatusCode, fields)
		require.Equal(t, 429, g.get("/", fields...).StatusCode, fields)
	}
}

func TestShadowStagesActOnNothing(t *testing.T) {
	g := start(t, upstreams(origin(t, "a"))+everything+`stages:
  key_auth: {mode: shadow, keys: [{consumer: demo, sha256: `+sha("demo")+`}]}
  rate_limit: {mode: shadow, policies: [{name: p, rate: 0.001, burst: 1}]}
`)
	for range 3 {
		a := g.get("/", "X-Api-Key: wrong")
		require.Equal(t, 200, a.StatusCode)
		require.Contains(t, a.body, "X-Api-Key")
		require.Empty(t, a.Header.Get("RateLimit"))
	}
	g.shows(`gateway_auth_decisions_total{outcome="shadow_unknown",scheme="key"} 3`)
	g.shows(`gateway_rate_limit_decisions_total{decision="shadow_denied",policy="p"} 2`)
	g.shows(`key_auth=shadow`)
}

func TestNoEndpointAnswers503(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	dead := l.Addr().String()
	l.Close()
	g := start(t, "upstreams:\n  u0: {endpoints: [{address: \""+dead+"\"}], breaker: {consecutive_failures: 1, open: 1m}}\n"+everything)
	first := g.get("/")
	require.Contains(t, []int{502, 503}, first.StatusCode, first.body)
	open := g.get("/")
	require.Equal(t, 503, open.StatusCode)
	require.Contains(t, open.body, `"reason":"breaker_open"`)
	code, body := g.admin("GET", "/upstreams")
	require.Equal(t, 200, code)
	require.Contains(t, body, `"breaker": "open"`)
	g.shows(`gateway_endpoint_healthy{endpoint="` + dead + `",upstream="u0"} 0`)
}

func TestWeightsShareRequests(t *testing.T) {
	g := start(t, upstreams(origin(t, "a"), origin(t, "b"), origin(t, "c"))+
		"routes: [{name: all, backends: [{upstream: u0, weight: 3}, {upstream: u1}, {upstream: u2, weight: 0}]}]\n")
	got := map[string]int{}
	for range 200 {
		got[g.get("/").Header.Get("X-Origin")]++
	}
	require.Greater(t, got["a"], got["b"])
	require.NotZero(t, got["b"])
	require.Zero(t, got["c"])
}

func TestBodyLimitOfARoute(t *testing.T) {
	g := start(t, upstreams(origin(t, "a"))+"routes: [{name: all, backends: [{upstream: u0}], max_body: 10B}]\n")
	require.Equal(t, 200, g.do("POST", "/", strings.NewReader("0123456789")).StatusCode)
	require.Equal(t, 413, g.do("POST", "/", strings.NewReader("0123456789a")).StatusCode)
	chunked := io.MultiReader(strings.NewReader("01234"), strings.NewReader("56789abc"))
	require.Equal(t, 413, g.do("POST", "/", chunked).StatusCode)
}

func TestAdminPagesHideSecrets(t *testing.T) {
	g := start(t, upstreams(origin(t, "a"))+everything+"stages:\n  key_auth: {keys: [{consumer: demo, sha256: "+sha("demo")+"}]}\n")
	for path, says := range map[string]string{"/healthz": "ok", "/readyz": "ready", "/config": `"consumer": "demo"`, "/routes": `"name": "all"`} {
		code, body := g.admin("GET", path)
		require.Equal(t, 200, code, path)
		require.Contains(t, body, says)
		require.NotContains(t, body, sha("demo"))
	}
	code, _ := g.admin("POST", "/reload")
	require.Equal(t, 404, code, "nothing to reload from")
}

func TestLedgerTellsStageTimes(t *testing.T) {
	g := start(t, upstreams(origin(t, "a"))+everything+"ledger: {sample: 100%}\nlog: {access: stdout}\n")
	timing := g.get("/").Header.Get("Server-Timing")
	require.Regexp(t, `^gateway\.own;dur=[0-9.]+ *, gateway\.wait;dur=[0-9.]+, .*gateway\.route;dur=`, timing)
	g.shows(`gateway_stage_duration_seconds_count{stage="forwarding"} 1`)
	require.NoError(t, g.drained())
	require.Contains(t, g.log.String(), `"stages_us":{"server_timing":`)
}
