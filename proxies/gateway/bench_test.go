package gateway

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
)

// bareOrigin answers every request head with the same response, and does nothing else.
func bareOrigin(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	tb.Cleanup(func() { l.Close() })
	response := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok")
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buffer := make([]byte, 8<<10)
				for {
					n, err := c.Read(buffer)
					if err != nil {
						return
					}
					if bytes.HasSuffix(buffer[:n], []byte("\r\n\r\n")) {
						if _, err := c.Write(response); err != nil {
							return
						}
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// caller sends one request over and over on one connection.
type caller struct {
	conn    net.Conn
	request []byte
	buffer  []byte
}

func (c *caller) call(tb testing.TB) {
	if _, err := c.conn.Write(c.request); err != nil {
		tb.Fatal(err)
	}
	n, err := c.conn.Read(c.buffer)
	if err != nil || !bytes.HasPrefix(c.buffer[:n], []byte("HTTP/1.1 200")) {
		tb.Fatalf("%v: %s", err, c.buffer[:n])
	}
}

func serving(tb testing.TB, text string) *caller {
	tb.Helper()
	return routed(tb, everything+text)
}

// routed is a client of a gateway with its own routes to a bare origin.
func routed(tb testing.TB, text string) *caller {
	tb.Helper()
	c, err := config.ParseGateway("gateway.yaml", []byte(head+upstreams(bareOrigin(tb))+text))
	require.NoError(tb, err)
	ctx, stop := context.WithCancel(context.Background())
	g, err := New(ctx, c, Options{Stdout: io.Discard, Stderr: io.Discard, Log: slog.New(slog.DiscardHandler)})
	require.NoError(tb, err)
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx, context.Background()) }()
	tb.Cleanup(func() { stop(); <-ended })
	return dialed(tb, g.Addresses()[0].String())
}

func dialed(tb testing.TB, address string) *caller {
	tb.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(tb, err)
	tb.Cleanup(func() { conn.Close() })
	return &caller{conn, []byte("GET /a/b HTTP/1.1\r\nHost: example.com\r\nUser-Agent: bench\r\nAccept: */*\r\nX-Api-Key: demo\r\n\r\n"), make([]byte, 4<<10)}
}

const (
	withAuth  = "stages:\n  key_auth: {keys: [{consumer: demo, sha256: 2a97516c354b68848cdbd8f54a226a0a55b21ed138e207ad6c5cbb9c00aa5aea}]}\n"
	withLimit = "  rate_limit: {policies: [{name: p, rate: 1M, burst: 1M}]}\n"
	withLog   = "log: {access: stdout}\n"
)

var features = []struct{ name, text string }{
	{"plain", ""}, {"key_auth", withAuth}, {"key_auth+rate_limit", withAuth + withLimit}, {"all+log", withAuth + withLimit + withLog},
}

// The plain path allocates nothing, features little: what a request costs must not end up with the garbage collector. The race
// detector makes pools forget on purpose, so the bound is not zero under it.
func TestForwardingDoesNotAllocate(t *testing.T) {
	for _, f := range features {
		t.Run(f.name, func(t *testing.T) {
			c := serving(t, f.text)
			for range 100 {
				c.call(t)
			}
			require.Less(t, testing.AllocsPerRun(500, func() { c.call(t) }), allocationBound)
		})
	}
}

// Each operation is one request on one connection, client and origin included: compare the lines with each other.
func BenchmarkForwarding(b *testing.B) {
	for _, f := range features {
		b.Run(f.name, func(b *testing.B) {
			c := serving(b, f.text)
			b.ReportAllocs()
			before := processCPU()
			for b.Loop() {
				c.call(b)
			}
			b.ReportMetric(float64(processCPU()-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// processCPU is the CPU time that this process has used.
func processCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
