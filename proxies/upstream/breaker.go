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
	shed                     // 429: the endpoint is well and says no; a probe it fails, a run of failures it neither adds to nor ends
	abandoned                // the client left: nothing is known
)

// breaker is a pure state machine; time comes in with each call. It opens on a run of failures, stays open for a pause that doubles
// from first to longest, and then lets exactly one probe through, whose verdict closes or reopens it.
//
// The generation counts the transitions: a verdict on an exchange that began in an earlier one counts for nothing, else answers
// that were late already when the breaker tripped would reopen or close it.
type breaker struct {
	threshold      int // consecutive failures; 0: never opens
	first, longest time.Duration

	state      breakerState
	failures   int
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

// settle takes in a verdict. trip says that the breaker wants to open; the caller, who guards the fleet, then calls open or not.
func (b *breaker) settle(generation uint64, v verdict) (trip bool) {
	if generation != b.generation {
		return false
	}
	switch {
	case b.state == halfOpen && v == success:
		b.pause, b.failures = 0, 0
		b.turn(closed)
	case b.state == halfOpen && v == abandoned:
		b.turn(open) // its pause is over: the next exchange probes
	case b.state == halfOpen:
		return true
	case v == success:
		b.failures = 0
	case v == failure:
		b.failures++
		return b.threshold > 0 && b.failures >= b.threshold
	}
	return false
}

// open begins a pause. jitter is in [0, 1); it spreads the pauses of many breakers over +-20%, so that they do not probe in step.
func (b *breaker) open(now time.Time, jitter float64) {
	b.pause = min(max(2*b.pause, b.first), b.longest)
	b.until = now.Add(time.Duration(float64(b.pause) * (0.8 + 0.4*jitter)))
	b.failures = 0
	b.turn(open)
}

func (b *breaker) turn(s breakerState) {
	b.state = s
	b.generation++
}
