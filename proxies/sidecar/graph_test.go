package sidecar

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config/units"
	"crossroads/proxies/graph"
)

// graphOf reads the dependency graph of the mesh's control plane.
func (m *mesh) graphOf() (d graph.Document) {
	m.t.Helper()
	response, err := http.Get("http://" + m.config.Admin.Address + "/graph")
	require.NoError(m.t, err)
	defer response.Body.Close()
	require.NoError(m.t, json.NewDecoder(response.Body).Decode(&d))
	return d
}

// TestTheGraphShowsWhoCallsWhom lets calls pass two sidecars and finds their edge in the control plane, seen from both sides.
func TestTheGraphShowsWhoCallsWhom(t *testing.T) {
	m := newMesh(t)
	m.end()
	m.config.Graph.Window = units.Duration(100 * time.Millisecond)
	m.start()
	stock := m.sidecar("stock", inbound(app(t)))
	m.stock(stock.inboundAt())
	orders := m.sidecar("orders", caller)
	require.Eventually(t, func() bool { return orders.catalog.table.Load().routes["stock"] != nil }, 20*time.Second, time.Millisecond)
	var e graph.Edge
	require.Eventually(t, func() bool {
		for range 9 { // so that the breaker stays closed
			orders.call("stock")
		}
		orders.call("stock", "X-Fail: yes")
		for _, e = range m.graphOf().Edges {
			if e.Destination == "stock" && e.Inbound != nil && e.Passed > 0 && e.Inbound.Passed > 0 {
				return true
			}
		}
		return false
	}, 20*time.Second, 5*time.Millisecond)
	require.Equal(t, graph.Key{Source: "shop/orders", Destination: "stock"}, e.Key, "orders is no service that anybody listed")
	require.Equal(t, "outbound", e.Side)
	require.InDelta(t, 0.1, e.Errors, 0.05)
	require.Equal(t, 1, e.Endpoints)
	require.Positive(t, e.P50)
	require.InDelta(t, 1, e.Attempts, 0.01)
	orders.shows(`sidecar_edge_requests_in_flight\{destination="stock",direction="outbound",source="`+meshID("orders")+`"\} 0`,
		`sidecar_edge_attempts_total\{destination="stock",direction="outbound",source="`+meshID("orders")+`"\} [1-9]`,
		`sidecar_handshakes_total\{direction="outbound",result="ok"\} [1-9]`)
	stock.shows(`sidecar_handshakes_total\{direction="inbound",result="ok"\} [1-9]`)
}

// TestTap watches failing calls and sees those alone, without what a client may have hidden in its query or fields.
func TestTap(t *testing.T) {
	r := start(t, "orders", "mtls: \"off\"\noutbound: {listen: \"127.0.0.1:0\", upstreams: {stock: {endpoints: [{address: \""+app(t)+"\"}]}}}\n")
	status, text := tapped(t, r, "colour=blue")
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, text, "colour")
	require.False(t, r.tap.Watched())

	lines := make(chan string, 1)
	go func() {
		_, text := tapped(t, r, "direction=outbound&status=5xx&path=/pa&method=get&max=2&for=1m")
		lines <- text
	}()
	require.Eventually(t, r.tap.Watched, 20*time.Second, time.Millisecond)
	for range 2 {
		r.call("stock")
		r.call("stock", "X-Fail: yes", "Authorization: Bearer secret")
	}
	seen := <-lines
	require.NotContains(t, seen, "secret")
	n := 0
	for s := bufio.NewScanner(bytes.NewReader([]byte(seen))); s.Scan(); n++ {
		var line struct {
			Chain, Path string
			Status      int
		}
		require.NoError(t, json.Unmarshal(s.Bytes(), &line))
		require.Equal(t, "outbound", line.Chain)
		require.Equal(t, "/path", line.Path)
		require.Equal(t, 500, line.Status)
	}
	require.Equal(t, 2, n)
	require.Eventually(t, func() bool { return !r.tap.Watched() }, 20*time.Second, time.Millisecond, "who has seen enough costs nothing")
}

func tapped(t *testing.T, r *running, query string) (int, string) {
	response, err := http.Get("http://" + r.AdminAddress() + "/tap?" + query)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return response.StatusCode, string(text)
}
