package upstream

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/config/units"
	"crossroads/proxies/exchange"
	"crossroads/proxies/wire"
)

func TestConnectionIsReused(t *testing.T) {
	o := startOrigin(t, say(ok))
	u := start(t, config.Upstream{}, o.address)
	for range 5 {
		status, body, _ := forward(t, u, "GET", nil)
		require.Equal(t, 200, status)
		require.Equal(t, "ok", body)
	}
	require.EqualValues(t, 1, o.conns.Load())
	state := u.Endpoints()[0]
	require.Equal(t, 1, state.Pooled)
	require.EqualValues(t, 5, state.Served)
	require.Zero(t, state.InFlight)
}

func TestConnectionIsNotReused(t *testing.T) {
	for name, response := range map[string]string{
		"Connection: close":    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.0":             "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"bytes left over":      ok + "more",
		"a coded body for 204": "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			o := startOrigin(t, say(response))
			u := start(t, config.Upstream{}, o.address)
			forward(t, u, "GET", nil)
			forward(t, u, "GET", nil)
			require.EqualValues(t, 2, o.conns.Load())
			require.Zero(t, u.Endpoints()[0].Open)
		})
	}
}

func TestUnreadBodyIsNotReused(t *testing.T) {
	o := startOrigin(t, say("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"+strings.Repeat("x", 100000)))
	u := start(t, config.Upstream{}, o.address)
	x := newExchange("GET", nil)
	require.Equal(t, exchange.Continue, u.Forward(x))
	x.Release()
	require.Zero(t, u.Endpoints()[0].Open)
	require.Zero(t, u.Endpoints()[0].Failed, "it says nothing about the endpoint")
}

func TestStaleConnectionIsReplacedOnce(t *testing.T) {
	var served atomic.Int64
	o := startOrigin(t, func(c net.Conn, r *http.Request) bool {
		if served.Add(1) == 2 {
			return false // closes on the second request, without an answer: as if it had been about to close all along
		}
		return say(ok)(c, r)
	})
	u := start(t, config.Upstream{}, o.address)
	forward(t, u, "GET", nil)
	status, _, _ := forward(t, u, "GET", nil)
	require.Equal(t, 200, status)
	require.EqualValues(t, 3, o.requests.Load())
	require.Zero(t, u.Endpoints()[0].Failed)

	served.Store(0)
	o2 := startOrigin(t, func(c net.Conn, r *http.Request) bool {
		return served.Add(1) != 2 && say(ok)(c, r)
	})
	u2 := start(t, config.Upstream{}, o2.address)
	forward(t, u2, "POST", nil)
	status, _, reason := forward(t, u2, "POST", nil)
	require.Equal(t, 502, status)
	require.Equal(t, "upstream_reset", reason)
	require.EqualValues(t, 2, o2.requests.Load(), "a POST may have been processed")
}

func TestConnectionLimit(t *testing.T) {
	o := startOrigin(t, say("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"+strings.Repeat("x", 100000)))
	u := start(t, config.Upstream{MaxConns: 1}, o.address)
	x := newExchange("GET", nil)
	require.Equal(t, exchange.Continue, u.Forward(x))
	status, _, reason := forward(t, u, "GET", nil)
	require.Equal(t, 503, status)
	require.Equal(t, "overloaded", reason)
	require.Zero(t, u.Endpoints()[0].Failed)
	x.Release()
	status, _, _ = forward(t, u, "GET", nil)
	require.Equal(t, 200, status)
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	o := startOrigin(t, say(ok))
	u := start(t, config.Upstream{Idle: units.Duration(50 * time.Millisecond)}, o.address)
	forward(t, u, "GET", nil)
	require.Equal(t, 1, u.Endpoints()[0].Pooled)
	require.Eventually(t, func() bool { return u.Endpoints()[0].Open == 0 }, 5*time.Second, 10*time.Millisecond)
}

func TestUnsolicitedBytesMakeAConnectionUnusable(t *testing.T) {
	late := make(chan net.Conn, 1)
	o := startOrigin(t, func(c net.Conn, r *http.Request) bool {
		select {
		case late <- c:
		default:
		}
		return say(ok)(c, r)
	})
	u := start(t, config.Upstream{}, o.address)
	forward(t, u, "GET", nil)
	_, err := io.WriteString(<-late, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return !u.fleet.Load().endpoints[0].pool.free[0].Quiet() }, 5*time.Second, time.Millisecond)
	_, body, _ := forward(t, u, "GET", nil)
	require.Equal(t, "ok", body)
	require.EqualValues(t, 2, o.conns.Load())
}

func TestUpdateKeepsWhatStays(t *testing.T) {
	a, b := startOrigin(t, say(ok)), startOrigin(t, say(ok))
	u := start(t, config.Upstream{}, a.address, b.address)
	forward(t, u, "GET", nil)
	forward(t, u, "GET", nil)
	u.Update([]config.Endpoint{{Address: b.address}, {Address: deadAddress(t)}})
	states := u.Endpoints()
	require.Equal(t, b.address, states[0].Address)
	require.EqualValues(t, 1, states[0].Served)
	require.Equal(t, 1, states[0].Pooled)
	require.Zero(t, states[1].Served)
	u.Update(nil)
	_, _, reason := forward(t, u, "GET", nil)
	require.Equal(t, "no_endpoint", reason)
}

func TestUnixSocket(t *testing.T) {
	path := t.TempDir() + "/s"
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		in := bufio.NewReader(c)
		for {
			if _, err := http.ReadRequest(in); err != nil {
				return
			}
			_, _ = io.WriteString(c, ok)
		}
	}()
	u := start(t, config.Upstream{}, "unix:"+path)
	for range 3 {
		status, _, _ := forward(t, u, "GET", nil)
		require.Equal(t, 200, status)
	}
}

func TestQuietAllocatesNothing(t *testing.T) {
	o := startOrigin(t, say(ok))
	sock, err := net.Dial("tcp", o.address)
	require.NoError(t, err)
	c := wire.NewConn(sock)
	defer c.Close()
	require.Zero(t, testing.AllocsPerRun(100, func() { require.True(t, c.Quiet()) }))
}
