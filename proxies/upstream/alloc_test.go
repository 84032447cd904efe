//go:build !race

package upstream

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
)

// rawOrigin answers whatever it reads with the same bytes and allocates nothing per request.
func rawOrigin(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in, out := make([]byte, 8<<10), []byte(ok)
				for {
					if n, err := c.Read(in); err != nil || n == 0 {
						return
					}
					if _, err := c.Write(out); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// features are upstreams and routes from plain to everything on.
func features() []struct {
	name  string
	up    config.Upstream
	route exchange.Route
} {
	var all config.Upstream
	all.SetDefaults()
	all.Breaker.Mode, all.Breaker.SlowCall = config.On, 1_000_000_000
	all.Balance = "peak_ewma"
	all.Limits = config.Limits{Requests: 10, RequestsPerEndpoint: 10, Connections: 10, Pending: 10, Retries: 10}
	hash := all
	hash.Balance, hash.HashBy = "hash", []string{"header:X-User", "address"}
	plain := config.Upstream{}
	plain.SetDefaults()
	plain.Breaker.Mode = config.Off
	terms := exchange.Route{Timeout: time.Minute, PerTry: time.Second, CarryDeadline: true,
		Retry: exchange.Retry{Attempts: 3, On: []int{502, 503}, Backoff: ms, MaxBackoff: ms}}
	return []struct {
		name  string
		up    config.Upstream
		route exchange.Route
	}{{"plain", plain, exchange.Route{}}, {"everything", all, terms}, {"hash", hash, terms}}
}

// exchanges returns a function that takes one exchange to the upstream and back.
func exchanges(t testing.TB, c config.Upstream, route *exchange.Route) func() {
	t.Helper()
	for range 3 {
		c.Endpoints = append(c.Endpoints, config.Endpoint{Address: rawOrigin(t), Weight: 1})
	}
	u, err := New(Options{Name: "up", Config: c})
	require.NoError(t, err)
	t.Cleanup(u.Close)
	x := newExchange("GET", route)
	x.Peer.Client = netip.MustParseAddr("192.0.2.1")
	body := make([]byte, 64)
	return func() {
		x.Start, x.Deadline, x.Attempts, x.ResponseBody = time.Now(), time.Time{}, 0, nil
		x.Response.Reset()
		x.Request.Header.DelBytes(deadlineField)
		if u.Forward(x) != exchange.Continue {
			t.Fatal(x.Fault)
		}
		for x.ResponseBody != nil {
			if _, err := x.ResponseBody.Read(body); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		x.Release()
	}
}

func TestForwardAllocatesNothing(t *testing.T) {
	for _, f := range features() {
		run := exchanges(t, f.up, &f.route)
		for range 50 {
			run()
		}
		require.Zero(t, testing.AllocsPerRun(1000, run), f.name)
	}
}

// BenchmarkForward is one exchange over loopback, origin included: compare the lines with each other.
func BenchmarkForward(b *testing.B) {
	for _, f := range features() {
		b.Run(f.name, func(b *testing.B) {
			run := exchanges(b, f.up, &f.route)
			b.ReportAllocs()
			for b.Loop() {
				run()
			}
		})
	}
}
