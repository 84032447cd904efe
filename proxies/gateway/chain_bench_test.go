package gateway

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
	"crossroads/proxies/stage/stagetest"
)

// chainOf is the chain that a file comes to, in front of an upstream that answers at once: nothing of the network is in it.
func chainOf(tb testing.TB, text string) *exchange.Chain {
	tb.Helper()
	c, err := config.ParseGateway("gateway.yaml", []byte(head+upstreams("127.0.0.1:1")+text))
	require.NoError(tb, err)
	g, err := New(context.Background(), c, Options{Stdout: io.Discard, Stderr: io.Discard, Log: slog.New(slog.DiscardHandler)})
	require.NoError(tb, err)
	tb.Cleanup(g.close)
	chain := g.current.Load().chain
	chain.Forward = &stagetest.Upstream{}
	return &chain
}

// passing sends one request through a chain.
func passing(chain *exchange.Chain, r stagetest.Request, x *exchange.Exchange) {
	r.At = time.Now()
	r.Fill(x)
	chain.Serve(x)
	chain.Finish(x, exchange.Complete)
}

var benched = stagetest.Request{Target: "/api/v7/items/3", Fields: []string{"X-Api-Key: demo", "Accept: */*", "User-Agent: bench"}}

// TestChainsDoNotAllocate: neither the plain one nor one that authenticates and limits. The race detector makes pools forget.
func TestChainsDoNotAllocate(t *testing.T) {
	for name, text := range map[string]string{"plain": "", "key_auth+rate_limit": withAuth + withLimit} {
		chain, x := chainOf(t, everything+text), benched.Exchange()
		fill := testing.AllocsPerRun(200, func() { benched.Fill(x) })
		all := testing.AllocsPerRun(200, func() { passing(chain, benched, x) })
		require.Equal(t, 200, x.Response.StatusCode(), name)
		require.LessOrEqual(t, all-fill, allocationBound-1, name)
	}
}

// BenchmarkChain is a request's way through the stages alone. What stages cost is the difference to plain: all lines make the same
// request, which "request alone" says the cost of.
func BenchmarkChain(b *testing.B) {
	b.Run("request alone", func(b *testing.B) {
		x := benched.Exchange()
		b.ReportAllocs()
		for b.Loop() {
			benched.Fill(x)
		}
	})
	for _, f := range features[:3] {
		b.Run(f.name, func(b *testing.B) {
			chain, x := chainOf(b, everything+f.text), benched.Exchange()
			b.ReportAllocs()
			for b.Loop() {
				passing(chain, benched, x)
			}
			require.Equal(b, 200, x.Response.StatusCode())
		})
	}
}

// manyRoutes writes a file of n routes; the request of the benchmark is for the last.
func manyRoutes(n int) string {
	var s strings.Builder
	s.WriteString("routes:\n")
	for i := range n - 1 {
		fmt.Fprintf(&s, "  - {name: r%d, hosts: [h%d.example.com], match: [{path: {prefix: /api/v%d/items}}], backends: [{upstream: u0}]}\n", i, i%100, i)
	}
	s.WriteString("  - {name: last, hosts: [example.com], match: [{path: {prefix: /api/v7/items}}], backends: [{upstream: u0}]}\n")
	return s.String()
}

// BenchmarkRoutes is what a request costs by the number of routes: through the stages alone, where a nanosecond shows, and through the
// whole gateway, client and origin included.
func BenchmarkRoutes(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("chain/routes=%d", n), func(b *testing.B) {
			chain, x := chainOf(b, manyRoutes(n)), benched.Exchange()
			b.ReportAllocs()
			for b.Loop() {
				passing(chain, benched, x)
			}
			require.Equal(b, "last", x.Route.Name)
		})
	}
	for _, n := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("gateway/routes=%d", n), func(b *testing.B) {
			c := routed(b, manyRoutes(n))
			c.request = []byte("GET /api/v7/items/3 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")
			b.ReportAllocs()
			before := processCPU()
			for b.Loop() {
				c.call(b)
			}
			b.ReportMetric(float64(processCPU()-before)/float64(b.N), "cpu-ns/op")
		})
	}
}
