package sidecar

import (
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/operate/operatetest"
)

// TestDeadlineCrossesTheMesh: what is left of a call's time reaches the callee's application, and less of it the further it goes.
func TestDeadlineCrossesTheMesh(t *testing.T) {
	ca := operatetest.NewAuthority(t, "example.org")
	stock := start(t, "stock", ca.Identity("stock")+inbound(app(t)))
	orders := start(t, "orders", ca.Identity("orders")+fmt.Sprintf(
		"outbound: {listen: \"127.0.0.1:0\", timeout: 1m, upstreams: {stock: {endpoints: [{address: %q, identity: %q}]}}}\n",
		stock.inboundAt(), ca.ID("stock")))
	left := func(fields ...string) int {
		a := orders.call("stock", fields...)
		require.Equal(t, 200, a.StatusCode, a.body)
		n, err := strconv.Atoi(a.seen.Get("X-Mesh-Timeout"))
		require.NoError(t, err)
		return n
	}
	whole := left()
	require.LessOrEqual(t, whole, 60_000)
	require.Greater(t, whole, 30_000)
	require.LessOrEqual(t, left("X-Mesh-Timeout: 20000"), 20_000, "the application's own is sooner")
	require.LessOrEqual(t, left("X-Mesh-Timeout: 90000"), 60_000, "the sidecar's is")
	late := orders.call("stock", "X-Mesh-Timeout: 0")
	require.Equal(t, 504, late.StatusCode)
	require.Equal(t, "upstream_timeout", late.Header.Get("X-Mesh-Error"))
}

// TestInboundHonoursTheDeadline: the callee's sidecar gives up when its caller has, and so ends the application's work.
func TestInboundHonoursTheDeadline(t *testing.T) {
	ended := make(chan struct{})
	slow := application(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		close(ended)
	}))
	stock := start(t, "stock", "mtls: off\n"+inbound(slow))
	a, err := get(t, stock.inboundAt(), "stock", "X-Mesh-Timeout: 100")
	require.NoError(t, err)
	require.Equal(t, 504, a.StatusCode)
	require.Equal(t, "upstream_timeout", a.Header.Get("X-Mesh-Error"))
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		require.Fail(t, "the application still works on what nobody waits for")
	}
}

// TestRetriesHideWhatFails: every third answer of either replica is a 503, and no caller sees one; the metrics do.
func TestRetriesHideWhatFails(t *testing.T) {
	var count atomic.Int64
	flaky := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if count.Add(1)%3 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, "{}")
	})
	orders := start(t, "orders", fmt.Sprintf(`mtls: off
outbound:
  listen: "127.0.0.1:0"
  retry: {attempts: 2, codes: [503], backoff: 1ms, max_backoff: 1ms}
  upstreams:
    stock: {endpoints: [{address: %q}, {address: %q}], breaker: {mode: off}}
`, application(t, flaky), application(t, flaky)))
	for range 30 {
		require.Equal(t, 200, orders.call("stock").StatusCode)
	}
	orders.shows(`sidecar_retries_total{upstream="stock"} 1[0-9]`, `sidecar_upstream_attempts_total{result="answered",upstream="stock"} 4[0-9]`)
}
