package upstream

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
)

// TestOneProbeAmongMany: whoever comes at the end of a pause, one is let through.
func TestOneProbeAmongMany(t *testing.T) {
	now := t0
	u, err := New(Options{Name: "up", Now: func() time.Time { return now }, Config: config.Upstream{
		Endpoints: []config.Endpoint{{Address: "a"}}, Breaker: config.Breaker{ConsecutiveFailures: 1}}})
	require.NoError(t, err)
	t.Cleanup(u.Close)
	e := u.fleet.Load().endpoints[0]
	generation, _ := e.admit(now)
	e.settle(generation, failure, 0)
	for range 20 {
		now = now.Add(2 * time.Minute)
		var admitted atomic.Int64
		var probe atomic.Uint64
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				if g, ok := e.admit(now); ok {
					admitted.Add(1)
					probe.Store(g)
				}
			})
		}
		all.Wait()
		require.EqualValues(t, 1, admitted.Load())
		require.EqualValues(t, 1, e.inFlight.Load())
		e.settle(probe.Load(), failure, 0)
	}
}

// TestEverythingAtOnce runs all features of an upstream under load while endpoints come and go: in the end nothing is left behind,
// neither a place in a gate, nor a retry, nor a connection.
func TestEverythingAtOnce(t *testing.T) {
	var count atomic.Int64
	flaky := func(c net.Conn, r *http.Request) bool {
		switch count.Add(1) % 7 {
		case 0:
			return say(unavailable)(c, r)
		case 1:
			return false
		case 2:
			return say(limited)(c, r)
		}
		return say(ok)(c, r)
	}
	for _, balance := range []string{"round_robin", "peak_ewma", "hash"} {
		a, b, d := startOrigin(t, flaky), startOrigin(t, flaky), startOrigin(t, flaky)
		var c config.Upstream
		c.SetDefaults()
		c.Balance, c.HashBy, c.Health = balance, []string{"header:X-User"}, often(2, 1)
		c.Breaker.Mode, c.Breaker.Open = config.On, 5_000_000
		c.Limits = config.Limits{Requests: 12, RequestsPerEndpoint: 6, Connections: 10, Pending: 4, Retries: 3}
		u, h := listening(t, c, a.address, b.address, d.address)
		var all sync.WaitGroup
		statuses := make([]map[int]int, 16)
		for i := range statuses {
			statuses[i] = map[int]int{}
			all.Go(func() {
				for range 100 {
					status, _, _ := forward(t, u, "GET", retrying(3, 503))
					statuses[i][status]++
				}
			})
		}
		for i := range 20 {
			list := []config.Endpoint{{Address: a.address}, {Address: b.address, Weight: 1 + i%3}}
			if i%2 == 0 {
				list = append(list, config.Endpoint{Address: d.address})
			}
			u.Update(list)
			time.Sleep(time.Millisecond)
		}
		all.Wait()
		total := 0
		for _, s := range statuses {
			total += s[200]
		}
		require.NotZero(t, total)
		require.NotZero(t, h.of("retried"))
		u.Close()
		require.Zero(t, u.bulkhead.requests.n.Load())
		require.Zero(t, u.bulkhead.pending.n.Load())
		require.Zero(t, u.bulkhead.retries.n.Load())
		require.Zero(t, u.bulkhead.connections.n.Load())
		require.Zero(t, u.budget.flying.Load())
		for _, e := range u.Endpoints() {
			require.Zero(t, e.InFlight)
			require.Zero(t, e.Open)
		}
	}
}
