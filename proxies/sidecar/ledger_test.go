package sidecar

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLedgerOfBothSidecarsInOneAnswer: the callee's times come back in a field of the mesh's own, which neither application ever sees,
// whatever either of them says in it.
func TestLedgerOfBothSidecarsInOneAnswer(t *testing.T) {
	seen := make(chan http.Header, 8)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header
		w.Header().Set("X-Mesh-Ledger", "forged.own;dur=1")
	}))
	defer app.Close()
	const ledger = "ledger: {on_request: true}\nmtls: \"off\"\n"
	stock := start(t, "stock", ledger+"inbound: {listen: \"127.0.0.1:0\", ingress: \"127.0.0.1:0\", app: \""+app.Listener.Addr().String()+"\"}\n")
	orders := start(t, "orders", ledger+"outbound: {listen: \"127.0.0.1:0\", upstreams: {stock: {endpoints: [{address: \""+stock.inboundAt()+"\"}]}}}\n")

	a := orders.call("stock", "X-Crossroads-Ledger: 1")
	require.Regexp(t, `^stock-inbound\.own;dur=[0-9.]+ *, stock-inbound\.wait;dur=[0-9.]+, .*stock-inbound\.service;dur=.*, orders-outbound\.own;dur=[0-9.]+ *, orders-outbound\.wait;dur=`,
		a.Header.Get("Server-Timing"))
	require.Empty(t, a.Header.Values("X-Mesh-Ledger"))
	require.Empty(t, (<-seen).Values("X-Mesh-Ledger"))

	a = orders.call("stock", "X-Mesh-Ledger: 1") // an application cannot ask in the mesh's own field
	require.Empty(t, a.Header.Values("Server-Timing"))
	require.Empty(t, a.Header.Values("X-Mesh-Ledger"))
	require.Empty(t, (<-seen).Values("X-Mesh-Ledger"))

	out, err := get(t, stock.Address("ingress").String(), "stock", "X-Mesh-Ledger: 1", "X-Crossroads-Ledger: 1")
	require.NoError(t, err)
	require.Regexp(t, `^stock-ingress\.own;dur=`, out.Header.Get("Server-Timing"), "what the application says of itself there is dropped")
	require.NotContains(t, out.Header.Get("Server-Timing"), "forged")
	require.Empty(t, out.Header.Values("X-Mesh-Ledger"))
	require.Empty(t, (<-seen).Values("X-Mesh-Ledger"))
}
