package sidecar

import (
	"fmt"
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
