package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/exchange"
)

// The traps of fasthttp 1.77, whose Server and clients would have set each: one test for each, against a whole gateway and over
// sockets. The packages below have closer tests of the same.

// wired is a client that sends bytes and reads responses.
type wired struct {
	t    *testing.T
	conn *net.TCPConn
	in   *bufio.Reader
}

func (r *running) dial() *wired {
	r.t.Helper()
	c, err := net.Dial("tcp", r.Addresses()[0].String())
	require.NoError(r.t, err)
	r.t.Cleanup(func() { c.Close() })
	require.NoError(r.t, c.SetDeadline(time.Now().Add(time.Minute)))
	return &wired{r.t, c.(*net.TCPConn), bufio.NewReader(c)}
}

func (c *wired) send(text string) *wired {
	c.t.Helper()
	_, err := io.WriteString(c.conn, text)
	require.NoError(c.t, err)
	return c
}

// receive reads a response; err says that its body is broken.
func (c *wired) receive() (status int, body string, err error) {
	c.t.Helper()
	resp, err := http.ReadResponse(c.in, nil)
	require.NoError(c.t, err)
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

func (c *wired) gets(status int) string {
	c.t.Helper()
	got, body, err := c.receive()
	require.NoError(c.t, err)
	require.Equal(c.t, status, got, body)
	return body
}

// ended requires that the gateway ended the connection, and said nothing more.
func (c *wired) ended() {
	c.t.Helper()
	_, err := c.in.ReadByte()
	require.Error(c.t, err)
	require.NotErrorIs(c.t, err, os.ErrDeadlineExceeded, "left open")
}

// scripted is an origin: each connection is served by a function, which is told which connection it is.
func scripted(t *testing.T, serve func(n int64, c net.Conn, in *bufio.Reader)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	var count atomic.Int64
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			go func() {
				defer c.Close()
				serve(count.Add(1), c, bufio.NewReader(c))
			}()
		}
	}()
	return l.Addr().String()
}

// asked reads a request, its body included.
func asked(in *bufio.Reader) bool {
	r, err := http.ReadRequest(in)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, r.Body)
	return err == nil
}

const plainRequest = "GET /t HTTP/1.1\r\nHost: gw.test\r\n\r\n"

func TestTrapTruncatedChunkedStream(t *testing.T) {
	g := start(t, upstreams(scripted(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		asked(in)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
		time.Sleep(50 * time.Millisecond) // what came first is on its way before the end
	}))+everything)
	c := g.dial().send(plainRequest)
	status, body, err := c.receive()
	require.Equal(t, 200, status)
	require.Equal(t, "hello", body)
	require.Error(t, err, "the message is visibly broken")
	c.ended()
}

func TestTrapUnsolicitedBytesOnAnIdleConnection(t *testing.T) {
	late := make(chan struct{})
	g := start(t, upstreams(scripted(t, func(n int64, c net.Conn, in *bufio.Reader) {
		for asked(in) {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d", n)
			if n == 1 {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
				close(late)
			}
		}
	}))+everything)
	require.Equal(t, "1", g.dial().send(plainRequest).gets(200))
	<-late
	require.Equal(t, "2", g.dial().send(plainRequest).gets(200), "another connection, and not what waited on the first")
}

func TestTrapSwitchingProtocolsThroughThePool(t *testing.T) {
	var upgrades atomic.Int64
	address := scripted(t, func(n int64, c net.Conn, in *bufio.Reader) {
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			switch r.URL.Path {
			case "/unasked":
				_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
			case "/ws":
				upgrades.Add(1)
				_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly ")
				b := make([]byte, 5)
				if _, err := io.ReadFull(in, b); err == nil {
					_, _ = c.Write(b)
				}
				return
			default:
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d", n)
			}
		}
	})
	g := start(t, upstreams(address)+everything)
	require.Equal(t, "1", g.dial().send(plainRequest).gets(200), "now a connection is in the pool")
	g.dial().send("GET /unasked HTTP/1.1\r\nHost: gw.test\r\n\r\n").gets(502)
	require.Equal(t, "2", g.dial().send(plainRequest).gets(200), "the connection of the unasked 101 is not used again")

	handshake := "GET /ws HTTP/1.1\r\nHost: gw.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	c := g.dial().send(handshake + "bytes")
	status, err := c.in.ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, status, " 101 ")
	for line := ""; line != "\r\n"; {
		line, err = c.in.ReadString('\n')
		require.NoError(t, err)
	}
	rest, err := io.ReadAll(c.in)
	require.NoError(t, err)
	require.Equal(t, "early bytes", string(rest))
	require.EqualValues(t, 1, upgrades.Load())
	require.Equal(t, "2", g.dial().send(plainRequest).gets(200), "a tunnel has a connection of its own, and the pool keeps its own")
}

