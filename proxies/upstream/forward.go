package upstream

import (
	"slices"
	"time"

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
	hurried := false
	if terms.CarryDeadline {
		var fault *exchange.Fault
		if hurried, fault = honour(x); fault != nil {
			return x.Fail(fault)
		}
	}
	t := try{x: x, up: u, terms: terms, deadline: wire.At(x.Deadline), hurried: hurried, fleet: u.fleet.Load()}
	if len(u.config.HashBy) > 0 {
		t.key = hashKey(x, u.config.HashBy)
	}
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
	hurried  bool        // the deadline is the caller's: that it passes says nothing about an endpoint
	body     []byte      // of the request, whole, where it is here
	stream   wire.Body   // else
	tried    []*endpoint // grows only where a try failed
	key      uint64      // of consistent hashing
	answer   *conn       // that carries the answer at hand
	retrying bool        // the try under way is a retry
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
		if err := t.gather(in); err != nil {
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

// gather reads a short body whole. What the client takes to send it is a wait.
func (t *try) gather(in incoming) error {
	since := in.Waited()
	err := in.Gather(inlineBody)
	t.x.Ledger.Wait(in.Waited() - since)
	return err
}

// run tries endpoints until one answers, or until it is not safe or not allowed to go on.
func (t *try) run() *exchange.Fault {
	now := t.up.now()
	t.up.budget.request(now)
	e, generation, fault := t.choose(now)
	if e == nil {
		return fault
	}
	for {
		t.x.Attempts++
		r, fault := t.ask(e, generation)
		if r == answered && (t.terms.Retry.Attempts < 2 || !slices.Contains(t.terms.Retry.On, t.x.Response.StatusCode())) {
			return nil
		}
		t.tried = append(t.tried, e)
		if !t.again(r, fault) {
			return fault // or the answer, as it is
		}
		if e, generation, _ = t.choose(t.up.now()); e == nil {
			t.endRetry()
			return fault
		}
		if t.retrying {
			t.up.observer.Retried(t.up.name)
		}
		t.x.Release()
		t.answer = nil
		t.x.ResponseBody, t.x.Endpoint = nil, ""
		t.x.Response.Reset()
	}
}

// choose picks and admits an endpoint that was not tried yet.
func (t *try) choose(now time.Time) (*endpoint, uint64, *exchange.Fault) {
	if !t.up.bulkhead.requests.take() {
		return nil, 0, t.up.refuse("requests", fullRequests)
	}
	c := t.choice(now)
	if e, generation := t.fleet.choose(c); e != nil {
		return e, generation, nil
	}
	t.up.bulkhead.requests.give()
	return nil, 0, t.nobody(c)
}

// choice is what is left to choose from.
func (t *try) choice(now time.Time) choice {
	return choice{endpoints: t.fleet.endpoints, tried: t.tried, now: now, key: t.key, sick: t.fleet.sick.Load()}
}

// nobody names why no endpoint can be chosen.
func (t *try) nobody(c choice) *exchange.Fault {
	if len(c.endpoints) == 0 {
		return exchange.NoEndpoint
	}
	unfit, busy := exchange.NoEndpoint.With("health checks hold every endpoint for down"), false
	for _, e := range c.endpoints {
		busy = busy || e.full()
		if e.tripped.Load() {
			unfit = exchange.BreakerOpen
		}
	}
	if busy {
		return t.up.refuse("endpoint_requests", fullEndpoints)
	}
	return unfit
}
