package identity

import (
	"errors"
	"net"
	"os"
)

// helloPrefix is how much of a connection tells a ClientHello: the record header and the first byte of the message (RFC 8446 5.1 and 4).
const helloPrefix = 6

// DetectTLS reads as few bytes as tell whether the client begins a TLS handshake, and returns a connection from which they can be read
// again. Set a read deadline first: a client that waits for the server to speak sends nothing.
func DetectTLS(c net.Conn) (isTLS bool, replay net.Conn, err error) {
	var first [helloPrefix]byte
	n := 0
	for {
		read, err := c.Read(first[n:])
		n += read
		if isTLS, sure := judgeHello(first[:n]); sure {
			return isTLS, &replayConn{Conn: c, first: first, rest: n, n: n}, nil
		}
		if err != nil {
			// Bytes that may have become a ClientHello and did not are not TLS; the user of the connection reads the error behind them.
			if n > 0 && !errors.Is(err, os.ErrDeadlineExceeded) {
				return false, &replayConn{Conn: c, first: first, rest: n, n: n}, nil
			}
			return false, nil, err
		}
	}
}

// judgeHello tells a ClientHello as soon as the bytes suffice: content type handshake, major version 3, message type client_hello.
func judgeHello(b []byte) (isTLS, sure bool) {
	switch {
	case len(b) >= 1 && b[0] != 22, len(b) >= 2 && b[1] != 3:
		return false, true
	case len(b) < helloPrefix:
		return false, false
	}
	return b[5] == 1, true
}

// replayConn gives the bytes read for detection first.
type replayConn struct {
	net.Conn
	first [helloPrefix]byte
	n     int // bytes in first
	rest  int // of them not yet given
}

// NetConn returns the connection below, for who wants to look at the socket.
func (c *replayConn) NetConn() net.Conn { return c.Conn }

// Read implements net.Conn.
func (c *replayConn) Read(p []byte) (int, error) {
	if c.rest > 0 {
		n := copy(p, c.first[c.n-c.rest:c.n])
		c.rest -= n
		return n, nil
	}
	return c.Conn.Read(p)
}
