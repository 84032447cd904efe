package listen_test

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
	"crossroads/proxies/listen"
)

func TestViaIsAppended(t *testing.T) {
	o := newRecorder(t)
	defer o.Close()
	p := startProxy(t, o.Address, func(l *listen.Options, _ *exchange.Chain, _ *config.Upstream) { l.Via = "edge" })
	status, _ := dial(t, p.address).send("GET /t HTTP/1.1\r\nHost: gw.test\r\nVia: 1.0 far\r\nConnection: Via\r\n\r\n").receive()
	require.Equal(t, 200, status)
	require.Equal(t, []string{"1.0 far", "1.1 edge"}, o.Take()[0].All("Via"))
}

func TestAmbiguousPathsNeverReachARule(t *testing.T) {
	o := newRecorder(t)
	defer o.Close()
	p := startProxy(t, o.Address, nil)
	for _, path := range []string{"/a%2f..%2fadmin", "/a/..;/admin", "/%2e%2e/admin", "//admin", "/a%5c..%5cadmin", "/admin%00"} {
		c := dial(t, p.address).send("GET " + path + " HTTP/1.1\r\nHost: gw.test\r\n\r\n")
		status, body := c.receive()
		require.Equal(t, 400, status, path)
		require.NotContains(t, body, path, "a refusal shows no input")
	}
	require.Empty(t, o.Take())
}

func TestMaxForwards(t *testing.T) {
	o := newRecorder(t)
	defer o.Close()
	c := dial(t, startProxy(t, o.Address, nil).address)
	for range 2 {
		status, body := c.send("OPTIONS /t HTTP/1.1\r\nHost: gw.test\r\nMax-Forwards: 0\r\n\r\n").receive()
		require.Equal(t, 200, status)
		require.Empty(t, body)
	}
	require.Empty(t, o.Take())
	c.send("OPTIONS /t HTTP/1.1\r\nHost: gw.test\r\nMax-Forwards: 7\r\n\r\n").receive()
	c.send("GET /t HTTP/1.1\r\nHost: gw.test\r\nMax-Forwards: 7\r\n\r\n").receive()
	require.Equal(t, "6", o.Take()[0].Get("Max-Forwards"))
	require.Equal(t, "7", o.Take()[1].Get("Max-Forwards"), "of other methods it is nobody's")
}

func TestResponseFieldsPassUnchanged(t *testing.T) {
	p := startProxy(t, rawOrigin(t, "HTTP/1.1 299 Very Odd\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nSet-Cookie: a=b; Path=/\r\nSet-Cookie: c=d\r\n"+
		"Content-Encoding: gzip\r\nContent-Encoding: br\r\nServer: o\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nTrailer: X\r\nContent-Length: 2\r\n\r\nok"), nil)
	r := dial(t, p.address).send(get).head()
	require.Equal(t, "299 Very Odd", r.Status)
	require.Equal(t, []string{"Mon, 01 Jan 2024 00:00:00 GMT"}, r.Header["Date"])
	require.Equal(t, []string{"a=b; Path=/", "c=d"}, r.Header["Set-Cookie"])
	require.Equal(t, "gzip, br", r.Header.Get("Content-Encoding"))
	require.Equal(t, "o", r.Header.Get("Server"))
	for _, gone := range []string{"Connection", "X-Hop", "Keep-Alive", "Trailer"} {
		require.Empty(t, r.Header[gone], gone)
	}
}

// A request that a stage answers before its body was read: a small body is read off and the connection goes on, a large one ends
// it, and the answer arrives in both cases.
func TestUnreadRequestBodies(t *testing.T) {
	o := newRecorder(t)
	defer o.Close()
	p := startProxy(t, o.Address, func(_ *listen.Options, chain *exchange.Chain, _ *config.Upstream) {
		chain.Stages = []exchange.Stage{denyStage{}}
	})
	for _, framing := range []string{"Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"} {
		c := dial(t, p.address).send("POST /admin HTTP/1.1\r\nHost: gw.test\r\n" + framing + get)
		status, _ := c.receive()
		require.Equal(t, 403, status)
		status, _ = c.receive()
		require.Equal(t, 200, status)
	}
	for name, body := range map[string]string{
		"declared": "Content-Length: 10000000\r\n\r\n", "chunked": "Transfer-Encoding: chunked\r\n\r\n1000000\r\n",
	} {
		c := dial(t, p.address)
		go func() {
			_, _ = io.WriteString(c.conn, "POST /admin HTTP/1.1\r\nHost: gw.test\r\n"+body+strings.Repeat("x", 1<<20))
		}()
		r := c.head()
		require.Equal(t, 403, r.StatusCode, name)
		require.Equal(t, name == "declared", r.Close)
	}
}
