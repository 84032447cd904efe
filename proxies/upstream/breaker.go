package upstream

import "time"

type breakerState uint8

const (
	closed   breakerState = iota
	open                  // no exchange until the pause is over
	halfOpen              // exactly one probe is in flight
)

func (s breakerState) String() string { return [...]string{"closed", "open", "half_open"}[s] }

// verdict is what one exchange says about its endpoint.
type verdict uint8

const (
	success   verdict = iota // a status below 500, body complete
	failure                  // no answer, a broken one, or a status of 500 and above
	shed                     // 429: the endpoint is well and says no; it lowers the success rate and fails a probe, but is no failure of a run
	abandoned                // the client left: nothing is known
)

// breaker is a pure state machine; time comes in with each call. It opens on a run of failures, on a success rate that is too low
// or on too many slow calls, stays open for a pause that doubles from first to longest, and then lets exactly one probe through,
// whose verdict closes or reopens it.
//
// The generation counts the transitions: a verdict on an exchange that began in an earlier one counts for nothing, else answers
// that were late already when the breaker tripped would reopen or close it.
type breaker struct {
	threshold      int           // consecutive failures; 0: never opens
	rate           float64       // of successes, below which it opens; 0: not looked at
	least          int           // calls in the window before rates count
	slowCall       time.Duration // from which on a call is slow; 0: none is
	slowRate       float64       // of slow calls, above which it opens
	first, longest time.Duration

	state      breakerState
	failures   int
	window     window
	generation uint64
	pause      time.Duration // of the current run of openings
	until      time.Time     // end of the pause
}

// ready says whether an exchange would be admitted.
func (b *breaker) ready(now time.Time) bool {
	return b.state == closed || b.state == open && !now.Before(b.until)
}

// admit lets one exchange through and returns the generation its verdict must carry. After the pause it turns half-open.
func (b *breaker) admit(now time.Time) (generation uint64, ok bool) {
	if !b.ready(now) {
		return 0, false
	}
	if b.state == open {
		b.turn(halfOpen)
	}
	return b.generation, true
}

// settle takes in a verdict, and how long the response took. trip says that the breaker wants to open; the caller, who guards the
// fleet, then calls open or not.
func (b *breaker) settle(generation uint64, v verdict, took time.Duration, now time.Time) (trip bool) {
	if generation != b.generation {
		return false
	}
	slow := b.slowCall > 0 && took >= b.slowCall
	if b.state == halfOpen {
		return b.probed(v, slow)
	}
	if b.threshold == 0 || v == abandoned {
		return false
	}
	switch v {
	case success:
		b.failures = 0
	case failure:
		b.failures++
	}
	if b.failures >= b.threshold {
		return true
	}
	return b.rates() && b.overrun(v, slow, now)
}

// probed settles the probe: what says nothing leaves room for the next one, since the pause is over.
func (b *breaker) probed(v verdict, slow bool) (trip bool) {
	switch {
	case v == abandoned:
		b.turn(open)
	case v == success && !slow:
		b.pause = 0
		b.forget()
		b.turn(closed)
	default:
		return true
	}
	return false
}

// rates says whether the window is needed.
func (b *breaker) rates() bool { return b.rate > 0 || b.slowCall > 0 }

// overrun counts a call and says whether it was the one too many.
func (b *breaker) overrun(v verdict, slow bool, now time.Time) bool {
	b.window.add(now, v != success, slow)
	s := &b.window.sum
	if s.calls < b.least {
		return false
	}
	calls := float64(s.calls)
	return v != success && float64(s.calls-s.bad) < b.rate*calls || slow && float64(s.slow) > b.slowRate*calls
}

// open begins a pause. jitter is in [0, 1); it spreads the pauses of many breakers over +-20%, so that they do not probe in step.
func (b *breaker) open(now time.Time, jitter float64) {
	b.pause = min(max(2*b.pause, b.first), b.longest)
	b.until = now.Add(time.Duration(float64(b.pause) * (0.8 + 0.4*jitter)))
	b.forget()
	b.turn(open)
}

// forget drops what led to the last decision.
func (b *breaker) forget() {
	b.failures, b.window = 0, window{}
}

func (b *breaker) turn(s breakerState) {
	b.state = s
	b.generation++
}
