package upstream

import (
	"sync"
	"sync/atomic"
	"time"

	"crossroads/proxies/config"
)

// endpoint is one address of an upstream, with everything that is known about it.
type endpoint struct {
	up      *Upstream
	config  config.Endpoint
	network string // tcp or unix
	address string
	host    string // for requests that name none
	weight  atomic.Int64
	pool    pool

	inFlight       atomic.Int64
	served, failed atomic.Int64
	tripped        atomic.Bool // the breaker is not closed: saves the lock where all is well

	mu      sync.Mutex
	breaker breaker

	current int64 // of the smooth weighted round robin, under its lock
}

func newEndpoint(u *Upstream, c config.Endpoint) *endpoint {
	e := &endpoint{up: u, config: c}
	e.network, e.address = split(c.Address)
	if e.host = e.address; e.network == "unix" {
		e.host = "localhost"
	}
	e.weight.Store(int64(max(c.Weight, 1)))
	e.pool.maxIdle, e.pool.maxOpen, e.pool.idle = u.config.MaxIdle, u.config.MaxConns, u.config.Idle.D()
	if b := u.config.Breaker; b.Mode != config.Off {
		e.breaker = breaker{threshold: b.ConsecutiveFailures, first: b.Open.D(), longest: b.MaxOpen.D()}
		if e.breaker.threshold == 0 {
			e.breaker.threshold = 7
		}
		if e.breaker.first == 0 {
			e.breaker.first = time.Second
		}
		e.breaker.longest = max(e.breaker.longest, e.breaker.first)
		if b.MaxOpen == 0 {
			e.breaker.longest = max(time.Minute, e.breaker.first)
		}
	}
	return e
}

// ready says whether the balancer may choose the endpoint.
func (e *endpoint) ready(now time.Time) bool {
	if !e.tripped.Load() {
		return true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.breaker.ready(now)
}

// admit takes the endpoint for one exchange; every admission is settled once.
func (e *endpoint) admit(now time.Time) (generation uint64, ok bool) {
	e.mu.Lock()
	was := e.breaker.state
	generation, ok = e.breaker.admit(now)
	is := e.breaker.state
	e.mu.Unlock()
	if ok {
		e.inFlight.Add(1)
	}
	if is != was {
		e.up.observer.BreakerChange(e.up.name, e.config.Address, is.String())
	}
	return generation, ok
}

// settle ends an admission with what it showed.
func (e *endpoint) settle(generation uint64, v verdict) {
	e.inFlight.Add(-1)
	switch v {
	case success:
		e.served.Add(1)
	case failure:
		e.failed.Add(1)
	}
	e.mu.Lock()
	was := e.breaker.state
	trip := e.breaker.settle(generation, v)
	if was == halfOpen && e.breaker.state == closed {
		e.tripped.Store(false)
	}
	is := e.breaker.state
	e.mu.Unlock()
	switch {
	case trip && e.up.config.Breaker.Mode == config.Shadow:
		e.up.observer.BreakerChange(e.up.name, e.config.Address, "would_open")
		e.mu.Lock()
		e.breaker.failures = 0
		e.mu.Unlock()
	case trip:
		e.up.trip(e, generation)
	case is != was:
		e.up.observer.BreakerChange(e.up.name, e.config.Address, is.String())
	}
}

func (e *endpoint) describe(now time.Time) EndpointState {
	e.mu.Lock()
	state, ready := e.breaker.state, e.breaker.ready(now)
	e.mu.Unlock()
	pooled, conns := e.pool.count()
	return EndpointState{
		Address: e.config.Address, Weight: int(e.weight.Load()), Identity: e.config.Identity, Ready: ready, Breaker: state.String(),
		InFlight: e.inFlight.Load(), Pooled: pooled, Open: conns, Served: e.served.Load(), Failed: e.failed.Load(),
	}
}
