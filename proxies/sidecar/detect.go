package sidecar

import (
	"bytes"
	"errors"
	"net"
	"os"
	"time"
)

// What a connection carries, as the metric names it.
const (
	detectedHTTP   = "http"   // HTTP/1: its requests can be understood
	detectedTLS    = "tls"    // a ClientHello: opaque, and already private
	detectedOpaque = "opaque" // anything else, HTTP/2 with prior knowledge included
	detectedSilent = "silent" // the client waits for the server to speak: opaque
)

// firstRead is enough for the request line of nearly every request; one that is longer is told by its beginning.
const firstRead = 2 << 10

// detect finds out what a client speaks, from one read within the time given, and returns a connection from which those bytes can
// be read again. An error says that the client is gone.
func detect(c net.Conn, wait time.Duration) (string, net.Conn, error) {
	if err := c.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return "", nil, err
	}
	first := make([]byte, firstRead)
	n, err := c.Read(first)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
	}
	if err != nil && n == 0 {
		return "", nil, err
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		return "", nil, err
	}
	if n == 0 {
		return detectedSilent, c, nil
	}
	return classify(first[:n]), &replayed{Conn: c, first: first[:n]}, nil
}

// classify tells by the first bytes. In doubt they are opaque: HTTP/1 that is carried as opaque arrives unharmed, and anything else
// that is read as HTTP/1 does not.
func classify(b []byte) string {
	switch {
	// A record of a handshake, of TLS 1.x, whose message is a ClientHello (RFC 8446 5.1 and 4).
	case len(b) >= 3 && b[0] == 22 && b[1] == 3 && (len(b) < 6 || b[5] == 1):
		return detectedTLS
	case looksLikeHTTP1(b):
		return detectedHTTP
	}
	return detectedOpaque
}

// looksLikeHTTP1 judges a whole request line by its version, which also tells the preface of HTTP/2 (PRI * HTTP/2.0) and inline
// commands of other protocols (GET key); one cut short, by a known method and the beginning of a target.
func looksLikeHTTP1(b []byte) bool {
	if line, _, whole := bytes.Cut(b, []byte("\n")); whole {
		line = bytes.TrimSuffix(line, []byte("\r"))
		return bytes.Count(line, []byte(" ")) == 2 && (bytes.HasSuffix(line, []byte(" HTTP/1.1")) || bytes.HasSuffix(line, []byte(" HTTP/1.0")))
	}
	for _, method := range methods {
		if known := min(len(b), len(method)); !bytes.Equal(b[:known], method[:known]) {
			continue
		}
		return len(b) <= len(method) || b[len(method)] == '/' || b[len(method)] == 'h'
	}
	return false
}

var methods = [][]byte{[]byte("GET "), []byte("HEAD "), []byte("POST "), []byte("PUT "), []byte("PATCH "), []byte("DELETE "), []byte("OPTIONS ")}

// replayed gives the bytes that were read for detection first.
type replayed struct {
	net.Conn
	first []byte
}

// Read implements net.Conn.
func (c *replayed) Read(p []byte) (int, error) {
	if len(c.first) > 0 {
		n := copy(p, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// CloseWrite says that nothing more will be written.
func (c *replayed) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// SetLinger is that of TCP.
func (c *replayed) SetLinger(seconds int) error {
	if t, ok := c.Conn.(interface{ SetLinger(int) error }); ok {
		return t.SetLinger(seconds)
	}
	return errors.ErrUnsupported
}

// NetConn returns the connection below, for who wants to look at the socket.
func (c *replayed) NetConn() net.Conn { return c.Conn }
