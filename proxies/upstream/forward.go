package upstream

import (
	"crossroads/proxies/exchange"
	"crossroads/proxies/wire"
)

// Forward implements exchange.Forwarder: it sets the response head and body, or a fault.
func (u *Upstream) Forward(x *exchange.Exchange) exchange.Step {
	terms := &noTerms
	if x.Route != nil {
		terms = x.Route
	}
	if terms.Timeout > 0 && x.Deadline.IsZero() {
		x.Deadline = x.Start.Add(terms.Timeout)
	}
	t := try{x: x, up: u, terms: terms, deadline: wire.At(x.Deadline), fleet: u.fleet.Load()}
	if fault := t.prepare(); fault != nil {
		return x.Fail(fault)
	}
	if fault := t.run(); fault != nil {
		return x.Fail(fault)
	}
	return exchange.Continue
}

var noTerms exchange.Route

// try is one exchange's way through the endpoints. It lives on the stack.
type try struct {
	x        *exchange.Exchange
	up       *Upstream
	terms    *exchange.Route
	fleet    *fleet
	deadline wire.Instant
	body     []byte      // of the request, whole, where it is here
	stream   wire.Body   // else
	tried    []*endpoint // grows only where a try failed
}

// prepare settles how the request body goes: with the head, or streamed behind it.
func (t *try) prepare() *exchange.Fault {
	b := t.x.RequestBody
	if b == nil {
		return nil
	}
	if in, ok := b.(incoming); ok {
		if err := in.Limit(t.terms.MaxBody); err != nil {
			return exchange.RequestFault(err)
		}
		if err := in.Gather(inlineBody); err != nil {
			return exchange.RequestFault(err)
		}
	}
	if data, complete := b.Buffered(); complete {
		t.body = data
	} else {
		t.stream = b
	}
	return nil
}

// run tries endpoints until one answers, or until it is not safe or not allowed to go on.
func (t *try) run() *exchange.Fault {
	refused := (*exchange.Fault)(nil) // why the last endpoint could not be asked
	for {
		e, generation := t.fleet.choose(t.tried, t.up.now())
		if e == nil {
			return t.nobody(refused)
		}
		t.x.Attempts++
		result, fault := t.ask(e, generation)
		if result == answered {
			return nil
		}
		more := t.x.Attempts < t.terms.Retry.Attempts
		switch {
		case t.deadline != 0 && wire.Now() >= t.deadline:
			return fault
		case result == unprocessed: // safe whatever the method
			more = true
		case result == lost:
			more = more && idempotent(t.x.Request.Header.Method()) && t.stream == nil
		default:
			more = false
		}
		if !more {
			return fault
		}
		refused = fault
		t.tried = append(t.tried, e)
		t.x.Response.Reset()
	}
}

// nobody names why no endpoint is left.
func (t *try) nobody(refused *exchange.Fault) *exchange.Fault {
	switch {
	case refused != nil:
		return refused
	case len(t.fleet.endpoints) == 0:
		return exchange.NoEndpoint
	}
	return exchange.BreakerOpen
}

// idempotent methods may be sent again when a connection failed before it answered (RFC 9110 9.2.2).
func idempotent(method []byte) bool {
	switch string(method) {
	case "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE":
		return true
	}
	return false
}
