package listen_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
	"crossroads/proxies/listen"
	"crossroads/proxies/upstream"
)

// proxy is a server that forwards everything to one upstream.
type proxy struct {
	address string
	server  *listen.Server
	up      *upstream.Upstream
}

// startProxy forwards through a chain without stages; adjust may be nil.
func startProxy(t testing.TB, origin string, adjust func(*listen.Options, *exchange.Chain, *config.Upstream)) *proxy {
	t.Helper()
	c := config.Upstream{Endpoints: []config.Endpoint{{Address: origin}}}
	chain := &exchange.Chain{}
	o := listen.Options{Service: chain}
	if adjust != nil {
		adjust(&o, chain, &c)
	}
	up, err := upstream.New(upstream.Options{Name: "origin", Config: c})
	require.NoError(t, err)
	if chain.Forward == nil {
		chain.Forward = up
	}
	p := &proxy{server: listen.New(o), up: up}
	l, err := listen.Listen("127.0.0.1:0")
	require.NoError(t, err)
	p.address = l.Addr().String()
	served := make(chan struct{})
	go func() { defer close(served); _ = p.server.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = p.server.Shutdown(ctx)
		up.Close()
		<-served
	})
	return p
}

// rawOrigin answers every request that ends in an empty line with the same bytes, and allocates nothing per request.
func rawOrigin(t testing.TB, response string) string {
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
				in, out := make([]byte, 8<<10), []byte(response)
				for {
					n, err := c.Read(in)
					if err != nil || n == 0 {
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

func TestForwardsPlainRequests(t *testing.T) {
	p := startProxy(t, rawOrigin(t, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\n\r\nhello"), nil)
	for range 3 {
		resp, err := http.Get("http://" + p.address + "/a?b=c")
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, 200, resp.StatusCode)
		require.Equal(t, "hello", string(body))
		require.Equal(t, "1", resp.Header.Get("X-A"))
		require.NotEmpty(t, resp.Header.Get("Date"))
	}
	// The last one is settled just after its client has it whole.
	require.Eventually(t, func() bool { return p.up.Endpoints()[0].Served == 3 }, 10*time.Second, time.Millisecond)
	require.Equal(t, 1, p.up.Endpoints()[0].Open)
}

// BenchmarkPlainForward is one keep-alive GET through listen and upstream over loopback. Client and origin allocate nothing, so
// that what is counted is the proxy's.
func BenchmarkPlainForward(b *testing.B) { forwardPlain(b, nil) }

// BenchmarkTimedForward is the same where a ledger can be asked for: what timing the downstream sockets costs every request.
func BenchmarkTimedForward(b *testing.B) {
	forwardPlain(b, func(o *listen.Options, _ *exchange.Chain, _ *config.Upstream) { o.Timed = true })
}

func forwardPlain(b *testing.B, adjust func(*listen.Options, *exchange.Chain, *config.Upstream)) {
	p := startProxy(b, rawOrigin(b, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\nServer: origin\r\n\r\nhello"), adjust)
	c, err := net.Dial("tcp", p.address)
	require.NoError(b, err)
	defer c.Close()
	request := []byte("GET /orders?id=7 HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: bench\r\nAccept: */*\r\nX-Api-Key: demo\r\n\r\n")
	r := bufio.NewReader(c)
	want := 0
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := c.Write(request); err != nil {
			b.Fatal(err)
		}
		if i == 0 {
			_, err := r.Peek(1)
			require.NoError(b, err)
			want = r.Buffered()
		}
		if _, err := r.Discard(want); err != nil {
			b.Fatal(err)
		}
	}
	runtime.KeepAlive(p)
}
