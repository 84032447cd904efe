package upstream

import (
	"errors"
	"strings"
	"time"

	"crossroads/proxies/exchange"
	"crossroads/proxies/wire"
)

// result says what became of asking one endpoint, as far as the next step depends on it.
type result uint8

const (
	answered    result = iota // the response head is set
	full                      // the endpoint was not asked: it has no room for another connection
	unprocessed               // it never saw the request
	lost                      // it may have, and did not answer
	final                     // it did, or the client's body failed: nothing may be sent again
)

// maxResponseHead bounds a response head, and maxInterim the 1xx responses in front of it.
const (
	maxResponseHead = 64 << 10
	maxInterim      = 16
	headRoom        = 4 << 10 // what most heads fit in; a larger one grows its buffer
)

// ask sends the request to one endpoint and reads the response head. The admission is settled here unless the exchange goes on.
func (t *try) ask(e *endpoint, generation uint64) (result, *exchange.Fault) {
	began := wire.Now()
	until := t.deadline
	if t.terms.PerTry > 0 {
		until = wire.Sooner(until, began+wire.Instant(t.terms.PerTry))
	}
	r, c, fault := t.attempt(e, generation, until)
	took := time.Duration(wire.Now() - began)
	t.x.Upstream += took
	if t.stream != nil {
		took = 0 // the client's pace, not the endpoint's
	}
	word := "answered"
	if fault != nil {
		word = fault.Reason
		e.settle(generation, t.blame(fault, until), took)
		t.endRetry()
	} else {
		c.took, c.retry, c.hurry = took, t.retrying, 0
		if t.hurried {
			c.hurry = t.deadline
		}
		t.retrying, t.answer = false, c
	}
	t.up.observer.Attempt(t.up.name, word)
	return r, fault
}

// blame is what a try that failed says about its endpoint.
func (t *try) blame(f *exchange.Fault, until wire.Instant) verdict {
	switch {
	case f.Reason == exchange.Overloaded.Reason, f.Status < 500: // our own limit, or the client's body
		return abandoned
	case t.hurried && until == t.deadline && wire.Now() >= until: // the caller gave it too little time
		return abandoned
	}
	return failure
}

// attempt uses a pooled connection if there is one. One that turns out to be stale, closed by the endpoint while it was idle, is
// replaced once by a fresh one (RFC 9112 9.3.1), and says nothing about the endpoint.
func (t *try) attempt(e *endpoint, generation uint64, until wire.Instant) (result, *conn, *exchange.Fault) {
	upgrade := len(t.x.Request.Header.Peek("Upgrade")) > 0
	if !upgrade {
		if c := e.pool.take(); c != nil {
			r, fault := t.exchange(c, generation, until, false)
			if r == answered || !t.stale(r, fault) {
				return r, c, fault
			}
			t.x.Response.Reset()
		}
	}
	c, fault := t.dial(e, until)
	switch {
	case fault == fullEndpoint:
		return full, nil, fault
	case fault != nil && fault.Reason == exchange.Overloaded.Reason:
		return final, nil, fault
	case fault != nil:
		return unprocessed, nil, fault
	}
	r, fault := t.exchange(c, generation, until, upgrade)
	return r, c, fault
}

// dial opens a connection. All of it is a wait in the ledger but the work of its handshake: whoever relays dials as often.
func (t *try) dial(e *endpoint, until wire.Instant) (*conn, *exchange.Fault) {
	since := wire.Now()
	c, fault := e.dial(until)
	waited := time.Duration(wire.Now() - since)
	if c != nil {
		waited -= c.shaking
	}
	t.x.Ledger.Wait(waited)
	return c, fault
}

// stale says whether a reused connection failed in the way of one that the other end had closed, and the request may go again. One
// that may have been processed after all is a retry, and the budget has its say.
func (t *try) stale(r result, f *exchange.Fault) bool {
	if t.stream != nil || f != exchange.UpstreamReset {
		return false
	}
	if r == unprocessed {
		return true
	}
	if r != lost || !idempotent(t.x.Request.Header.Method()) {
		return false
	}
	if !t.up.budget.spend(t.up.now(), t.fleet.inFlight()) {
		t.up.observer.RetryRefused(t.up.name)
		return false
	}
	t.up.budget.done() // it takes the place of the try that failed
	t.up.observer.Attempt(t.up.name, "stale")
	return true
}

