package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"strings"
	"time"

	"crossroads/proxies/exchange"
	"crossroads/proxies/wire"
)

// conn is a connection to an endpoint. It belongs to one exchange at a time, or to the pool.
type conn struct {
	*wire.Conn
	endpoint *endpoint
	since    wire.Instant  // idle since
	until    wire.Instant  // the end of the certificate by which the endpoint has proved its identity; 0: it has not
	shaking  time.Duration // of dialling: the handshake's own work, without its system calls and waits
	reused   bool          // it has carried an exchange before
	finish   func()        // settle as a value, made once, so that Retain allocates nothing
	stop     func()        // ends a wait for the endpoint, likewise

	// of the exchange in flight
	generation uint64
	took       time.Duration // until the response head was here
	retry      bool          // it is a retry, and has its place among those in flight
	hurry      wire.Instant  // the deadline where it is the caller's, else 0
	response   wire.Response
	cancel     *exchange.Canceller
	upload     *upload
	tunnel     bool
}

// split cuts an endpoint's address into what net.Dial wants.
func split(address string) (network, addr string) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return "unix", path
	}
	return "tcp", address
}

// dial opens a connection. A fault of dialling says that the request cannot have been processed.
func (e *endpoint) dial(until wire.Instant) (*conn, *exchange.Fault) {
	if fault := e.up.reserve(e); fault != nil {
		return nil, fault
	}
	if !e.up.bulkhead.pending.take() {
		e.pool.release()
		return nil, e.up.refuse("pending", fullPending)
	}
	c, fault := e.connect(until)
	e.up.bulkhead.pending.give()
	if fault != nil {
		e.pool.release()
	}
	return c, fault
}

func (e *endpoint) connect(until wire.Instant) (*conn, *exchange.Fault) {
	began := time.Now()
	timeout, ours := e.up.config.Connect.D(), false
	if until != 0 {
		left := max(time.Duration(until-wire.Now()), time.Millisecond)
		if timeout <= 0 || left < timeout {
			timeout, ours = left, true
		}
	}
	ctx := context.Background()
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	sock, shaking, err := e.open(ctx)
	if err != nil {
		fault := dialFault(err)
		if fault != exchange.UpstreamIdentity && !(ours && ctx.Err() != nil) { // little time left says nothing about it
			e.reachable(false)
		}
		return nil, fault
	}
	e.reachable(true)
	c := &conn{Conn: wire.NewConn(sock), endpoint: e, until: provenUntil(sock), shaking: shaking}
	c.finish, c.stop = c.settle, c.Body.Stop
	e.up.observer.Connect(e.up.name, time.Since(began))
	return c, nil
}

// provenUntil is when the certificate ends by which the other side has proved who it is: a connection is not used for longer, or an
// identity would live on for as long as somebody keeps its connections busy.
func provenUntil(c net.Conn) wire.Instant {
	t, ok := c.(*tls.Conn)
	if !ok {
		return 0
	}
	chain := t.ConnectionState().PeerCertificates
	if len(chain) == 0 {
		return 0
	}
	return wire.Now() + wire.Instant(time.Until(chain[0].NotAfter))
}

// open connects, TLS included, and says how much of it was work of the handshake.
func (e *endpoint) open(ctx context.Context) (_ net.Conn, shaking time.Duration, _ error) {
	if f := e.up.faults; f != nil {
		if err := f.Dial().Suffer(ctx); err != nil {
			return nil, 0, err
		}
	}
	var d net.Dialer
	sock, err := d.DialContext(ctx, e.network, e.address)
	if err != nil {
		return nil, 0, err
	}
	sock = wire.NewSocket(sock)
	if e.up.tls == nil {
		return sock, 0, nil
	}
	settings := e.up.tls(e.config)
	if settings == nil {
		return sock, 0, nil
	}
	if f := e.up.faults; f != nil {
		if err := f.Handshake().Suffer(ctx); err != nil {
			_ = sock.Close()
			return nil, 0, &handshakeError{err}
		}
	}
	secure := tls.Client(sock, settings)
	clock := wire.StartClock(sock)
	err = secure.HandshakeContext(ctx)
	shaking = clock.Own()
	if e.up.shaken != nil {
		e.up.shaken(e.config, secure.ConnectionState(), err)
	}
	if err != nil {
		_ = sock.Close()
		return nil, 0, &handshakeError{err}
	}
	return secure, shaking, nil
}

// handshakeError tells a refused identity from a network that failed.
type handshakeError struct{ error }

func (h *handshakeError) Unwrap() error { return h.error }

func dialFault(err error) *exchange.Fault {
	var handshake *handshakeError
	var network net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return exchange.ConnectTimeout
	case errors.As(err, &handshake) && !errors.As(err, &network):
		return exchange.UpstreamIdentity
	}
	return exchange.UpstreamConnect
}

// discard closes the connection.
func (c *conn) discard() {
	c.Free()
	c.endpoint.pool.release()
}

// settle ends the exchange on the connection: it runs when the response was sent or given up, and decides what it showed about the
// endpoint and whether the connection is kept.
func (c *conn) settle() {
	c.cancel.Waiting(nil)
	uploaded := c.upload.join(c)
	c.upload, c.cancel = nil, nil
	b := &c.Body
	whole := b.Done()
	v := success
	switch {
	case c.tunnel:
	case c.hurry != 0 && (c.response.Status == 504 || b.Stalled() && wire.Now() >= c.hurry):
		v = abandoned // whoever lets callers set deadlines must not let them trip breakers
	case c.response.Status == 429:
		v = shed
	case c.response.Status >= 500, b.Stalled(), !whole && b.Err() != nil:
		v = failure
	case !whole:
		v = abandoned
	}
	c.endpoint.settle(c.generation, v, c.took)
	if c.retry {
		c.retry = false
		c.endpoint.up.endRetry()
	}
	c.reused = true
	if whole && uploaded && !c.tunnel && !c.response.Close && c.Buffered() == 0 {
		c.Arm(0)
		c.Rest()
		c.since = wire.Now()
		if c.endpoint.pool.put(c) {
			return
		}
	}
	c.discard()
}
