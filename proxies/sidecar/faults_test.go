package sidecar

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/operate/operatetest"
)

// TestFaultsByNumber: the requests that a seed chooses are aborted, each time, and the others are not; dials and handshakes fail on
// request too. Without the section there is no stage of it.
func TestFaultsByNumber(t *testing.T) {
	ca := operatetest.NewAuthority(t, "example.org")
	stock := start(t, "stock", ca.Identity("stock")+inbound(app(t)))
	faulty := func(rules string) *running {
		return start(t, "orders", ca.Identity("orders")+fmt.Sprintf(
			"outbound: {listen: \"127.0.0.1:0\", upstreams: {stock: {endpoints: [{address: %q, identity: %q}], breaker: {mode: off}}}}\n%s",
			stock.inboundAt(), ca.ID("stock"), rules))
	}
	orders := faulty("faults: {seed: 3, number: X-Number, rules: [{direction: outbound, at: request, share: 40%, abort: 599}]}\n")
	run := func() (hit []int) {
		for n := range 30 {
			a := orders.call("stock", fmt.Sprintf("X-Number: %d", n))
			if a.StatusCode == 599 {
				require.Equal(t, "injected", a.Header.Get("X-Mesh-Error"))
				hit = append(hit, n)
				continue
			}
			require.Equal(t, http.StatusOK, a.StatusCode)
		}
		return hit
	}
	hit := run()
	require.Equal(t, hit, run())
	require.InDelta(t, 12, len(hit), 9)
	orders.shows(fmt.Sprintf(`sidecar_injected_faults_total{at="request",direction="outbound"} %d`, 2*len(hit)), `sidecar_stages_info.*outbound:[a-z_,]*faults`)

	dials := faulty("faults: {rules: [{direction: outbound, at: dial, reset: true}]}\n").call("stock")
	require.Equal(t, []any{503, "upstream_connect"}, []any{dials.StatusCode, dials.Header.Get("X-Mesh-Error")})
	shakes := faulty("faults: {rules: [{direction: outbound, at: handshake, reset: true}]}\n").call("stock")
	require.Equal(t, []any{502, "upstream_identity"}, []any{shakes.StatusCode, shakes.Header.Get("X-Mesh-Error")})
	well := faulty("")
	require.Equal(t, http.StatusOK, well.call("stock").StatusCode)
	for _, chain := range well.chains {
		require.NotContains(t, chain, "faults")
	}
}

// TestFaultsCutBodies: a response that is reset in the middle of its body never looks whole to the caller.
func TestFaultsCutBodies(t *testing.T) {
	long := application(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/chunked" {
			w.Header().Set("Content-Length", "100000")
		}
		fmt.Fprint(w, strings.Repeat("x", 100000))
	}))
	stock := start(t, "stock", "mtls: off\n"+inbound(long)+"faults: {rules: [{direction: inbound, at: response, reset: true}]}\n")
	_, err := get(t, stock.inboundAt(), "stock")
	require.Error(t, err, "half of what Content-Length promised")
	stock.shows(`sidecar_injected_faults_total{at="response",direction="inbound"} 1`)
}
