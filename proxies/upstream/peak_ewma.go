package upstream

import (
	"math"
	"sync/atomic"
	"time"
)

// peakEWMA draws two ready endpoints at random and takes the one that is expected to be free sooner: cost = rtt x (pending + 1),
// for its weight. rtt follows a peak at once and forgets it slowly, so that an endpoint that turns slow is avoided from its first
// slow answer on.
type peakEWMA struct {
	dice
	tau time.Duration
}

// tau is how long an estimate takes to decay to 1/e.
const tau = 10 * time.Second

// penalty is the response time that a failure counts as: one that fails fast must not look fast.
const penalty = time.Second

func (p *peakEWMA) pick(c choice) *endpoint {
	first, second := c.two(&p.dice)
	if second == nil || p.cost(first, c.now) <= p.cost(second, c.now) {
		return first
	}
	return second
}

func (p *peakEWMA) cost(e *endpoint, now time.Time) float64 {
	pending := float64(e.inFlight.Load())
	rtt := e.rtt.at(now.Sub(e.up.start), p.tau)
	if rtt == 0 && pending > 0 {
		rtt = penalty.Seconds() // nothing is known of it yet: one request finds out, not all of them
	}
	return rtt * (pending + 1) / float64(e.weight.Load())
}

// ewma is a moving average that peaks, in seconds. observe is called under the endpoint's lock, at by everybody: a reader may see
// the old value with the new instant, never the new value with the old one, which could make it decay to nothing.
type ewma struct {
	value atomic.Uint64 // math.Float64bits
	when  atomic.Int64  // nanoseconds since the upstream's start
}

// at is the estimate at an instant: without samples it decays, so that an endpoint once slow is asked again some day.
func (e *ewma) at(now, tau time.Duration) float64 {
	v := math.Float64frombits(e.value.Load())
	if age := now - time.Duration(e.when.Load()); age > 0 {
		v *= math.Exp(-float64(age) / float64(tau))
	}
	return v
}

// observe takes in a sample: one above the estimate replaces it, one below is weighted by the time since the last.
func (e *ewma) observe(now time.Duration, rtt, tau time.Duration) {
	old := e.at(now, tau)
	sample := rtt.Seconds()
	if sample < old {
		age := max(0, now-time.Duration(e.when.Load()))
		sample = old + sample*(1-math.Exp(-float64(age)/float64(tau)))
	}
	e.set(now, sample)
}

// set replaces the estimate.
func (e *ewma) set(now time.Duration, seconds float64) {
	e.when.Store(int64(now))
	e.value.Store(math.Float64bits(seconds))
}
