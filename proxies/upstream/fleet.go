package upstream

import (
	"sync/atomic"
)

// fleet is the endpoints in force.
type fleet struct {
	endpoints []*endpoint
	balance   balancer
	sick      atomic.Bool // too few are well: health checks are not believed
}

// mayEject says how many of n endpoints breakers may take out of the choice at a time: the share that was set, at least one, so
// that a breaker works in the smallest fleet, and never all of several. Beyond it the fault is likelier to be common to all, and
// the rest, which would get everything, would only follow.
func mayEject(n int, share float64) int {
	return max(1, min(int(float64(n)*share), n-1))
}

// trip opens the breaker of an endpoint, unless too many are out already: then it goes on being chosen, and asks again with its
// next failure.
func (u *Upstream) trip(e *endpoint, generation uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	f := u.fleet.Load()
	out := 0
	for _, other := range f.endpoints {
		if other != e && (other.tripped.Load() || other.down.Load()) {
			out++
		}
	}
	e.mu.Lock()
	refused := e.breaker.generation != generation || out >= mayEject(len(f.endpoints), u.maxEjected) && e.breaker.state == closed
	if !refused {
		e.breaker.open(u.now(), u.random.Float64())
		e.tripped.Store(true)
	}
	e.mu.Unlock()
	if !refused {
		f.assess(u.config.Panic.F())
		u.observer.BreakerChange(u.name, e.config.Address, open.String())
	}
}

// reassess looks at the fleet anew after an endpoint turned well or unwell.
func (u *Upstream) reassess() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.fleet.Load().assess(u.config.Panic.F())
}

// assess decides whether health checks are believed: where fewer than the threshold are well, the checks themselves are in doubt,
// and to spread the load over all is better than to crush the few.
func (f *fleet) assess(threshold float64) {
	well := 0
	for _, e := range f.endpoints {
		if !e.down.Load() && !e.tripped.Load() {
			well++
		}
	}
	f.sick.Store(float64(well) < threshold*float64(len(f.endpoints)))
}

// choose picks and admits an endpoint; nil if none is ready. Those that just refused a connection are a last resort.
func (f *fleet) choose(c choice) (*endpoint, uint64) {
	for range 2 {
		for range f.endpoints {
			e := f.balance.pick(c)
			if e == nil {
				break
			}
			if generation, ok := e.admit(c.now); ok {
				return e, generation
			}
		}
		c.refusing = true
	}
	return nil, 0
}

// inFlight is how many requests the fleet is serving.
func (f *fleet) inFlight() (n int64) {
	for _, e := range f.endpoints {
		n += e.inFlight.Load()
	}
	return n
}
