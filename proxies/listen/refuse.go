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
	n.answer(fault)
	return false
}

// answer writes a fault outside of any exchange.
func (n *session) answer(fault *exchange.Fault) {
	x := &n.x
	x.Response.Reset()
	exchange.WriteFault(x, fault)
	n.arm()
	n.out.Take()
	n.out.B = wire.AppendResponse(n.out.B, &x.Response.Header, wire.Outgoing{Length: int64(len(x.Response.Body())), Close: true})
	n.out.B = append(n.out.B, x.Response.Body()...)
	if n.flush(exchange.Complete) == exchange.Complete {
		n.linger()
	}
}

// panicked contains a panic: the exchange is finished if it was not, and answered with 500 if nothing of a response is out.
func (n *session) panicked(p any, finished bool) {
	fmt.Fprintf(os.Stderr, "panic in an exchange: %v\n%s", p, debug.Stack())
	n.server.Observer.Rejected(exchange.Panicked.Reason)
	n.x.Fault = exchange.Panicked
	if !n.began {
		n.answer(exchange.Panicked)
	} else {
		n.abort(exchange.UpstreamCut)
	}
	if finished {
		return
	}
	defer func() {
		if again := recover(); again != nil {
			fmt.Fprintf(os.Stderr, "panic while finishing it: %v\n%s", again, debug.Stack())
		}
	}()
	n.server.Service.Finish(&n.x, exchange.UpstreamCut)
}
