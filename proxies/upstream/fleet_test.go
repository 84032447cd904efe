package upstream

import (
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/config/units"
	"crossroads/proxies/exchange"
)

func TestNoEndpointAndAllOpen(t *testing.T) {
	u := start(t, config.Upstream{})
	status, _, reason := forward(t, u, "GET", nil)
	require.Equal(t, 503, status)
	require.Equal(t, "no_endpoint", reason)

	o := startOrigin(t, say("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"))
	u = start(t, config.Upstream{Breaker: config.Breaker{ConsecutiveFailures: 3, Open: units.Duration(time.Minute)}}, o.address)
	for range 3 {
		status, _, _ = forward(t, u, "GET", nil)
		require.Equal(t, 500, status)
	}
	status, _, reason = forward(t, u, "GET", nil)
	require.Equal(t, 503, status)
	require.Equal(t, "breaker_open", reason)
	require.EqualValues(t, 3, o.requests.Load())
	require.Equal(t, "open", u.Endpoints()[0].Breaker)
	require.False(t, u.Endpoints()[0].Ready)
}

func TestBreakerClosesAfterOneGoodProbe(t *testing.T) {
	var sick atomic.Bool
	sick.Store(true)
	o := startOrigin(t, func(c net.Conn, r *http.Request) bool {
		if sick.Load() {
			return say("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")(c, r)
		}
		return say(ok)(c, r)
	})
	now := time.Unix(1000, 0)
	u, err := New(Options{Name: "up", Now: func() time.Time { return now }, Config: config.Upstream{
		Endpoints: []config.Endpoint{{Address: o.address}}, Breaker: config.Breaker{ConsecutiveFailures: 2},
	}})
	require.NoError(t, err)
	t.Cleanup(u.Close)
	forward(t, u, "GET", nil)
	forward(t, u, "GET", nil)
	require.Equal(t, "open", u.Endpoints()[0].Breaker)
	sick.Store(false)
	now = now.Add(2 * time.Second)
	probe := newExchange("GET", nil)
	require.Equal(t, exchange.Continue, u.Forward(probe))
	require.Equal(t, "half_open", u.Endpoints()[0].Breaker, "the verdict comes with the end of the body")
	_, _, reason := forward(t, u, "GET", nil)
	require.Equal(t, "breaker_open", reason, "one probe at a time")
	_, err = io.ReadAll(probe.ResponseBody)
	require.NoError(t, err)
	probe.Release()
	require.Equal(t, "closed", u.Endpoints()[0].Breaker)
}

func TestFleetIsNeverEjectedWhole(t *testing.T) {
	bad := say("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
	a, b := startOrigin(t, bad), startOrigin(t, bad)
	u := start(t, config.Upstream{Breaker: config.Breaker{ConsecutiveFailures: 2}}, a.address, b.address)
	for range 20 {
		status, _, _ := forward(t, u, "GET", nil)
		require.Equal(t, 500, status, "the last one stays in the choice")
	}
	out := 0
	for _, e := range u.Endpoints() {
		if e.Breaker == "open" {
			out++
		}
	}
	require.Equal(t, 1, out)
}

// TestFleetGuardProperties opens breakers of fleets of every size in any order: at least one can be out, and never all of several.
func TestFleetGuardProperties(t *testing.T) {
	for n := 1; n <= 40; n++ {
		for _, share := range []float64{0.01, 0.1, 0.5, 0.9, 1} {
			may := mayEject(n, share)
			require.GreaterOrEqual(t, may, 1)
			if n > 1 {
				require.Less(t, may, n)
				require.LessOrEqual(t, may, max(1, int(share*float64(n))))
			}
			u := &Upstream{observer: silent{}, now: time.Now, maxEjected: share, random: rand.New(rand.NewPCG(1, uint64(n)))}
			f := &fleet{}
			for range n {
				e := newEndpoint(u, config.Endpoint{Address: "a"})
				e.breaker.threshold = 1
				f.endpoints = append(f.endpoints, e)
			}
			u.fleet.Store(f)
			out := 0
			for _, i := range u.random.Perm(n) {
				e := f.endpoints[i]
				g, ok := e.admit(u.now())
				require.True(t, ok)
				e.settle(g, failure, 0)
				if e.tripped.Load() {
					out++
				}
			}
			require.Equal(t, may, out)
		}
	}
}

func TestWhatHealthChecksHoldForDownCountsForTheGuard(t *testing.T) {
	o, p := startOrigin(t, say("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")), startOrigin(t, say(ok))
	u := start(t, config.Upstream{Breaker: config.Breaker{ConsecutiveFailures: 1}}, o.address, p.address)
	u.fleet.Load().endpoints[1].down.Store(true)
	for range 3 {
		status, _, _ := forward(t, u, "GET", nil)
		require.Equal(t, 500, status, "the other one is down already")
	}
	require.Equal(t, "closed", u.Endpoints()[0].Breaker)
}

func TestShadowBreakerNeverActs(t *testing.T) {
	o := startOrigin(t, say("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"))
	u, h := listening(t, config.Upstream{Breaker: config.Breaker{Mode: config.Shadow, ConsecutiveFailures: 3}}, o.address)
	for range 7 {
		status, _, _ := forward(t, u, "GET", nil)
		require.Equal(t, 500, status)
	}
	require.Equal(t, 2, h.of("breaker would_open"))
	require.True(t, u.Endpoints()[0].Ready)
}
