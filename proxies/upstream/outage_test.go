package upstream

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/config/units"
	"crossroads/proxies/exchange"
)

// These hold what the corpus of faults (faults.jsonl) expects of an upstream whose endpoints fail.

// TestRefusedIsSafeForEveryMethod: up-refuse. The request was not sent, so another endpoint may have it, whatever it is, with its body
// whole, and no attempt of a retry is spent.
func TestRefusedIsSafeForEveryMethod(t *testing.T) {
	lengths := make(chan int, 1)
	o := startOrigin(t, func(c net.Conn, r *http.Request) bool {
		data, _ := io.ReadAll(r.Body)
		lengths <- len(data)
		return say("HTTP/1.1 204 No Content\r\n\r\n")(c, r)
	})
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		for _, size := range []int{0, 10, 200 << 10} {
			u := start(t, config.Upstream{}, deadAddress(t), deadAddress(t), o.address)
			for range 2 { // round robin begins anywhere
				x := newExchange(method, nil)
				if size > 0 {
					x.RequestBody = incomingBody(t, size)
					x.Request.Header.SetContentLength(size)
				}
				require.Equal(t, exchange.Continue, u.Forward(x), "%s with %d bytes: %v", method, size, x.Fault)
				x.Release()
				require.Equal(t, size, <-lengths, "%s arrives whole", method)
			}
		}
	}
}

// TestAllDownIsTold: up-all-down. Where every endpoint refuses, the caller hears so with each of them tried once at most and nothing left
// waiting; the first request after one is back is served. One endpoint of a fleet always stays out of the breakers' reach, so what is
// told is 503 upstream_connect; an endpoint alone trips, and it is 503 breaker_open.
func TestAllDownIsTold(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	back := l.Addr().String()
	require.NoError(t, l.Close())
	breaker := config.Breaker{Mode: config.On, ConsecutiveFailures: 3, Open: units.Duration(50 * time.Millisecond), MaxOpen: units.Duration(50 * time.Millisecond)}
	for _, c := range []struct {
		addresses []string
		status    int
		reason    string
	}{{[]string{deadAddress(t), back}, 503, "upstream_connect"}, {[]string{back}, 503, "breaker_open"}} {
		u := start(t, config.Upstream{Breaker: breaker}, c.addresses...)
		told := 0
		for range 30 {
			x := newExchange("GET", nil)
			require.Equal(t, exchange.Failed, u.Forward(x))
			require.LessOrEqual(t, int(x.Attempts), len(c.addresses))
			if x.Fault.Reason == c.reason {
				require.Equal(t, c.status, x.Fault.Status)
				told++
			}
			x.Release()
		}
		require.Positive(t, told)
		for _, e := range u.Endpoints() {
			require.Zero(t, e.InFlight)
			require.Zero(t, e.Open)
		}
		l, err := net.Listen("tcp", back)
		require.NoError(t, err)
		server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
		go func() { _ = server.Serve(l) }()
		require.Eventually(t, func() bool { status, _, _ := forward(t, u, "GET", nil); return status == 200 }, 20*time.Second, 5*time.Millisecond)
		require.NoError(t, server.Close())
	}
}

// TestHalfClosedOriginIsTruncated: up-half-close. An origin that ends its side in the middle of a body and goes on reading has cut the
// body; the upload that it would still read is stopped, and the connection is not kept.
func TestHalfClosedOriginIsTruncated(t *testing.T) {
	ended := make(chan struct{})
	o := startOrigin(t, func(c net.Conn, _ *http.Request) bool {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, c) // until the other side closes
		close(ended)
		return false
	})
	u := start(t, config.Upstream{}, o.address)
	_, body, reason := forward(t, u, "GET", nil)
	require.Equal(t, "hello", body)
	require.Equal(t, io.ErrUnexpectedEOF.Error(), reason)
	require.Zero(t, u.Endpoints()[0].Open)
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		require.Fail(t, "the connection is still open")
	}
}
