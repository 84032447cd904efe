package upstream

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"time"

	"crossroads/proxies/exchange"
	"crossroads/proxies/wire"
)

// again says whether the request goes to an endpoint once more. Then a retry has been taken out of the budget, and its wait is over.
func (t *try) again(r result, f *exchange.Fault) bool {
	if r == full { // nothing was sent, and nothing failed: the balancer chose somebody who has no room
		t.x.Attempts--
		return len(t.fleet.endpoints) > 1 && t.elsewhere()
	}
	if !t.safe(r) || shedding(t.x, r) || t.deadline != 0 && wire.Now() >= t.deadline || !t.elsewhere() {
		return false
	}
	if !t.up.bulkhead.retries.take() {
		t.up.refuse("retries", nil)
		return false
	}
	if !t.up.budget.spend(t.up.now(), t.fleet.inFlight()) {
		t.up.bulkhead.retries.give()
		t.up.observer.RetryRefused(t.up.name)
		return false
	}
	t.retrying = true
	if (r != unprocessed || len(t.tried) == 0) && !t.pause() {
		t.endRetry()
		return false
	}
	return true
}

// safe says whether the request may be sent again, and the route wants it: what was not processed whatever the method, the rest if
// it is idempotent (RFC 9110 9.2.2), here whole, and allowed by the number of attempts.
func (t *try) safe(r result) bool {
	switch {
	case r == final:
		return false
	case r == unprocessed && (len(t.fleet.endpoints) > 1 || t.x.Attempts < t.terms.Retry.Attempts):
		return true // another endpoint is not a further burden on this one
	case t.x.Attempts >= t.terms.Retry.Attempts, t.stream != nil, !idempotent(t.x.Request.Header.Method()):
		return false
	}
	return r == lost || slices.Contains(t.terms.Retry.On, t.x.Response.StatusCode())
}

// shedding says whether the answer asks for less: to send it all again would undo what the endpoint, or the sidecar in front of it,
// does to recover. 429 is among no route's codes.
func shedding(x *exchange.Exchange, r result) bool {
	if r != answered {
		return false
	}
	h := &x.Response.Header
	if h.StatusCode() == 503 && len(h.Peek("Retry-After")) > 0 {
		return true
	}
	why := h.Peek("X-Mesh-Error")
	return bytes.Equal(why, wordOverloaded) || bytes.Equal(why, wordRateLimited)
}

var (
	wordOverloaded  = []byte(exchange.Overloaded.Reason)
	wordRateLimited = []byte(exchange.RateLimited.Reason)
)

// elsewhere says whether there is an endpoint to go to. A lone one may be asked again: its address often stands for many.
func (t *try) elsewhere() bool {
	if len(t.fleet.endpoints) == 1 {
		t.tried = nil
		return t.terms.Retry.Attempts > 1
	}
	c := t.choice(t.up.now())
	return slices.ContainsFunc(c.endpoints, c.may)
}

// pause waits before a retry; false: it would be too late, or the client is gone. An answer that may still go out is kept.
func (t *try) pause() bool {
	d := backoff(t.terms.Retry, t.x.Attempts, rand.Float64())
	if t.deadline != 0 && wire.Now()+wire.Instant(d) >= t.deadline {
		return false
	}
	if d <= 0 {
		return true
	}
	ended := make(chan struct{}, 1)
	end := func() {
		select {
		case ended <- struct{}{}:
		default:
		}
	}
	t.x.Cancel.Waiting(&end)
	since := wire.Now()
	timer := time.NewTimer(d)
	defer timer.Stop()
	on := true
	select {
	case <-timer.C:
	case <-ended:
		on = false
	}
	paused := time.Duration(wire.Now() - since) // the proxy does nothing meanwhile: it is not its own time
	t.x.Upstream += paused
	t.x.Ledger.Wait(paused)
	t.x.Cancel.Waiting(t.waiting())
	return on
}

// waiting is what ends the wait for the answer at hand, if there is one.
func (t *try) waiting() *func() {
	if t.answer == nil {
		return nil
	}
	return &t.answer.stop
}

// backoff is full jitter: anything up to a bound that doubles with each try. What many clients do at once is spread best by it.
func backoff(r exchange.Retry, attempts int, random float64) time.Duration {
	bound := r.Backoff
	for i := 1; i < attempts && bound < r.MaxBackoff; i++ {
		bound *= 2
	}
	return time.Duration(random * float64(min(bound, r.MaxBackoff)))
}

// endRetry gives the place among the retries in flight back.
func (t *try) endRetry() {
	if t.retrying {
		t.retrying = false
		t.up.endRetry()
	}
}

func (u *Upstream) endRetry() {
	u.budget.done()
	u.bulkhead.retries.give()
}

// idempotent methods may be sent again when a connection failed before it answered (RFC 9110 9.2.2).
func idempotent(method []byte) bool {
	switch string(method) {
	case "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE":
		return true
	}
	return false
}
