package listen_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/config/units"
	"crossroads/proxies/exchange"
	"crossroads/proxies/listen"
)

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	o := newRecorder(t)
	defer o.Close()
	p := startProxy(t, o.Address, nil)
	c := dial(t, p.address)
	var all strings.Builder
	for i := range 20 {
		if i%2 == 0 {
			fmt.Fprintf(&all, "GET /%d HTTP/1.1\r\nHost: gw.test\r\n\r\n", i)
		} else {
			fmt.Fprintf(&all, "POST /%d HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 5\r\n\r\nhello", i)
		}
	}
	c.send(all.String())
	for i := range 20 {
		status, body := c.receive()
		require.Equal(t, 200, status)
		require.Equal(t, fmt.Sprintf("%d /%d", i+1, i), body)
	}
}

func TestConnectionEndsWhereItMust(t *testing.T) {
	p := startProxy(t, rawOrigin(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), nil)
	for name, request := range map[string]string{
		"Connection: close": "GET /t HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n\r\n",
		"HTTP/1.0":          "GET /t HTTP/1.0\r\nHost: gw.test\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, p.address).send(request)
			r := c.head()
			require.Equal(t, 200, r.StatusCode)
			require.True(t, r.Close)
			_, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			c.ended()
		})
	}
}

func TestHeadHasNoBodyButItsLength(t *testing.T) {
	p := startProxy(t, rawOrigin(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"), nil)
	c := dial(t, p.address)
	for range 2 {
		c.send("HEAD /t HTTP/1.1\r\nHost: gw.test\r\n\r\n")
		head := ""
		for !strings.HasSuffix(head, "\r\n\r\n") {
			line, err := c.in.ReadString('\n')
			require.NoError(t, err)
			head += line
		}
		require.Contains(t, head, "\r\nContent-Length: 2\r\n")
	}
}

func TestUnchunkedForHTTP10(t *testing.T) {
	address := origin(t, func(c net.Conn, in *bufio.Reader) {
		if _, err := readHead(in); err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
		time.Sleep(50 * time.Millisecond)
		_, _ = io.WriteString(c, "2\r\ncd\r\n0\r\n\r\n")
	})
	c := dial(t, startProxy(t, address, nil).address).send("GET /t HTTP/1.0\r\nHost: gw.test\r\n\r\n")
	answer, err := io.ReadAll(c.in)
	require.NoError(t, err)
	head, body, _ := strings.Cut(string(answer), "\r\n\r\n")
	require.Equal(t, "abcd", body)
	require.NotContains(t, head, "Transfer-Encoding")
}

func TestSilentClients(t *testing.T) {
	p := startProxy(t, rawOrigin(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), func(l *listen.Options, _ *exchange.Chain, _ *config.Upstream) {
		l.Clients.HeaderTimeout = units.Duration(100 * time.Millisecond)
		l.Clients.BodyIdle = units.Duration(100 * time.Millisecond)
		l.Clients.KeepAlive = units.Duration(100 * time.Millisecond)
	})
	t.Run("before the first byte", func(t *testing.T) { dial(t, p.address).ended() })
	t.Run("in the head", func(t *testing.T) {
		c := dial(t, p.address).send("GET /t HTTP/1.1\r\nHost: gw")
		status, _ := c.receive()
		require.Equal(t, 408, status)
		c.ended()
	})
	t.Run("in the body", func(t *testing.T) {
		c := dial(t, p.address).send("POST /t HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 5\r\n\r\nhe")
		status, _ := c.receive()
		require.Equal(t, 408, status)
		c.ended()
	})
	t.Run("in a streamed body", func(t *testing.T) {
		silent := startProxy(t, origin(t, func(_ net.Conn, in *bufio.Reader) { _, _ = io.Copy(io.Discard, in) }), func(l *listen.Options, _ *exchange.Chain, _ *config.Upstream) {
			l.Clients.BodyIdle = units.Duration(100 * time.Millisecond)
		})
		c := dial(t, silent.address).send("POST /t HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
		status, _ := c.receive()
		require.Equal(t, 408, status)
		c.ended()
	})
	t.Run("between requests", func(t *testing.T) {
		c := dial(t, p.address).send(get)
		status, _ := c.receive()
		require.Equal(t, 200, status)
		c.ended()
	})
}

func TestPanicIsContained(t *testing.T) {
	seen := &observed{}
	ends := make(chan exchange.End, 10)
	p := startProxy(t, rawOrigin(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), func(l *listen.Options, chain *exchange.Chain, _ *config.Upstream) {
		l.Observer = seen
		chain.Stages = []exchange.Stage{routeStage{nil, ends}, panicStage{}}
	})
	for _, where := range []string{"/inward", "/outward"} {
		c := dial(t, p.address).send("GET " + where + " HTTP/1.1\r\nHost: gw.test\r\n\r\n")
		status, _ := c.receive()
		require.Equal(t, 500, status)
		c.ended()
		<-ends // finished once
	}
	require.EqualValues(t, 2, seen.panics.Load())
	status, _ := dial(t, p.address).send(get).receive()
	require.Equal(t, 200, status)
	<-ends
	require.Zero(t, p.up.Endpoints()[0].InFlight)
}

// panicStage panics in the phase that the path names.
type panicStage struct{}

func (panicStage) Name() string { return "panic" }
func (panicStage) Inward(x *exchange.Exchange) exchange.Step {
	if string(x.Path) == "/inward" {
		panic("inward")
	}
	return exchange.Continue
}
func (panicStage) Outward(x *exchange.Exchange) {
	if string(x.Path) == "/outward" {
		panic("outward")
	}
}
func (panicStage) Finish(*exchange.Exchange, exchange.End) {}

type observed struct{ panics, connections, refused atomic.Int64 }

func (o *observed) Connections(delta int) { o.connections.Add(int64(delta)) }
func (o *observed) Rejected(reason string) {
	if reason == "panic" {
		o.panics.Add(1)
	} else {
		o.refused.Add(1)
	}
}

func TestConnectionLimits(t *testing.T) {
	for name, adjust := range map[string]func(*config.Clients){
		"in total":    func(c *config.Clients) { c.MaxConnections = 2 },
		"per address": func(c *config.Clients) { c.ConnectionsPerAddress = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			seen := &observed{}
			p := startProxy(t, rawOrigin(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), func(l *listen.Options, _ *exchange.Chain, _ *config.Upstream) {
				adjust(&l.Clients)
				l.Observer = seen
			})
			a, b := dial(t, p.address), dial(t, p.address)
			for _, c := range []*client{a, b} {
				status, _ := c.send(get).receive()
				require.Equal(t, 200, status)
			}
			dial(t, p.address).ended()
			require.EqualValues(t, 1, seen.refused.Load())
			_ = a.conn.Close()
			require.Eventually(t, func() bool { return seen.connections.Load() == 1 }, 5*time.Second, time.Millisecond)
			status, _ := dial(t, p.address).send(get).receive()
			require.Equal(t, 200, status)
		})
	}
}

func TestLimitsCountIPv6ByNetwork(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7": "192.0.2.7/32", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "2001:db8:1:2:ffff::": "2001:db8:1:2::/64",
		"fe80::1%eth0": "fe80::/64",
	} {
		require.Equal(t, want, listen.Network(netip.MustParseAddr(address)).String())
	}
	require.False(t, listen.Network(netip.Addr{}).IsValid(), "a Unix socket has none")
}
