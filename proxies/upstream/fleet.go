package upstream

import "time"

// fleet is the endpoints in force.
type fleet struct {
	endpoints []*endpoint
	balance   balancer
}

// panicShare is the share of a fleet that breakers may take out of the choice: beyond it the fault is likelier to be common to all,
// and the rest, which would get everything, would only follow.
const panicShare = 0.5

// mayEject says how many of n endpoints may be out at a time: at least one, so that a breaker works in the smallest fleet.
func mayEject(n int) int { return max(1, int(float64(n)*panicShare)) }

// trip opens the breaker of an endpoint, unless too many are open already: then it goes on being chosen, and asks again with its
// next failure.
func (u *Upstream) trip(e *endpoint, generation uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	f := u.fleet.Load()
	out := 0
	for _, other := range f.endpoints {
		if other != e && other.tripped.Load() {
			out++
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.breaker.generation != generation || out >= mayEject(len(f.endpoints)) && e.breaker.state == closed {
		return
	}
	e.breaker.open(u.now(), u.random.Float64())
	e.tripped.Store(true)
	u.observer.BreakerChange(u.name, e.config.Address, open.String())
}

// choose picks and admits an endpoint that was not tried yet; nil if none is ready.
func (f *fleet) choose(tried []*endpoint, now time.Time) (*endpoint, uint64) {
	for range f.endpoints {
		e := f.balance.pick(f.endpoints, tried, now)
		if e == nil {
			return nil, 0
		}
		if generation, ok := e.admit(now); ok {
			return e, generation
		}
	}
	return nil, 0
}

func contains(tried []*endpoint, e *endpoint) bool {
	for _, t := range tried {
		if t == e {
			return true
		}
	}
	return false
}
