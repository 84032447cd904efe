package sidecar

import (
	"bytes"
	"context"
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
	"crossroads/proxies/operate/operatetest"
)

// running is a sidecar that serves.
type running struct {
	*Sidecar
	t     *testing.T
	stop  context.CancelFunc
	ended chan error
	said  *said // its own log
}

// said is what a log was told.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func start(t *testing.T, service, text string) *running {
	t.Helper()
	c, err := config.ParseSidecar("sidecar.yaml", []byte("version: 1\nservice: "+service+"\nadmin: {address: \"127.0.0.1:0\"}\n"+text))
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	log := &said{}
	s, err := New(ctx, c, Options{Version: "test", Stdout: io.Discard, Stderr: io.Discard, Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		stop()
	}
	require.NoError(t, err)
	r := &running{Sidecar: s, t: t, stop: stop, ended: make(chan error, 1), said: log}
	go func() { r.ended <- s.Run(ctx, context.Background()) }()
	t.Cleanup(func() { r.stop(); <-r.ended })
	return r
}

// unasked is an application that nobody may reach.
func unasked(t *testing.T) http.Handler {
	return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the application was asked") })
}

func (r *running) inboundAt() string { return r.Address("inbound").String() }

// answer is a response, read whole; seen is what the application was asked.
type answer struct {
	*http.Response
	body string
	seen http.Header
}

func get(t *testing.T, address, host string, fields ...string) (answer, error) {
	t.Helper()
	req, err := http.NewRequest("GET", "http://"+address+"/path", nil)
	require.NoError(t, err)
	req.Host = host
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		req.Header.Add(name, value)
	}
	c := &http.Transport{}
	defer c.CloseIdleConnections()
	resp, err := c.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	a := answer{Response: resp, body: string(text)}
	_ = json.Unmarshal(text, &a.seen) // not every answer is the application's
	return a, err
}

// call is what the application beside r does to reach another service.
func (r *running) call(service string, fields ...string) answer {
	r.t.Helper()
	a, err := get(r.t, r.Address("outbound").String(), service, fields...)
	require.NoError(r.t, err)
	return a
}

// shows waits until the metrics hold every line that begins so: a request is counted once its response is out.
func (r *running) shows(lines ...string) {
	r.t.Helper()
	for _, line := range lines {
		pattern := regexp.MustCompile("(?m)^" + line)
		require.Eventually(r.t, func() bool {
			resp, err := http.Get("http://" + r.AdminAddress() + "/metrics")
			require.NoError(r.t, err)
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			return err == nil && pattern.Match(text)
		}, 10*time.Second, 5*time.Millisecond, line)
	}
}

// app answers with the fields it was asked with.
func app(t *testing.T) string {
	t.Helper()
	return application(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Mesh-Error", "forged")
		if r.Header.Get("X-Fail") != "" {
			w.WriteHeader(500)
		}
		json.NewEncoder(w).Encode(r.Header)
	}))
}

