package upstream

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/config/units"
	"crossroads/proxies/exchange"
)

func TestGateAdmitsExactlyItsLimit(t *testing.T) {
	g := gate{limit: 10}
	var inside, most, refused atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 2000 {
				if !g.take() {
					refused.Add(1)
					continue
				}
				n := inside.Add(1)
				for {
					was := most.Load()
					if n <= was || most.CompareAndSwap(was, n) {
						break
					}
				}
				inside.Add(-1)
				g.give()
			}
		})
	}
	all.Wait()
	require.LessOrEqual(t, most.Load(), int64(10))
	require.Zero(t, g.n.Load())
	none := gate{}
	for range 100 {
		require.True(t, none.take())
	}
}

// heard is an observer that keeps what it heard, and counts it.
type heard struct {
	mu     sync.Mutex
	counts map[string]int
}

func (h *heard) count(word string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.counts == nil {
		h.counts = map[string]int{}
	}
	h.counts[word]++
}

func (h *heard) of(word string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.counts[word]
}

func (h *heard) Attempt(_, result string)         { h.count("attempt " + result) }
func (h *heard) Retried(string)                   { h.count("retried") }
func (h *heard) RetryRefused(string)              { h.count("retry refused") }
func (h *heard) Refused(_, limit string)          { h.count("refused " + limit) }
func (h *heard) Checked(_, result string)         { h.count("check " + result) }
func (h *heard) BreakerChange(_, _, state string) { h.count("breaker " + state) }
func (h *heard) Connect(string, time.Duration)    { h.count("connect") }

// listening is start with an observer.
func listening(t testing.TB, c config.Upstream, addresses ...string) (*Upstream, *heard) {
	t.Helper()
	for _, a := range addresses {
		c.Endpoints = append(c.Endpoints, config.Endpoint{Address: a})
	}
	h := &heard{}
	u, err := New(Options{Name: "up", Config: c, Observer: h})
	require.NoError(t, err)
	t.Cleanup(u.Close)
	return u, h
}

const large = "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n"

// hold begins an exchange whose response is not read: it stays in flight until it is released.
func hold(t *testing.T, u *Upstream) *exchange.Exchange {
	t.Helper()
	x := newExchange("GET", nil)
	require.Equal(t, exchange.Continue, u.Forward(x))
	return x
}

func TestFullGatesRefuseAtOnceAndSayWhich(t *testing.T) {
	for _, c := range []struct {
		limits config.Limits
		limit  string
		detail string
	}{
		{config.Limits{Requests: 2}, "requests", "the upstream has as many requests in flight as it may have"},
		{config.Limits{RequestsPerEndpoint: 1}, "endpoint_requests", "every endpoint has as many requests in flight as it may have"},
		{config.Limits{Connections: 2}, "connections", "the upstream has as many connections as it may have"},
	} {
		t.Run(c.limit, func(t *testing.T) {
			a, b := startOrigin(t, say(large)), startOrigin(t, say(large))
			u, h := listening(t, config.Upstream{Limits: c.limits}, a.address, b.address)
			first, second := hold(t, u), hold(t, u)
			x := newExchange("GET", &exchange.Route{Retry: exchange.Retry{Attempts: 3}})
			require.Equal(t, exchange.Failed, u.Forward(x))
			require.Equal(t, 503, x.Fault.Status)
			require.Equal(t, "overloaded", x.Fault.Reason)
			require.Equal(t, c.detail, x.Fault.Detail)
			require.Equal(t, 1, h.of("refused "+c.limit))
			require.Zero(t, h.of("retried"), "a full gate is no reason to try again")
			for _, e := range u.Endpoints() {
				require.Zero(t, e.Failed, "and says nothing about an endpoint")
			}
			first.Release()
			hold(t, u).Release()
			second.Release()
			for _, e := range u.Endpoints() {
				require.Zero(t, e.InFlight)
			}
			require.Zero(t, u.bulkhead.requests.n.Load())
		})
	}
}

