package listen

import (
	"errors"
	"io"
	"time"

	"github.com/valyala/fasthttp"

	"crossroads/proxies/exchange"
	"crossroads/proxies/telemetry"
	"crossroads/proxies/wire"
)

// respond sends the response that the service left in the exchange.
func (n *session) respond() exchange.End {
	x := &n.x
	// A client that was not invited may send its body or not: what follows cannot be told apart.
	if x.RequestBody != nil && n.conn.Body.Withdraw() {
		x.Close = true
	}
	// A large rest of the body is not read off. While an upload is under way the upstream has set Close, and the body is its own.
	if n.server.stopping.Load() || x.RequestBody != nil && !x.Close && n.conn.Body.Left() > drainBytes {
		x.Close = true
	}
	body, o := n.frame()
	n.arm()
	var data []byte
	complete := true
	if body != nil {
		data, complete = body.Buffered()
	}
	n.out.TakeSize(headRoom + len(data))
	n.out.B = wire.AppendResponse(n.out.B, &x.Response.Header, o)
	head := len(n.out.B)
	n.began = true
	if body == nil {
		if !o.NoBody {
			n.out.B = append(n.out.B, x.Response.Body()...)
			x.Sent = int64(len(x.Response.Body()))
		}
		telemetry.FillServerTiming(n.out.B[:head], x)
		return n.flush(exchange.Complete)
	}
	if o.Length == wire.Chunked {
		n.out.B = wire.AppendChunk(n.out.B, data)
	} else {
		n.out.B = append(n.out.B, data...)
	}
	x.Sent = int64(len(data))
	wire.Discard(body, len(data))
	telemetry.FillServerTiming(n.out.B[:head], x)
	if complete {
		return n.flush(exchange.Complete)
	}
	if end := n.flush(exchange.Complete); end != exchange.Complete {
		return end
	}
	return n.stream(body, o.Length == wire.Chunked)
}

// frame decides how the response is framed (RFC 9112 6) and returns the body to stream, if there is one.
func (n *session) frame() (wire.Body, wire.Outgoing) {
	x := &n.x
	status := x.Response.StatusCode()
	o := wire.Outgoing{Close: x.Close}
	switch {
	case x.Tunnel != nil:
		o.Upgrade, o.NoBody, o.Close = true, true, false
		return nil, o
	case x.Request.Header.IsHead() && x.ResponseBody == nil && x.Endpoint == "":
		// Answered here: Content-Length says what GET would have got.
		n.resp.Header.SetContentLength(len(x.Response.Body()))
		o.NoBody = true
		return nil, o
	case x.Request.Header.IsHead(), status == fasthttp.StatusNotModified:
		o.NoBody = true
		return nil, o
	case status == fasthttp.StatusNoContent || status < 200:
		o.NoBody = true
		x.Response.Header.Del("Content-Length")
		return nil, o
	case x.ResponseBody == nil:
		o.Length = int64(len(x.Response.Body()))
		return nil, o
	}
	o.Length = x.ResponseBody.Length()
	if data, complete := x.ResponseBody.Buffered(); complete {
		o.Length = int64(len(data))
	}
	if o.Length < 0 {
		o.Length = wire.Chunked
		if n.head.HTTP10 { // knows no chunks: the end of the connection is the end of the body
			o.Length = wire.UntilClose
			x.Close, o.Close = true, true
		}
	}
	return x.ResponseBody, o
}

// arm starts the clock for a write that a client does not take.
func (n *session) arm() {
	n.conn.Arm(wire.After(n.server.Clients.BodyIdle.D()))
}

// flush writes what is gathered; end is what it means if that succeeds.
func (n *session) flush(end exchange.End) exchange.End {
	_, err := n.conn.Write(n.out.B)
	n.out.Give()
	if err != nil {
		return exchange.DownstreamGone
	}
	return end
}

// streamBytes is how much of a body is carried at a time, and headRoom what most heads fit in; a larger one grows its buffer.
const (
	streamBytes = 32 << 10
	headRoom    = 4 << 10
)

// stream carries the rest of a body, and writes after each read: events must not wait for the next one.
func (n *session) stream(body wire.Body, chunked bool) exchange.End {
	var data wire.Buffer
	data.TakeSize(streamBytes)
	defer data.Give()
	p := data.B[:streamBytes]
	for {
		r, err := body.Read(p)
		if r > 0 {
			n.arm()
			if n.carry(p[:r], chunked) != nil {
				return exchange.DownstreamGone
			}
			n.x.Sent += int64(r)
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			if chunked {
				n.out.Take()
				n.out.B = append(n.out.B, wire.LastChunk...)
				return n.flush(exchange.Complete)
			}
			return exchange.Complete
		case wire.TimedOut(err):
			return exchange.DeadlineExceeded
		default:
			return exchange.UpstreamCut
		}
	}
}

// carry writes one piece of a body.
func (n *session) carry(p []byte, chunked bool) error {
	if chunked {
		n.out.TakeSize(2 * streamBytes)
		defer n.out.Give()
		n.out.B = wire.AppendChunk(n.out.B, p)
		p = n.out.B
	}
	_, err := n.conn.Write(p)
	return err
}

// abort ends a connection on which a message stays incomplete. It is reset: a plain end would look complete to a client for which
// the end of the connection is the end of the body.
func (n *session) abort(end exchange.End) {
	if end == exchange.TunnelClosed {
		return
	}
	sock := wire.Lowest(n.sock)
	if c, ok := sock.(interface{ SetLinger(int) error }); ok {
		_ = c.SetLinger(0)
	}
	_ = sock.Close() // before TLS can say that all is well
}

// Bounds of what is read from a client only to be thrown away.
const (
	drainBytes = 256 << 10
	drainTime  = 2 * time.Second
)

// rest readies the connection for its next request: an unread rest of the body is read off, if it is small.
func (n *session) rest() bool {
	body := &n.conn.Body
	if body.Length() == 0 || body.Done() {
		return true
	}
	body.Resume()
	body.Idle = 0
	body.EndBy(wire.After(drainTime))
	p := make([]byte, 4<<10)
	for left := drainBytes; left > 0; {
		r, err := body.Read(p)
		if errors.Is(err, io.EOF) {
			return true
		}
		if err != nil {
			return false
		}
		left -= r
	}
	return false
}

// linger lets the response reach a client that is still sending: closing with unread bytes in the socket would reset the
// connection, and the client might lose the response (RFC 9112 9.6). It is bounded in time only: a client that sends all of a large
// body before it reads is to learn why it was refused.
func (n *session) linger() {
	half, ok := n.sock.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	n.conn.Arm(wire.After(drainTime))
	p := make([]byte, 16<<10)
	for {
		if _, err := n.conn.Read(p); err != nil {
			return
		}
	}
}