// application serves until the test ends, and returns where.
func application(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// httpServer serves a listener until the test ends, and returns where it is.
func httpServer(t *testing.T, l net.Listener, h http.Handler) string {
	t.Helper()
	s := &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return l.Addr().String()
}

func inbound(to string, more ...string) string {
	return fmt.Sprintf("inbound: {listen: \"127.0.0.1:0\", app: %q%s}\n", to, strings.Join(more, ""))
}

func outbound(service, address, identity string) string {
	return fmt.Sprintf("outbound: {listen: \"127.0.0.1:0\", upstreams: {%s: {endpoints: [{address: %q, identity: %q}]}}}\n",
		service, address, identity)
}

func TestTwoSidecarsOneCall(t *testing.T) {
	ca := operatetest.NewAuthority(t, "example.org")
	stock := start(t, "stock", ca.Identity("stock")+inbound(app(t)))
	orders := start(t, "orders", ca.Identity("orders")+outbound("stock", stock.inboundAt(), ca.ID("stock")))
	for range 3 {
		a := orders.call("STOCK:80", "X-Mesh-Peer: "+ca.ID("admin"), "X-Forwarded-For: 203.0.113.9", "X-Request-Id: r1")
		require.Equal(t, 200, a.StatusCode, a.body)
		require.Equal(t, ca.ID("orders"), a.seen.Get("X-Mesh-Peer"), "the certificate, not the claim")
		require.Equal(t, []string{"1.1 orders-outbound", "1.1 stock-inbound"}, a.seen["Via"])
		require.Equal(t, "203.0.113.9", a.seen.Get("X-Forwarded-For"), "what the edge found out goes on")
		require.Equal(t, "r1", a.seen.Get("X-Request-Id"))
		require.Empty(t, a.Header.Get("X-Mesh-Error"), "the application cannot speak for the mesh")
	}
	failed := orders.call("stock", "X-Fail: 1")
	require.Equal(t, 500, failed.StatusCode)
	require.Empty(t, failed.Header.Get("X-Mesh-Error"))

	edge := func(direction, code, class string, n int) string {
		return regexp.QuoteMeta(fmt.Sprintf(`sidecar_requests_total{classification=%q,code=%q,destination="stock",direction=%q,source=%q} %d`,
			class, code, direction, ca.ID("orders"), n))
	}
	for side, r := range map[string]*running{"outbound": orders, "inbound": stock} {
		r.shows(edge(side, "200", "success", 3), edge(side, "500", "failure", 1), "sidecar_svid_expiry_seconds 3",
			`sidecar_stages_info{hash="[0-9a-f]{16}",stages="`+side+`:tap,metrics,.*,service.* mtls:strict"} 1`)
	}
}

func TestStrictRefusesPlaintextAndStrangers(t *testing.T) {
	ca, foreign := operatetest.NewAuthority(t, "example.org"), operatetest.NewAuthority(t, "example.org")
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	t.Cleanup(s.Close)
	stock := start(t, "stock", ca.Identity("stock")+inbound(s.Listener.Addr().String()))

	_, err := get(t, stock.inboundAt(), "stock")
	require.Error(t, err, "plaintext")

	anonymous := &http.Client{Transport: insecureTLS()}
	_, err = anonymous.Get("https://" + stock.inboundAt())
	require.Error(t, err, "TLS without a certificate")

	stranger := start(t, "orders", foreign.Identity("orders")+outbound("stock", stock.inboundAt(), ca.ID("stock")))
	a := stranger.call("stock")
	require.Equal(t, 502, a.StatusCode)
	require.NotEmpty(t, a.Header.Get("X-Mesh-Error"))
	require.Zero(t, asked, "the application was never asked")
}

func TestWrongIdentityIsRefused(t *testing.T) {
	ca := operatetest.NewAuthority(t, "example.org")
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	t.Cleanup(s.Close)
	impostor := start(t, "impostor", ca.Identity("impostor")+inbound(s.Listener.Addr().String()))
	orders := start(t, "orders", ca.Identity("orders")+outbound("stock", impostor.inboundAt(), ca.ID("stock")))
	a := orders.call("stock")
	require.Equal(t, 502, a.StatusCode)
	require.Equal(t, "upstream_identity", a.Header.Get("X-Mesh-Error"))
	orders.shows(`sidecar_requests_total{classification="mesh_error",code="502",destination="stock"`)
	require.Zero(t, asked)
}

func TestPermissiveTakesBoth(t *testing.T) {
	ca := operatetest.NewAuthority(t, "example.org")
	stock := start(t, "stock", "mtls: permissive\n"+ca.Identity("stock")+inbound(app(t)))
	orders := start(t, "orders", ca.Identity("orders")+outbound("stock", stock.inboundAt(), ca.ID("stock")))
	a := orders.call("stock")
	require.Equal(t, 200, a.StatusCode, a.body)
	require.Equal(t, ca.ID("orders"), a.seen.Get("X-Mesh-Peer"))
	plain, err := get(t, stock.inboundAt(), "stock", "X-Mesh-Peer: "+ca.ID("admin"))
	require.NoError(t, err)
	require.Equal(t, 200, plain.StatusCode)
	require.Empty(t, plain.seen.Get("X-Mesh-Peer"), "nobody proved anything")
	_, err = (&http.Client{Transport: insecureTLS()}).Get("https://" + stock.inboundAt())
	require.Error(t, err, "TLS without a certificate is not let through as plaintext")
	stock.names("inbound", "no_certificate")
}

// A client that says nothing at all is given up, and keeps nobody else waiting.
func TestPermissiveSilence(t *testing.T) {
	ca := operatetest.NewAuthority(t, "example.org")
	stock := start(t, "stock", "mtls: permissive\nclients: {header_timeout: 50ms}\n"+ca.Identity("stock")+inbound(app(t)))
	silent := dial(t, stock.inboundAt())
	a, err := get(t, stock.inboundAt(), "stock")
	require.NoError(t, err)
	require.Equal(t, 200, a.StatusCode)
	_, err = silent.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

func TestPermissiveCallsInPlaintextWhoeverHasNoIdentity(t *testing.T) {
	ca := operatetest.NewAuthority(t, "example.org")
	orders := start(t, "orders", "mtls: permissive\n"+ca.Identity("orders")+
		fmt.Sprintf("outbound: {listen: \"127.0.0.1:0\", upstreams: {legacy: {endpoints: [{address: %q}]}}}\n", app(t)))
	require.Equal(t, 200, orders.call("legacy").StatusCode)
}

func TestIngressIsAnEdge(t *testing.T) {
	ca := operatetest.NewAuthority(t, "example.org")
	front := start(t, "front", ca.Identity("front")+inbound(app(t), `, ingress: "127.0.0.1:0"`))
	a, err := get(t, front.Address("ingress").String(), "front", "X-Forwarded-For: 6.6.6.6", "X-Request-Id: mine", "X-Mesh-Peer: x")
	require.NoError(t, err)
	require.Equal(t, 200, a.StatusCode)
	require.Equal(t, "127.0.0.1", a.seen.Get("X-Forwarded-For"))
	require.NotEqual(t, "mine", a.seen.Get("X-Request-Id"))
	require.Empty(t, a.seen.Get("X-Mesh-Peer"))
	require.Equal(t, []string{"1.1 front-ingress"}, a.seen["Via"])
}

func TestMeshErrorsAreNamed(t *testing.T) {
	dead := httptest.NewServer(http.NotFoundHandler())
	address := dead.Listener.Addr().String()
	dead.Close()
	s := start(t, "orders", "mtls: off\n"+inbound(address)+
		fmt.Sprintf("outbound: {listen: \"127.0.0.1:0\", upstreams: {stock: {endpoints: [{address: %q}], breaker: {consecutive_failures: 1, open: 1m}}}}\n", address))
	a := s.call("nobody")
	require.Equal(t, 404, a.StatusCode)
	require.Equal(t, "no_route", a.Header.Get("X-Mesh-Error"))
	a = s.call("stock")
	require.Equal(t, 503, a.StatusCode)
	require.Equal(t, "upstream_connect", a.Header.Get("X-Mesh-Error"))
	a = s.call("stock")
	require.Equal(t, 503, a.StatusCode)
	require.Equal(t, "breaker_open", a.Header.Get("X-Mesh-Error"))
	a, err := get(t, s.inboundAt(), "orders")
	require.NoError(t, err)
	require.Equal(t, 503, a.StatusCode)
	require.Equal(t, "upstream_connect", a.Header.Get("X-Mesh-Error"))
}