func TestAnEndpointWithoutRoomLeavesItToOthers(t *testing.T) {
	for name, c := range map[string]config.Upstream{
		"requests": {Limits: config.Limits{RequestsPerEndpoint: 2}}, "connections": {MaxConns: 2},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := startOrigin(t, say(large)), startOrigin(t, say(large))
			u, _ := listening(t, c, a.address, b.address)
			var held []*exchange.Exchange
			for range 3 {
				held = append(held, hold(t, u))
			}
			held[1].Release() // now one endpoint has two, the other none
			fourth, fifth := hold(t, u), hold(t, u)
			for _, e := range u.Endpoints() {
				require.EqualValues(t, 2, e.InFlight)
			}
			require.Equal(t, 1, fourth.Attempts, "what had no room was not asked")
			for _, x := range append(held, fourth, fifth) {
				x.Release()
			}
		})
	}
}

func TestALoneEndpointWithoutRoomIsNotWaitedFor(t *testing.T) {
	o := startOrigin(t, say(large))
	u, _ := listening(t, config.Upstream{MaxConns: 1}, o.address)
	x := hold(t, u)
	status, _, reason := forward(t, u, "GET", retrying(5, 503))
	require.Equal(t, 503, status)
	require.Equal(t, "overloaded", reason)
	x.Release()
}

func TestIdleConnectionsGiveWayToThoseNeeded(t *testing.T) {
	a, b := startOrigin(t, say(ok)), startOrigin(t, say(ok))
	u, h := listening(t, config.Upstream{Limits: config.Limits{Connections: 1}}, a.address, b.address)
	for range 4 {
		status, _, _ := forward(t, u, "GET", nil)
		require.Equal(t, 200, status)
	}
	require.Zero(t, h.of("refused connections"))
	require.EqualValues(t, 1, u.bulkhead.connections.n.Load())
	u.Close()
	require.Zero(t, u.bulkhead.connections.n.Load())
}

func insecure(config.Endpoint) *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

func TestPendingLimit(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts in the kernel, and never speaks TLS
	require.NoError(t, err)
	defer l.Close()
	u, err := New(Options{Name: "up", TLS: insecure, Config: config.Upstream{Connect: units.Duration(time.Minute),
		Limits: config.Limits{Pending: 1}, Endpoints: []config.Endpoint{{Address: l.Addr().String()}}}})
	require.NoError(t, err)
	defer u.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		x := newExchange("GET", nil)
		u.Forward(x)
		x.Release()
	}()
	c, err := l.Accept()
	require.NoError(t, err)
	x := newExchange("GET", nil)
	require.Equal(t, exchange.Failed, u.Forward(x))
	require.Same(t, fullPending, x.Fault)
	require.NoError(t, c.Close())
	<-ended
	require.Zero(t, u.bulkhead.pending.n.Load())
	require.Zero(t, u.Endpoints()[0].Open)
}

func TestRetriesHaveALimitOfTheirOwn(t *testing.T) {
	release := make(chan struct{})
	slow := startOrigin(t, func(c net.Conn, r *http.Request) bool {
		<-release
		return say(ok)(c, r)
	})
	bad := startOrigin(t, say("HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n"))
	worse := startOrigin(t, say("HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n"))
	u, h := listening(t, config.Upstream{Limits: config.Limits{Retries: 1}}, bad.address, slow.address)
	terms := &exchange.Route{Retry: exchange.Retry{Attempts: 2, On: []int{502}}}
	ended := make(chan int)
	go func() {
		status, _, _ := forward(t, u, "GET", terms) // bad, then slow
		ended <- status
	}()
	require.Eventually(t, func() bool { return slow.requests.Load() == 1 }, 5*time.Second, time.Millisecond)
	u.Update([]config.Endpoint{{Address: bad.address}, {Address: worse.address}})
	status, _, _ := forward(t, u, "GET", terms)
	require.Equal(t, 502, status, "the answer as it is")
	require.Equal(t, 1, h.of("refused retries"))
	close(release)
	require.Equal(t, 200, <-ended)
	require.Zero(t, u.bulkhead.retries.n.Load())
	require.Zero(t, u.budget.flying.Load())
}

func BenchmarkGate(b *testing.B) {
	g := gate{limit: 10}
	b.ReportAllocs()
	for b.Loop() {
		if g.take() {
			g.give()
		}
	}
}
