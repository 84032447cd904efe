package listen

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"crossroads/proxies/exchange"
	"crossroads/proxies/wire"
)

// refuse answers a request that no exchange was made of, and ends the connection: its framing is in doubt.
func (n *session) refuse(err error) bool {
	var refused *wire.Error
	fault := exchange.HeaderTimeout
	switch {
	case errors.As(err, &refused):
		fault = exchange.RequestFault(err)
	case wire.TimedOut(err):
	case errors.Is(err, io.EOF): // in the middle of a head
		fault = exchange.BadRequest
	default:
		return false
	}
	n.server.Observer.Rejected(fault.Reason)
	if n.server.Refused != nil {
		n.server.Refused(n.x.Peer, fault)
	}
	if n.answer(fault) {
		n.linger()
	}
	return false
}

// answer writes a fault outside of any exchange; false: the client is gone.
func (n *session) answer(fault *exchange.Fault) bool {
	x := &n.x
	x.Response.Reset()
	n.server.OnFault(x, fault)
	n.arm()
	n.out.Take()
	n.out.B = wire.AppendResponse(n.out.B, &x.Response.Header, wire.Outgoing{Length: int64(len(x.Response.Body())), Close: true})
	n.out.B = append(n.out.B, x.Response.Body()...)
	return n.flush(exchange.Complete) == exchange.Complete
}

// lastHop answers an OPTIONS request that may go no further (RFC 9110 7.6.2).
func (n *session) lastHop() bool {
	n.x.Response.SetStatusCode(200)
	if n.respond() != exchange.Complete || n.x.Close || !n.rest() {
		n.linger()
		return false
	}
	return true
}

// panicked contains a panic: the exchange is finished if it was not, and answered with 500 if nothing of a response is out.
func (n *session) panicked(p any, finished bool) {
	fmt.Fprintf(os.Stderr, "panic in an exchange: %v\n%s", p, debug.Stack())
	n.server.Observer.Rejected(exchange.Panicked.Reason)
	n.x.Fault = exchange.Panicked
	answered := !n.began && n.answer(exchange.Panicked)
	if !finished {
		n.finishAfterPanic()
	}
	if answered {
		n.linger()
	} else {
		n.abort(exchange.UpstreamCut)
	}
}

// finishAfterPanic settles what the exchange holds; a stage that panics again must not take the process with it.
func (n *session) finishAfterPanic() {
	defer func() {
		if again := recover(); again != nil {
			fmt.Fprintf(os.Stderr, "panic while finishing an exchange: %v\n%s", again, debug.Stack())
		}
	}()
	n.server.Service.Finish(&n.x, exchange.UpstreamCut)
}
