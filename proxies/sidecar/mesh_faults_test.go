package sidecar

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/config/units"
	"crossroads/proxies/operate/operatetest"
)

// tell tells a running sidecar faults; "" takes them back.
func (r *running) tell(rules string) {
	r.t.Helper()
	method := http.MethodPut
	if rules == "" {
		method = http.MethodDelete
	}
	q, err := http.NewRequest(method, "http://"+r.AdminAddress()+"/faults", strings.NewReader(`{"rules": [`+rules+`]}`))
	require.NoError(r.t, err)
	a, err := http.DefaultClient.Do(q)
	require.NoError(r.t, err)
	require.NoError(r.t, a.Body.Close())
	require.Equal(r.t, http.StatusNoContent, a.StatusCode)
}

const told = "faults: {told: true}\n"

// A sidecar whose renewals are refused is called for as long as its certificate lives, and not longer, whatever connections are open; its
// callers say why, and it is called again once it was renewed.
func TestCertificateEnds(t *testing.T) {
	t.Parallel() // it waits more than it works
	m := newMesh(t, func(c *config.Control) { c.Lifetime = units.Duration(2 * time.Second) })
	stock := m.sidecar("stock", inbound(says(t, "one"))+"outbound: {listen: \"127.0.0.1:0\", discover: true}\n"+told)
	m.stock(stock.inboundAt())
	orders := m.sidecar("orders", "outbound: {listen: \"127.0.0.1:0\", discover: true}\n")
	status := func(want int, reason string) func() bool {
		return func() bool {
			a := orders.call("stock")
			return a.StatusCode == want && a.Header.Get("X-Mesh-Error") == reason
		}
	}
	require.Eventually(t, status(200, ""), 20*time.Second, 2*time.Millisecond)
	stock.tell(`{"at": "renewal", "reset": true}`)
	ends := stock.source.Stats().NotAfter
	require.Eventually(t, status(502, "upstream_identity"), 20*time.Second, 2*time.Millisecond)
	require.False(t, time.Now().Before(ends), "as long as it was valid")
	require.Equal(t, ends, stock.source.Stats().NotAfter)
	orders.shows(`sidecar_handshakes_total{[^}]*result="expired"`)
	require.Contains(t, orders.said.String(), "expired")
	stock.shows(`sidecar_svid_expiry_seconds -`, `sidecar_injected_faults_total{at="renewal",direction=""} [1-9]`, `sidecar_svid_rotation_failures_total [1-9]`)
	require.Error(t, stock.ready())
	require.Equal(t, 502, stock.call("stock").StatusCode, "nor can it call")
	stock.tell("")
	require.Eventually(t, status(200, ""), 30*time.Second, 5*time.Millisecond)
	require.NoError(t, stock.ready())
}

// A sidecar that no new snapshots reach goes on with what it has: where an endpoint has gone meanwhile, calls go to another one, and
// its version falls behind. What was kept back comes into force in the end.
func TestConfigurationGoesStale(t *testing.T) {
	m := newMesh(t)
	gone, stays := m.sidecar("stock", inbound(says(t, "one"))), m.sidecar("stock", inbound(says(t, "two")))
	m.stock(gone.inboundAt(), stays.inboundAt())
	outbound := "outbound: {listen: \"127.0.0.1:0\", discover: true, retry: {attempts: 2}}\n"
	orders, audit := m.sidecar("orders", outbound+told), m.sidecar("audit", outbound)
	endpoints := func(r *running, n int) func() bool { return func() bool { return len(r.upstreams()["stock"]) == n } }
	require.Eventually(t, endpoints(orders, 2), 20*time.Second, time.Millisecond)
	orders.tell(`{"at": "snapshot", "reset": true}`)
	before := orders.services.Status()
	m.stock(stays.inboundAt())
	require.Eventually(t, endpoints(audit, 1), 20*time.Second, time.Millisecond)
	gone.stop()
	require.NoError(t, <-gone.ended)
	gone.ended <- nil // for the test's own end
	orders.shows(`sidecar_injected_faults_total{at="snapshot",direction=""} [1-9]`)
	for range 20 {
		a := orders.call("stock")
		require.Equal(t, []any{200, "two"}, []any{a.StatusCode, a.body})
	}
	require.True(t, endpoints(orders, 2)())
	now := orders.services.Status()
	require.Equal(t, before.Version, now.Version)
	require.Greater(t, now.Age(time.Now()), audit.services.Status().Age(time.Now()))
	orders.shows("sidecar_config_version "+regexp.QuoteMeta(fmt.Sprint(float64(before.Version)))+"$", "sidecar_config_age_seconds [0-9]")
	orders.tell("")
	require.Eventually(t, endpoints(orders, 1), 20*time.Second, time.Millisecond)
	require.Equal(t, audit.services.Status().Version, orders.services.Status().Version)
}

// A caller that keeps its connection when its certificate has ended is answered once more, and the connection ends: no identity lives on
// for as long as somebody keeps a connection busy.
func TestACallersCertificateEnds(t *testing.T) {
	t.Parallel() // it waits more than it works
	ca := operatetest.NewAuthority(t, "example.org")
	stock := start(t, "stock", ca.Identity("stock")+inbound(says(t, "one")))
	f := ca.Files("orders", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(2 * time.Second) })
	certificate, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
	require.NoError(t, err)
	c, err := tls.Dial("tcp", stock.inboundAt(), &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{certificate}})
	require.NoError(t, err)
	defer c.Close()
	in := bufio.NewReader(c)
	ask := func() *http.Response {
		_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: stock\r\n\r\n")
		require.NoError(t, err)
		a, err := http.ReadResponse(in, nil)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, a.Body)
		require.NoError(t, err)
		require.Equal(t, 200, a.StatusCode)
		return a
	}
	require.False(t, ask().Close)
	time.Sleep(time.Until(certificate.Leaf.NotAfter) + time.Millisecond)
	require.True(t, ask().Close)
	_, err = in.ReadByte()
	require.ErrorIs(t, err, io.EOF)
}
