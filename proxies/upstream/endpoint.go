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

	limit          int64 // of inFlight; 0: none
	inFlight       atomic.Int64
	served, failed atomic.Int64
	tripped        atomic.Bool  // the breaker is not closed: saves the lock where all is well
	down           atomic.Bool  // health checks say so
	refused        atomic.Int64 // until when it is a last resort, in nanoseconds since the upstream's start; 0: it is none
	rtt            ewma
	timed          bool // the breaker looks at rates: settling needs the time
	stop           chan struct{}

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
	e.limit = int64(u.config.Limits.RequestsPerEndpoint)
	e.stop = make(chan struct{})
	e.pool.total = &u.bulkhead.connections
	e.pool.maxIdle, e.pool.maxOpen, e.pool.idle = u.config.MaxIdle, u.config.MaxConns, u.config.Idle.D()
	if b := u.config.Breaker; b.Mode != config.Off {
		e.breaker = breaker{threshold: b.ConsecutiveFailures, first: b.Open.D(), longest: b.MaxOpen.D(),
			rate: b.SuccessRate.F(), least: b.MinRequests, slowCall: b.SlowCall.D(), slowRate: b.SlowRate.F()}
		e.timed = e.breaker.rates()
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

// refusalPause is how long an endpoint that could not be connected to is left alone while others can.
const refusalPause = time.Second

// ready says whether the balancer may choose the endpoint.
func (e *endpoint) ready(c *choice) bool {
	switch {
	case e.down.Load() && !c.sick, e.full():
		return false
	case !c.refusing && e.refused.Load() != 0 && e.refusing(c.now):
		return false
	case !e.tripped.Load():
		return true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.breaker.ready(c.now)
}

// refusing says whether it refused a connection just now.
func (e *endpoint) refusing(now time.Time) bool {
	return now.Sub(e.up.start) < time.Duration(e.refused.Load())
}

// reachable takes in whether a connection could be opened. It is no health: only a hint that saves others the same refusal.
func (e *endpoint) reachable(yes bool) {
	switch {
	case !yes:
		e.refused.Store(int64(e.up.now().Sub(e.up.start) + refusalPause))
	case e.refused.Load() != 0:
		e.refused.Store(0)
	}
}

// full says whether the endpoint has as many requests as it may.
func (e *endpoint) full() bool { return e.limit > 0 && e.inFlight.Load() >= e.limit }

// admit takes the endpoint for one exchange; every admission is settled once.
func (e *endpoint) admit(now time.Time) (generation uint64, ok bool) {
	if n := e.inFlight.Add(1); e.limit > 0 && n > e.limit {
		e.inFlight.Add(-1)
		return 0, false
	}
	e.mu.Lock()
	was := e.breaker.state
	generation, ok = e.breaker.admit(now)
	is := e.breaker.state
	e.mu.Unlock()
	if !ok {
		e.inFlight.Add(-1)
	}
	if is != was {
		e.up.observer.BreakerChange(e.up.name, e.config.Address, is.String())
	}
	return generation, ok
}

// settle ends an admission with what it showed, and how long the endpoint took to answer.
func (e *endpoint) settle(generation uint64, v verdict, took time.Duration) {
	e.inFlight.Add(-1)
	e.up.bulkhead.requests.give()
	switch v {
	case success:
		e.served.Add(1)
	case failure:
		e.failed.Add(1)
	}
	var now time.Time
	if e.timed || e.up.learns {
		now = e.up.now()
	}
	e.mu.Lock()
	was := e.breaker.state
	trip := e.breaker.settle(generation, v, took, now)
	is := e.breaker.state
	if e.up.learns {
		e.learn(v, took, now, was == halfOpen && is == closed)
	}
	if trip && e.up.config.Breaker.Mode == config.Shadow {
		e.breaker.forget()
	}
	if was == halfOpen && is == closed {
		e.tripped.Store(false)
	}
	e.mu.Unlock()
	switch {
	case trip && e.up.config.Breaker.Mode == config.Shadow:
		e.up.observer.BreakerChange(e.up.name, e.config.Address, "would_open")
	case trip:
		e.up.trip(e, generation)
	case is != was:
		e.up.reassess()
		e.up.observer.BreakerChange(e.up.name, e.config.Address, is.String())
	}
}

// learn takes a response time into the estimate. An endpoint that has just recovered starts anew: what it was like before says
// nothing any more.
func (e *endpoint) learn(v verdict, took time.Duration, now time.Time, recovered bool) {
	at := now.Sub(e.up.start)
	switch {
	case v == abandoned, v == success && took == 0:
	case recovered:
		e.rtt.set(at, took.Seconds())
	case v == success:
		e.rtt.observe(at, took, tau)
	default:
		e.rtt.observe(at, max(took, penalty), tau)
	}
}

func (e *endpoint) describe(now time.Time) EndpointState {
	e.mu.Lock()
	state, ready := e.breaker.state, e.breaker.ready(now)
	e.mu.Unlock()
	down := e.down.Load()
	pooled, conns := e.pool.count()
	return EndpointState{
		Address: e.config.Address, Weight: int(e.weight.Load()), Identity: e.config.Identity, Ready: ready && !down, Down: down, Refusing: e.refused.Load() != 0 && e.refusing(now), Breaker: state.String(),
		InFlight: e.inFlight.Load(), Pooled: pooled, Open: conns, Served: e.served.Load(), Failed: e.failed.Load(),
	}
}
