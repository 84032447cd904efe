package upstream

import (
	"strconv"
	"time"

	"crossroads/proxies/exchange"
	"crossroads/proxies/wire"
)

// DeadlineField carries what is left of a call's deadline to the callee, in milliseconds. It is a span and not an instant, so that
// clocks need not agree; what the network takes is lost to the callee, which then gives up a little later than its caller.
const DeadlineField = "X-Mesh-Timeout"

var deadlineField = []byte(DeadlineField)

// honour makes the exchange end no later than its caller will wait; hurried says that this is sooner than the route's own timeout.
// A field that is not a number says nothing.
func honour(x *exchange.Exchange) (hurried bool, _ *exchange.Fault) {
	left, ok := milliseconds(x.Request.Header.Peek(DeadlineField))
	if !ok {
		return false, nil
	}
	if left == 0 {
		return true, deadlinePassed
	}
	at := x.Start.Add(left)
	if hurried = x.Deadline.IsZero() || at.Before(x.Deadline); hurried {
		x.Deadline = at
	}
	return hurried, nil
}

var deadlinePassed = exchange.UpstreamTimeout.With("the caller's deadline had passed")

// maxDeadlineDigits is about eleven days, far from overflow.
const maxDeadlineDigits = 9

func milliseconds(field []byte) (time.Duration, bool) {
	if len(field) == 0 || len(field) > maxDeadlineDigits {
		return 0, false
	}
	n := 0
	for _, b := range field {
		if b < '0' || b > '9' {
			return 0, false
		}
		n = 10*n + int(b-'0')
	}
	return time.Duration(n) * time.Millisecond, true
}

// carry writes what is left until the end of this try: the callee need not work on an answer that nobody waits for.
func carry(x *exchange.Exchange, until wire.Instant) {
	if until == 0 {
		x.Request.Header.DelBytes(deadlineField)
		return
	}
	var digits [20]byte
	left := max(0, time.Duration(until-wire.Now())/time.Millisecond)
	x.Request.Header.SetCanonical(deadlineField, strconv.AppendInt(digits[:0], int64(left), 10))
}