func TestTrapSilentRetries(t *testing.T) {
	var requests atomic.Int64
	g := start(t, upstreams(scripted(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		if asked(in) {
			requests.Add(1)
		}
	}))+everything)
	g.dial().send(plainRequest).gets(502)
	require.EqualValues(t, 1, requests.Load(), "a GET that failed was sent once")
}

func TestTrapEarlyAnswerDuringAnUpload(t *testing.T) {
	g := start(t, upstreams(scripted(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		if _, err := http.ReadRequest(in); err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\nConnection: close\r\n\r\nlarge")
		_, _ = io.Copy(io.Discard, in)
	}))+everything)
	c := g.dial().send("POST /t HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 100000000\r\n\r\n" + strings.Repeat("x", 100_000))
	require.Equal(t, "large", c.gets(413))
	c.ended()
}

func TestTrapBodyLimitOfAStream(t *testing.T) {
	var whole atomic.Int64
	g := start(t, upstreams(scripted(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		for asked(in) {
			whole.Add(1)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	}))+"routes: [{name: all, backends: [{upstream: u0}], max_body: 100KiB}]\n")
	c := g.dial().send("POST /t HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n")
	for range 10 { // each chunk within the limit, together above it
		if _, err := fmt.Fprintf(c.conn, "4e20\r\n%s\r\n", strings.Repeat("x", 20_000)); err != nil {
			break // refused already
		}
	}
	c.gets(413)
	c.ended()
	require.Zero(t, whole.Load(), "nothing that looks whole reached the origin")
}

func TestTrapDeadlineOfALongStream(t *testing.T) {
	g := start(t, upstreams(scripted(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		asked(in)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for {
			if _, err := io.WriteString(c, "1\r\nx\r\n"); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond) // never silent for long: only the deadline of the whole can end it
		}
	}))+"routes: [{name: all, backends: [{upstream: u0}], timeout: 300ms, stream_idle: 10s}]\n")
	c := g.dial().send(plainRequest)
	status, body, err := c.receive()
	require.Equal(t, 200, status)
	require.NotEmpty(t, body)
	require.Error(t, err, "cut at the deadline, and visibly")
	g.shows(`gateway_http_requests_total{code="200",method="GET",route="all"} 1`)
}

func TestTrapNormalisedPath(t *testing.T) {
	var reached atomic.Int64
	g := start(t, upstreams(scripted(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		for asked(in) {
			reached.Add(1)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	}))+everything+"stages:\n  authorization: {rules: [{name: closed, action: deny, paths: [{prefix: /admin}]}, {name: open}]}\n")
	for _, path := range []string{"/a%2f..%2fadmin", "/a%2F..%2Fadmin", "/a/..%2fadmin", "/a/%2e%2e/admin", "/a/../admin", "/a\\..\\admin",
		"/a%5c..%5cadmin", "/a/..;/admin", "//admin", "/./admin", "/a%00/../admin"} {
		g.dial().send("GET " + path + " HTTP/1.1\r\nHost: gw.test\r\n\r\n").gets(400)
	}
	for _, path := range []string{"/admin", "/%61dmin", "/admin;x", "/admin/"} {
		g.dial().send("GET " + path + " HTTP/1.1\r\nHost: gw.test\r\n\r\n").gets(403)
	}
	require.Zero(t, reached.Load())
}

func TestTrapAbsoluteFormAgainstHost(t *testing.T) {
	hosts := make(chan string, 1)
	s := http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { hosts <- r.Host + r.RequestURI })}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	g := start(t, upstreams(l.Addr().String())+everything)
	for _, authority := range []string{"evil.test", "gw.test:8080", "gw.test:443", "gw.test@evil.test", "user@gw.test", ""} {
		g.dial().send("GET http://" + authority + "/t HTTP/1.1\r\nHost: gw.test\r\n\r\n").gets(400)
	}
	for _, authority := range []string{"gw.test", "GW.test", "gw.test:80"} {
		g.dial().send("GET http://" + authority + "/t?q HTTP/1.1\r\nHost: gw.test\r\n\r\n").gets(200)
		require.True(t, strings.EqualFold(authority+"/t?q", <-hosts), "origin form, and the host that was asked for")
	}
}

func TestTrapFoldsAndVersions(t *testing.T) {
	g := start(t, upstreams(bareOrigin(t))+everything)
	for head, status := range map[string]int{
		"GET /t HTTP/1.1\r\nHost: gw.test\r\nX-A: b\r\n c\r\n\r\n":                     400,
		"GET /t HTTP/1.1\r\nHost: gw.test\r\nX-A: b\r\n\tTransfer-Encoding: x\r\n\r\n": 400,
		"GET /t HTTP/1.1\r\n Host: gw.test\r\n\r\n":                                    400,
		"GET /t HTTP/2.0\r\nHost: gw.test\r\n\r\n":                                     505,
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":                                             505,
		"GET /t HTTP/0.9\r\n\r\n":                                                      505,
		"GET /t HTTP/1.2\r\nHost: gw.test\r\n\r\n":                                     505,
		"GET /t HTTP/1.10\r\nHost: gw.test\r\n\r\n":                                    400,
		"GET /t\r\n\r\n": 400,
	} {
		c := g.dial().send(head)
		require.Contains(t, c.gets(status), `"reason":`, head)
		c.ended()
	}
}

