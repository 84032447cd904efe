package wire

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
)

// endWatch notes that a socket has ended. It stands below TLS: crypto/tls takes an end that falls between two records for a regular one,
// as many web servers make it; but only close_notify is the peer's word (RFC 8446 6.1), and anybody on the way can end a socket.
type endWatch struct {
	net.Conn
	ended atomic.Bool
}

// WatchEnd returns a connection for TLS to stand on, so that Truncated can tell.
func WatchEnd(c net.Conn) net.Conn { return &endWatch{Conn: c} }

// Read implements net.Conn.
func (c *endWatch) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, io.EOF) {
		c.ended.Store(true)
	}
	return n, err
}

// NetConn returns the connection below.
func (c *endWatch) NetConn() net.Conn { return c.Conn }

// Truncated says of a TLS connection that gave io.EOF whether its socket ended without the peer's word. It is false where nobody
// watched, and of a connection that is not TLS, whose end is all there is.
func Truncated(c net.Conn) bool {
	for {
		if w, ok := c.(*endWatch); ok {
			return w.ended.Load()
		}
		below, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return false
		}
		c = below.NetConn()
	}
}

// Lowest returns the connection below all others: below TLS, and below whatever read ahead.
func Lowest(c net.Conn) net.Conn {
	for {
		below, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return c
		}
		c = below.NetConn()
	}
}
