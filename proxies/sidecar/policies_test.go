package sidecar

import (
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/operate/operatetest"
)

func TestPoliciesOfTheFile(t *testing.T) {
	ca := operatetest.NewAuthority(t, "example.org")
	stock := start(t, "stock", ca.Identity("stock")+inbound(app(t), fmt.Sprintf(
		`, ingress: "127.0.0.1:0", authorization: {default: deny, policies: [
  {name: orders-read, action: allow, identities: [%q], methods: [GET]},
  {name: closed, action: deny, paths: ["/path/*"], identities: [%q]},
  {name: trial, action: deny, mode: shadow, namespaces: [default]}]}`, ca.ID("orders"), ca.ID("audit"))))
	for service, status := range map[string]int{"orders": 200, "audit": 403, "stranger": 403} {
		a := start(t, service, ca.Identity(service)+outbound("stock", stock.inboundAt(), ca.ID("stock"))).call("stock")
		require.Equal(t, status, a.StatusCode, service)
		if status == 403 {
			require.Equal(t, "denied", a.Header.Get("X-Mesh-Error"))
		}
	}
	a, err := get(t, stock.Address("ingress").String(), "stock")
	require.NoError(t, err)
	require.Equal(t, 403, a.StatusCode, "whoever proves nothing is nobody's friend")
	stock.shows(`sidecar_authorization_decisions_total{decision="allowed",policy="orders-read"} 1`,
		`sidecar_authorization_decisions_total{decision="denied",policy="closed"} 2`,
		`sidecar_authorization_decisions_total{decision="denied",policy="no_allow"} 1`,
		`sidecar_authorization_decisions_total{decision="shadow_denied",policy="trial"} 1`)
}

// Policies of the control plane come into force while calls go on, and nobody is admitted before they are known.
func TestPoliciesOfTheControlPlane(t *testing.T) {
	m := newMesh(t)
	stock := m.sidecar("stock", inbound(says(t, "one")))
	orders := m.sidecar("orders", caller)
	services := func(more string) {
		m.services(fmt.Sprintf("{stock: {identity: %q, endpoints: [{address: %q}]}}\n%s", meshID("stock"), stock.inboundAt(), more))
	}
	becomes := func(status int) {
		t.Helper()
		require.Eventually(t, func() bool { return orders.call("stock").StatusCode == status }, 20*time.Second, 2*time.Millisecond)
	}
	services("")
	becomes(200)
	services("authorization: {default: deny}")
	becomes(403)
	services(fmt.Sprintf("authorization: {default: deny, policies: [{name: a, action: allow, services: [stock], identities: [%q]}]}", meshID("orders")))
	becomes(200)
	services(fmt.Sprintf("authorization: {policies: [{name: d, action: deny, services: [stock], identities: [%q]}]}", meshID("orders")))
	becomes(403)
	services("authorization: {policies: [{name: d, action: deny, services: [price]}]}")
	becomes(200)

	m.end()
	early := start(t, "stock", m.identity("stock")+inbound(says(t, "two"), `, ingress: "127.0.0.1:0"`))
	a, err := get(t, early.Address("ingress").String(), "stock")
	require.NoError(t, err)
	require.Equal(t, 503, a.StatusCode)
	require.Equal(t, "policies_unknown", a.Header.Get("X-Mesh-Error"))
}

// A connection that stands when the policies change is judged again: it goes on where they still admit it, whatever else has changed, and
// is ended with a named reason where they do not.
func TestOpenConnectionsAreJudgedAgain(t *testing.T) {
	m := newMesh(t)
	echo := serveTCP(t, func(c *net.TCPConn) { io.Copy(c, c); c.Close() })
	stock := m.sidecar("stock", fmt.Sprintf("inbound: {listen: \"127.0.0.1:0\", tcp: [{port: 7000, to: %q}]}\n", echo))
	services := func(more string) {
		m.services(fmt.Sprintf("{stock: {identity: %q, endpoints: [{address: %q}]}}\n%s", meshID("stock"), stock.inboundAt(), more))
	}
	services("")
	outbound := "outbound: {listen: \"127.0.0.1:0\", discover: true, tcp: [{listen: \"127.0.0.1:0\", service: stock, port: 7000}]}\n"
	open := map[string]*net.TCPConn{}
	said := func(name string) error {
		if _, err := io.WriteString(open[name], "hello"); err != nil {
			return err
		}
		_, err := io.ReadFull(open[name], make([]byte, 5))
		return err
	}
	for _, name := range []string{"orders", "audit"} {
		r := m.sidecar(name, outbound)
		require.Eventually(t, func() bool {
			open[name] = dial(t, r.Address("tcp-stock-7000").String())
			return said(name) == nil
		}, 20*time.Second, 5*time.Millisecond, "the snapshot with the service arrives")
	}
	before := stock.services.Status().Version
	services(fmt.Sprintf("authorization: {policies: [{name: shut-out, action: deny, services: [stock], ports: [7000], identities: [%q]}]}", meshID("orders")))
	require.Eventually(t, func() bool { return stock.services.Status().Version > before }, 20*time.Second, time.Millisecond)
	_, err := io.ReadAll(open["orders"])
	require.Error(t, err, "a reset, not an end that looks whole")
	require.NoError(t, said("audit"))
	stock.shows(fmt.Sprintf(`sidecar_tcp_connections_total{destination="stock",direction="inbound",result="revoked",source=%q} 1`, meshID("orders")),
		`sidecar_authorization_decisions_total{decision="denied",policy="shut-out"} [1-9]`,
		fmt.Sprintf(`sidecar_tcp_open_connections{destination="stock",direction="inbound",source=%q} 1`, meshID("audit")))
	require.Contains(t, stock.said.String(), "reason=revoked policy=shut-out peer="+meshID("orders")+" port=7000")
}
