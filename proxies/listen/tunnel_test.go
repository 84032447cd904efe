package listen_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/config/units"
	"crossroads/proxies/exchange"
	"crossroads/proxies/listen"
)

const opening = "GET /ws HTTP/1.1\r\nHost: gw.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// switching agrees to every opening handshake, says hello in the same write, and echoes in capitals.
func switching(t *testing.T) string {
	return origin(t, func(c net.Conn, in *bufio.Reader) {
		r, err := readHead(in)
		if err != nil {
			return
		}
		if r.Header.Get("Upgrade") != "websocket" || !strings.EqualFold(r.Header.Get("Connection"), "upgrade") {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain")
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello\n")
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, strings.ToUpper(line))
		}
	})
}

func TestTunnelCarriesBothWays(t *testing.T) {
	ends := make(chan exchange.End, 1)
	p := startProxy(t, switching(t), func(_ *listen.Options, chain *exchange.Chain, _ *config.Upstream) {
		chain.Stages = []exchange.Stage{routeStage{nil, ends}}
	})
	c := dial(t, p.address).send(opening + "early\n") // bytes behind the handshake wait for the 101
	r := c.head()
	require.Equal(t, 101, r.StatusCode)
	require.Equal(t, "websocket", r.Header.Get("Upgrade"))
	require.Equal(t, "Upgrade", r.Header.Get("Connection"))
	for _, want := range []string{"hello\n", "EARLY\n"} {
		line, err := c.in.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, want, line)
	}
	for range 3 {
		line, err := c.send("more\n").in.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "MORE\n", line)
	}
	_ = c.conn.Close()
	require.Equal(t, exchange.TunnelClosed, <-ends)
	require.Zero(t, p.up.Endpoints()[0].Open, "its connection never goes to the pool")
}

func TestTunnelEndsWithItsUpstreamAndWhenIdle(t *testing.T) {
	address := origin(t, func(c net.Conn, in *bufio.Reader) {
		if _, err := readHead(in); err == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		}
	})
	c := dial(t, startProxy(t, address, nil).address).send(opening)
	require.Equal(t, 101, c.head().StatusCode)
	c.ended()

	idle := startProxy(t, switching(t), func(l *listen.Options, _ *exchange.Chain, _ *config.Upstream) {
		l.Clients.KeepAlive = units.Duration(100 * time.Millisecond)
	})
	c = dial(t, idle.address).send(opening)
	require.Equal(t, 101, c.head().StatusCode)
	_, err := c.in.ReadString('\n')
	require.NoError(t, err)
	c.ended()
}

func TestRefusedUpgradeLeavesHTTP(t *testing.T) {
	p := startProxy(t, rawOrigin(t, "HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nok"), nil)
	c := dial(t, p.address).send(opening + get) // what follows is a request of its own, and is read as one
	for range 2 {
		r := c.head()
		require.Equal(t, 200, r.StatusCode)
		require.Empty(t, r.Header.Get("Upgrade"))
		_, err := io.ReadAll(r.Body)
		require.NoError(t, err)
	}
}

func TestUpgradeThatNobodyAskedFor(t *testing.T) {
	p := startProxy(t, rawOrigin(t, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), nil)
	status, _ := dial(t, p.address).send(get).receive()
	require.Equal(t, 502, status)
	require.Zero(t, p.up.Endpoints()[0].Open)
}
