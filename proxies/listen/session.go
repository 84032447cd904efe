package listen

import (
	"crypto/tls"
	"net"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"crossroads/proxies/exchange"
	"crossroads/proxies/wire"
)

// session is one downstream connection: a loop of exchanges in one goroutine.
type session struct {
	server *Server
	conn   *wire.Conn
	sock   net.Conn
	x      exchange.Exchange
	req    fasthttp.Request
	resp   fasthttp.Response
	head   wire.Request
	out    wire.Buffer
	cancel exchange.Canceller
	idle   atomic.Bool // waiting for a request of which nothing has arrived
	began  bool        // something of the response is on the wire
	proven time.Time   // the end of the certificate by which the peer has proved its identity; zero: it has not
}

func newSession(s *Server, c net.Conn, peer exchange.Peer) *session {
	if s.TLS != nil {
		if len(s.Take) > 0 {
			c = wire.WatchEnd(c)
		}
		c = tls.Server(c, s.TLS)
		peer.TLS = true
	}
	n := &session{server: s, sock: c, conn: wire.NewConn(c)}
	n.conn.Time(s.Timed)
	n.x.Request, n.x.Response, n.x.Peer, n.x.Cancel = &n.req, &n.resp, peer, &n.cancel
	return n
}

// run serves the connection to its end.
func (n *session) run() {
	defer n.conn.Free()
	if n.handshake() {
		if take := n.taker(); take != nil {
			n.conn.Arm(0)
			take(n.sock, n.x.Peer)
			return
		}
		first := true
		for n.await(first) && n.serve() {
			first = false
		}
	}
}

// handshake completes TLS within the header deadline.
func (n *session) handshake() bool {
	t, ok := n.sock.(*tls.Conn)
	if !ok {
		return true
	}
	n.conn.Arm(wire.After(n.headerTimeout()))
	err := t.Handshake()
	state := t.ConnectionState()
	if n.server.Handshake != nil {
		n.server.Handshake(n.x.Peer, state, err)
	}
	if err != nil {
		n.server.Observer.Rejected("handshake")
		return false
	}
	if n.server.PeerID != nil {
		n.x.Peer.ID = n.server.PeerID(state)
	}
	if len(state.PeerCertificates) > 0 {
		n.proven = state.PeerCertificates[0].NotAfter
	}
	return true
}

// outlived says that the connection is older than its peer's certificate lives: this request is its last. It is still answered, because
// the peer's clock may be a little behind.
func (n *session) outlived(now time.Time) bool { return !n.proven.IsZero() && now.After(n.proven) }

// taker returns who serves the connection, where that is not this package.
func (n *session) taker() Taker {
	if t, ok := n.sock.(*tls.Conn); ok && len(n.server.Take) > 0 {
		return n.server.Take[t.ConnectionState().NegotiatedProtocol]
	}
	return nil
}

func (n *session) headerTimeout() time.Duration { return n.server.Clients.HeaderTimeout.D() }

// await waits for the first bytes of a request; false ends the connection without a word.
func (n *session) await(first bool) bool {
	if n.conn.Buffered() > 0 {
		return true
	}
	timeout := n.headerTimeout()
	if !first {
		timeout = n.server.Clients.KeepAlive.D()
	}
	n.conn.Arm(wire.After(timeout))
	n.idle.Store(true)
	// Looked at after idle was set: Shutdown sets stopping first, and then wakes whoever is idle.
	if n.server.stopping.Load() && n.conn.Quiet() {
		return false
	}
	err := n.conn.Fill(int(n.server.Clients.MaxHead))
	n.idle.Store(false)
	if err != nil && wire.TimedOut(err) && n.server.stopping.Load() {
		n.conn.Arm(wire.After(timeout))
		if !n.conn.Quiet() { // a request came in at the last moment: it is served
			err = n.conn.Fill(int(n.server.Clients.MaxHead))
		}
	}
	return err == nil
}

// wake ends an idle connection.
func (n *session) wake() {
	if n.idle.Load() {
		n.conn.Interrupt()
	}
}

// cut ends the connection whatever it is doing.
func (n *session) cut() {
	_ = n.sock.Close()
	n.cancel.Cancel()
}

// serve reads one request, serves it and sends the response; true: the connection may carry another.
func (n *session) serve() bool {
	n.x.Reset()
	n.began = false
	if err := n.read(); err != nil {
		return n.refuse(err)
	}
	x := &n.x
	x.Start, x.Arrived = time.Now(), n.conn.Back()
	x.Path, x.Flaws = n.head.Path, n.head.Flaws
	x.Close = n.head.Close || n.server.stopping.Load() || n.outlived(x.Start)
	body := &n.conn.Body
	if body.Length() != 0 {
		x.RequestBody = body
		body.Idle = n.server.Clients.BodyIdle.D()
		if err := body.Limit(int64(n.server.Clients.MaxBody)); err != nil {
			return n.refuse(err)
		}
		if n.head.Expect {
			body.Invite()
		}
	}
	if n.head.MaxForwards == 0 {
		return n.lastHop()
	}
	if n.server.via != nil {
		n.req.Header.AddBytesKV(viaName, n.server.via)
	}
	return n.exchange()
}

var viaName = []byte("Via")

// read reads a request head. The deadline is armed only where the head did not arrive at once.
func (n *session) read() error {
	ready, err := n.conn.HeadReady()
	if err != nil {
		return err
	}
	if !ready {
		n.conn.Arm(wire.After(n.headerTimeout()))
	}
	if err := n.conn.ReadRequest(&n.req.Header, &n.head, int(n.server.Clients.MaxHead)); err != nil {
		return err
	}
	if n.head.Flaws&^n.server.Tolerate != 0 {
		return wire.ErrPath
	}
	return nil
}

// exchange serves what was read. A panic in it ends this connection and no other.
func (n *session) exchange() (again bool) {
	x := &n.x
	end := exchange.Complete
	finished := false
	defer func() {
		if p := recover(); p != nil {
			n.panicked(p, finished)
			again = false
		}
	}()
	n.server.Service.Serve(x)
	end = n.respond()
	if x.Tunnel != nil && end == exchange.Complete {
		end = n.tunnel()
	}
	again = end == exchange.Complete && !x.Close && x.Tunnel == nil
	x.Release() // an upload may still be reading the request
	x.Received += n.conn.Body.Received()
	finished = true
	n.server.Service.Finish(x, end)
	if end != exchange.Complete {
		n.abort(end)
		return false
	}
	if again && n.rest() {
		return true
	}
	n.linger()
	return false
}
