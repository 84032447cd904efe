package upstream

import (
	"slices"

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
	if t.body != nil {
		wire.Discard(x.RequestBody, len(t.body)) // nothing will send it again
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
		in.EndBy(t.deadline)
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
	e, generation := t.fleet.choose(t.tried, t.up.now())
	if e == nil {
		return t.nobody()
	}
	for {
		t.x.Attempts++
		r, fault := t.ask(e, generation)
		if !t.again(r) {
			return fault
		}
		t.tried = append(t.tried, e)
		if e, generation = t.fleet.choose(t.tried, t.up.now()); e == nil {
			return fault // or the answer, as it is
		}
		t.x.Release()
		t.x.ResponseBody, t.x.Endpoint = nil, ""
		t.x.Response.Reset()
	}
}

// again says whether the request may go to another endpoint.
func (t *try) again(r result) bool {
	switch {
	case r == final, r != unprocessed && t.x.Attempts >= t.terms.Retry.Attempts:
		return false
	case t.deadline != 0 && wire.Now() >= t.deadline:
		return false
	case r == unprocessed: // safe whatever the method
		return true
	case t.stream != nil || !idempotent(t.x.Request.Header.Method()):
		return false
	}
	return r == lost || slices.Contains(t.terms.Retry.On, t.x.Response.StatusCode())
}

// nobody names why no endpoint can be chosen.
func (t *try) nobody() *exchange.Fault {
	if len(t.fleet.endpoints) == 0 {
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