// panics is a stage that does not survive a certain path.
type panics struct{}

func (panics) Name() string                            { return "panics" }
func (panics) Outward(*exchange.Exchange)              {}
func (panics) Finish(*exchange.Exchange, exchange.End) {}
func (panics) Inward(x *exchange.Exchange) exchange.Step {
	if string(x.Path) == "/panic" {
		panic("on purpose")
	}
	return exchange.Continue
}

func TestTrapPanic(t *testing.T) {
	g := start(t, upstreams(bareOrigin(t))+everything)
	chain := &g.current.Load().chain
	chain.Stages = append(chain.Stages, panics{})
	other := g.dial().send(plainRequest)
	other.gets(200)
	c := g.dial().send("GET /panic HTTP/1.1\r\nHost: gw.test\r\n\r\n")
	require.Contains(t, c.gets(500), `"reason":"panic"`)
	c.ended()
	other.send(plainRequest).gets(200)
	g.shows(`gateway_rejected_requests_total{reason="panic"} 1`)
	g.shows("gateway_requests_in_flight 0")
}

// An IPv6 client has a /64 at the least: its addresses are one, for connections as for rates.
func TestTrapIPv6Addresses(t *testing.T) {
	g := start(t, upstreams(bareOrigin(t))+everything+"clients: {trusted_hops: 1}\n"+
		"stages:\n  rate_limit: {policies: [{name: p, key: [address], rate: 0.001, burst: 2}]}\n")
	from := func(address string) int {
		return g.get("/", "X-Forwarded-For: "+address).StatusCode
	}
	require.Equal(t, []int{200, 200, 429, 429}, []int{from("2001:db8::1"), from("2001:db8:0:0:ffff::2"), from("2001:db8::3"), from("[2001:db8::4]:99")})
	require.Equal(t, 200, from("2001:db8:0:1::1"), "another network")
	require.Equal(t, []int{200, 200, 429}, []int{from("10.0.0.1"), from("::ffff:10.0.0.1"), from("10.0.0.1")}, "the same address, mapped")
	require.Equal(t, 200, from("10.0.0.2"))

	limited := start(t, upstreams(bareOrigin(t))+everything+"clients: {connections_per_address: 1}\n")
	l := &invented{from: make(chan net.Conn)}
	go func() { _ = limited.fronts[0].Server.Serve(l) }()
	first := l.connect("2001:db8::1")
	l.connect("2001:db8::2")
	limited.shows(`gateway_rejected_requests_total{reason="connections_per_address"} 1`)
	for _, c := range []net.Conn{first, l.connect("2001:db8:0:1::1")} {
		_, err := io.WriteString(c, plainRequest)
		require.NoError(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode)
		c.Close()
	}
}

// invented is a listener whose connections come from wherever a test says.
type invented struct{ from chan net.Conn }

type inventedConn struct {
	net.Conn
	from net.Addr
}

func (c inventedConn) RemoteAddr() net.Addr { return c.from }

func (l *invented) connect(address string) net.Conn {
	mine, theirs := net.Pipe()
	l.from <- inventedConn{theirs, &net.TCPAddr{IP: net.ParseIP(address), Port: 1}}
	return mine
}

func (l *invented) Accept() (net.Conn, error) {
	if c, ok := <-l.from; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l *invented) Close() error   { return nil }
func (l *invented) Addr() net.Addr { return &net.TCPAddr{} }

// A client that says nothing is let go: before its first request, within a head, within a body and between requests.
func TestTrapSilentClient(t *testing.T) {
	g := start(t, upstreams(origin(t, "a"))+everything+"clients: {header_timeout: 200ms, body_idle: 200ms, keep_alive: 200ms}\n")
	g.dial().ended()
	c := g.dial().send("GET /t HT")
	c.gets(408)
	c.ended()
	c = g.dial().send("POST /t HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 10\r\n\r\nhalf")
	c.gets(408)
	c.ended()
	c = g.dial().send(plainRequest)
	c.gets(200)
	c.ended()
	g.shows(`gateway_rejected_requests_total{reason="header_timeout"} 1`)
	g.shows(`gateway_rejected_requests_total{reason="body_timeout"} 1`)
	g.shows("gateway_downstream_connections 0")
}
