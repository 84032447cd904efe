package listen

import (
	"io"
	"time"

	"crossroads/proxies/exchange"
	"crossroads/proxies/wire"
)

// tunnel carries bytes both ways after a 101 until one side ends or nothing moves for the idle limit.
func (n *session) tunnel() exchange.End {
	up := n.x.Tunnel.Upstream
	idle := n.server.Clients.KeepAlive.D()
	if n.x.Route != nil && n.x.Route.Idle > 0 {
		idle = n.x.Route.Idle
	}
	if len(n.x.Tunnel.Early) > 0 {
		if _, err := n.conn.Write(n.x.Tunnel.Early); err != nil {
			return exchange.TunnelClosed
		}
	}
	done := make(chan int64)
	go func() {
		sent := carry(n.conn, up, n.conn, idle)
		_ = n.conn.Close() // the other direction ends with this one
		done <- sent
	}()
	received := carry(up, n.conn, n.conn, idle)
	_ = up.Close()
	n.x.Sent += <-done
	n.x.Received += received
	return exchange.TunnelClosed
}

// carry copies until an end, and puts the deadline of the downstream connection off with every read: it is the one clock of the
// tunnel.
func carry(to io.Writer, from io.Reader, clock *wire.Conn, idle time.Duration) (moved int64) {
	p := make([]byte, streamBytes)
	for {
		clock.Arm(wire.After(idle))
		r, err := from.Read(p)
		if r > 0 {
			if _, err := to.Write(p[:r]); err != nil {
				return moved
			}
			moved += int64(r)
		}
		if err != nil {
			return moved
		}
	}
}