// exchange sends the request on c and reads the response head. On failure c is closed.
func (t *try) exchange(c *conn, generation uint64, until wire.Instant, upgrade bool) (result, *exchange.Fault) {
	c.generation, c.tunnel = generation, false
	c.Arm(until)
	c.cancel = t.x.Cancel
	c.cancel.Waiting(&c.stop)
	c.Time(t.x.Ledger.On)
	if t.terms.CarryDeadline {
		carry(t.x, until)
	}
	before := c.Writing()
	err := t.send(c, upgrade)
	t.x.Ledger.Wait(c.Writing() - before)
	if err != nil {
		fault := t.give(c, err)
		if errors.Is(err, errUnsent) {
			return unprocessed, fault
		}
		return lost, fault
	}
	if t.stream != nil {
		c.upload = startUpload(c, t.stream)
	}
	before = c.Reading() // an upload goes on beside it: its writes are no time of this goroutine
	err = t.receive(c, upgrade)
	t.x.Ledger.Wait(c.Reading() - before)
	if err == nil {
		t.accept(c)
		return answered, nil
	}
	arrived := c.Buffered() > 0 || c.response.Status != 0
	fault := t.give(c, err)
	if arrived || fault.Status < 500 {
		return final, fault
	}
	return lost, fault
}

// errUnsent marks a write of which nothing left.
var errUnsent = errors.New("nothing was sent")

// send writes the head, and the body with it where it is here.
func (t *try) send(c *conn, upgrade bool) error {
	o := wire.Outgoing{Upgrade: upgrade}
	if t.stream != nil {
		o.Length = t.stream.Length()
	} else if t.x.RequestBody != nil && t.x.RequestBody.Length() == wire.Chunked {
		o.Length = wire.Chunked
	}
	var out wire.Buffer
	out.TakeSize(headRoom + len(t.body))
	out.B = wire.AppendRequest(out.B, &t.x.Request.Header, o, c.endpoint.host)
	if t.stream == nil && o.Length == wire.Chunked {
		out.B = wire.AppendChunk(out.B, t.body)
		out.B = append(out.B, wire.LastChunk...)
	} else {
		out.B = append(out.B, t.body...)
	}
	n, err := c.Write(out.B)
	out.Give()
	if err != nil && n == 0 {
		return errors.Join(errUnsent, err)
	}
	return err
}

// receive reads the final response head; interim ones are skipped (RFC 9110 15.2).
func (t *try) receive(c *conn, upgrade bool) error {
	head := t.x.Request.Header.IsHead()
	c.response.Status = 0
	for range maxInterim {
		if err := c.ReadResponse(&t.x.Response.Header, &c.response, head, maxResponseHead); err != nil {
			return err
		}
		switch s := c.response.Status; {
		case s == 101 && upgrade && strings.EqualFold(string(c.response.Switch), "websocket"):
			c.tunnel = true
			return nil
		case s == 101: // nobody asked (RFC 9110 7.8)
			return errUnasked
		case s >= 200:
			return c.Body.Gather(0)
		}
	}
	return errInterim
}

var (
	errUnasked = &wire.Error{Text: "101 that nobody asked for"}
	errInterim = &wire.Error{Text: "too many interim responses"}
)

// accept hands the response to the exchange.
func (t *try) accept(c *conn) {
	x := t.x
	x.Endpoint = c.endpoint.config.Address
	c.Body.Idle = t.terms.Idle
	c.Body.EndBy(t.deadline)
	c.Arm(t.deadline)
	c.cancel.Waiting(&c.stop) // once more: arming undoes an interruption
	if c.tunnel {
		c.Arm(0)
		x.Tunnel = &exchange.Tunnel{Upstream: c.Conn}
	} else if c.Body.Length() != 0 {
		x.ResponseBody = &c.Body
	}
	if t.up.faults != nil {
		t.up.spoil(x)
	}
	if c.upload != nil && !c.upload.taken.Load() {
		x.Close = true // the rest of the request may be left unread
	}
	x.Retain(c.finish)
}

// give closes c after a failure and names it.
func (t *try) give(c *conn, err error) *exchange.Fault {
	c.cancel.Waiting(nil)
	fault := c.upload.failed()
	_ = c.Close()
	c.upload.join(c)
	c.upload = nil
	c.discard()
	var refused *wire.Error
	switch {
	case fault != nil:
		return fault
	case wire.TimedOut(err):
		return exchange.UpstreamTimeout
	case errors.As(err, &refused):
		return exchange.UpstreamInvalid
	}
	return exchange.UpstreamReset
}
