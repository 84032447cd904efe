package gateway

import (
	"context"
	"fmt"
	"io"
	"log/slog"
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
	return chainBy(tb, c)
}

func chainBy(tb testing.TB, c *config.Gateway) *exchange.Chain {
	tb.Helper()
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

// manyRoutes is a configuration of n routes; the request of the benchmark is for the last. It is made and not read: a file may hold no
// more than strict.MaxNodes values, which is some 5,000 such routes.
func manyRoutes(tb testing.TB, n int) *config.Gateway {
	tb.Helper()
	c, err := config.ParseGateway("gateway.yaml", []byte(head+upstreams("127.0.0.1:1")+
		"routes: [{name: last, hosts: [example.com], match: [{path: {prefix: /api/v7/items}}], backends: [{upstream: u0}]}]\n"))
	require.NoError(tb, err)
	for i := range n - 1 {
		r := c.Routes[0]
		r.Name, r.Hosts = fmt.Sprintf("r%d", i), []string{fmt.Sprintf("h%d.example.com", i%100)}
		r.Match = []config.Match{{Path: config.PathMatch{Prefix: fmt.Sprintf("/api/v%d/items", i)}}}
		c.Routes = append(c.Routes, r)
	}
	return c
}

// BenchmarkRoutes is what a request costs in the stages by the number of routes; BenchmarkForwarding has the whole of a request.
func BenchmarkRoutes(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("routes=%d", n), func(b *testing.B) {
			chain, x := chainBy(b, manyRoutes(b, n)), benched.Exchange()
			b.ReportAllocs()
			for b.Loop() {
				passing(chain, benched, x)
			}
			require.Equal(b, "last", x.Route.Name)
		})
	}
}
