package identity

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// PermissiveListener accepts mutual TLS and plaintext on one port, for the time in which a mesh is being introduced. Accept never waits
// for a client's bytes: each connection finds out by itself, in HandshakeContext or its first Read or Write.
type PermissiveListener struct {
	net.Listener
	TLS     *tls.Config
	Timeout time.Duration // for the first bytes and the handshake; 0: none
}

// Accept returns the next connection as a *PermissiveConn.
func (l *PermissiveListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &PermissiveConn{Conn: c, config: l.TLS, timeout: l.Timeout}, nil
}

// PermissiveConn is a connection that turns out to be mutual TLS or plaintext. It has the two methods of *tls.Conn that a listener
// needs, so that the listener need not know which it got.
type PermissiveConn struct {
	net.Conn // the socket
	config   *tls.Config
	timeout  time.Duration

	once  sync.Once
	err   error
	found atomic.Pointer[detected]
}

type detected struct {
	net.Conn
	tls *tls.Conn // nil: plaintext
}

// HandshakeContext finds out what the client speaks and, where it is TLS, ends the handshake.
func (c *PermissiveConn) HandshakeContext(ctx context.Context) error {
	c.once.Do(func() {
		if c.timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, c.timeout)
			defer cancel()
		}
		c.err = c.detect(ctx)
	})
	return c.err
}

func (c *PermissiveConn) detect(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { c.Conn.SetDeadline(time.Unix(1, 0)) })
	isTLS, replay, err := DetectTLS(c.Conn)
	if !stop() {
		return fmt.Errorf("waiting for a client's first bytes: %w", errors.Join(ctx.Err(), err))
	}
	if err != nil {
		return fmt.Errorf("waiting for a client's first bytes: %w", err)
	}
	found := &detected{Conn: replay}
	if isTLS {
		found.tls = tls.Server(replay, c.config)
		found.Conn = found.tls
		if err := found.tls.HandshakeContext(ctx); err != nil {
			return err
		}
	}
	c.found.Store(found)
	return nil
}

// ConnectionState returns the state of the TLS connection; of plaintext, and before the handshake, the zero value.
func (c *PermissiveConn) ConnectionState() tls.ConnectionState {
	if d := c.found.Load(); d != nil && d.tls != nil {
		return d.tls.ConnectionState()
	}
	return tls.ConnectionState{}
}

// Plaintext says whether the client turned out to speak plaintext.
func (c *PermissiveConn) Plaintext() bool {
	d := c.found.Load()
	return d != nil && d.tls == nil
}

// Read reads what the client sent, decrypted where it is TLS.
func (c *PermissiveConn) Read(p []byte) (int, error) {
	if err := c.HandshakeContext(context.Background()); err != nil {
		return 0, err
	}
	return c.found.Load().Read(p)
}

// Write writes to the client, encrypted where it is TLS.
func (c *PermissiveConn) Write(p []byte) (int, error) {
	if err := c.HandshakeContext(context.Background()); err != nil {
		return 0, err
	}
	return c.found.Load().Write(p)
}

// Close ends the connection, with an alert where it is TLS.
func (c *PermissiveConn) Close() error {
	if d := c.found.Load(); d != nil {
		return d.Close()
	}
	return c.Conn.Close()
}

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

func (c *replayConn) Read(p []byte) (int, error) {
	if c.rest > 0 {
		n := copy(p, c.first[c.n-c.rest:c.n])
		c.rest -= n
		return n, nil
	}
	return c.Conn.Read(p)
}
