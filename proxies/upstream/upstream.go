// Package upstream takes an exchange to one of several endpoints that serve the same thing: it balances, keeps connections,
// trips endpoints that fail out of the choice, and tries again where that is safe.
//
// Its one invariant: a connection carries a further request only if everything sent and received on it belonged to exchanges that
// ended whole; where that is in doubt it is closed. It does not know routes' matches, stages or how a response reaches its client.
package upstream

import (
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
)

// Options is what an upstream is made of.
type Options struct {
	Name   string
	Config config.Upstream
	TLS    func(config.Endpoint) *tls.Config // nil, or returning nil: plaintext; the configuration verifies the peer
	// Handshake hears how a TLS handshake with an endpoint ended; it must not block and may be nil.
	Handshake func(e config.Endpoint, state tls.ConnectionState, err error)
	Observer  Observer         // may be nil
	Now       func() time.Time // of the breakers; nil: time.Now
	Seed      uint64           // of random choices
	Faults    Faults           // nil: nothing goes wrong on purpose
}

// Observer hears what metrics count. Its methods are called on the data path and must not block.
type Observer interface {
	Attempt(upstream, result string)
	Connect(upstream string, d time.Duration)
	BreakerChange(upstream, endpoint, state string)
	Retried(upstream string)
	RetryRefused(upstream string)   // the budget was used up
	Refused(upstream, limit string) // a limit was reached
	Checked(upstream, result string)
}

// Upstream implements exchange.Forwarder.
type Upstream struct {
	name     string
	config   config.Upstream
	tls      func(config.Endpoint) *tls.Config
	shaken   func(config.Endpoint, tls.ConnectionState, error)
	observer Observer
	now      func() time.Time
	fleet    atomic.Pointer[fleet]
	start    time.Time // spans count from here
	learns   bool      // the balancer wants response times
	budget   budget
	bulkhead bulkhead
	faults   Faults

	maxEjected float64

	mu     sync.Mutex // of Update and Close
	closed bool
	random *rand.Rand // of breakers, under mu
}

var _ exchange.Forwarder = (*Upstream)(nil)

// New makes an upstream of the configured endpoints; there may be none yet.
func New(o Options) (*Upstream, error) {
	u := &Upstream{name: o.Name, config: o.Config, tls: o.TLS, shaken: o.Handshake, observer: o.Observer, now: o.Now, faults: o.Faults}
	if u.now == nil {
		u.now = time.Now
	}
	if u.observer == nil {
		u.observer = silent{}
	}
	u.start = u.now()
	u.budget.set(o.Config.Budget, u.start)
	u.bulkhead.set(o.Config.Limits)
	if u.maxEjected = o.Config.Breaker.MaxEjected.F(); u.maxEjected == 0 {
		u.maxEjected = 0.5
	}
	u.random = rand.New(rand.NewPCG(o.Seed, 1))
	b, err := newBalancer(o.Config.Balance, o.Seed)
	if err != nil {
		return nil, fmt.Errorf("upstream %s: %w", o.Name, err)
	}
	_, u.learns = b.(*peakEWMA)
	u.fleet.Store(&fleet{balance: b})
	u.Update(o.Config.Endpoints)
	return u, nil
}

// Update puts other endpoints in place, atomically. Those that stay keep their connections, breakers and estimates; of those that
// leave, idle connections are closed and exchanges in flight end as they would.
func (u *Upstream) Update(endpoints []config.Endpoint) {
	u.mu.Lock()
	defer u.mu.Unlock()
	old := u.fleet.Load()
	type key struct{ address, identity string } // another weight is the same endpoint
	known := map[key]*endpoint{}
	for _, e := range old.endpoints {
		known[key{e.config.Address, e.config.Identity}] = e
	}
	next := &fleet{balance: old.balance}
	for _, c := range endpoints {
		k := key{c.Address, c.Identity}
		e := known[k]
		if e == nil {
			e = newEndpoint(u, c)
			if u.config.Health != nil && !u.closed {
				go e.watch(*u.config.Health, e.stop)
			}
		}
		e.weight.Store(int64(max(c.Weight, 1)))
		delete(known, k)
		next.endpoints = append(next.endpoints, e)
	}
	if r, ok := old.balance.(*ringHash); ok {
		next.balance = r.over(next.endpoints)
	}
	next.assess(u.config.Panic.F())
	u.fleet.Store(next)
	for _, e := range known {
		e.leave()
	}
}

// leave ends what runs for an endpoint that is no longer chosen.
func (e *endpoint) leave() {
	close(e.stop)
	e.pool.close()
}

// Close closes idle connections, keeps none from now on and ends the health checks.
func (u *Upstream) Close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return
	}
	u.closed = true
	for _, e := range u.fleet.Load().endpoints {
		e.leave()
	}
}

// EndpointState is what an endpoint looks like from outside.
type EndpointState struct {
	Address  string `json:"address"`
	Weight   int    `json:"weight"`
	Identity string `json:"identity,omitempty"`
	Ready    bool   `json:"ready"`    // breaker and health checks let the balancer choose it
	Down     bool   `json:"down"`     // health checks say so
	Refusing bool   `json:"refusing"` // it could not be connected to just now: others are chosen while there are any
	Breaker  string `json:"breaker"`  // closed | open | half_open
	InFlight int64  `json:"in_flight"`
	Pooled   int    `json:"pooled"`
	Open     int    `json:"open_connections"`
	Served   int64  `json:"served"` // exchanges that ended whole with a status below 500
	Failed   int64  `json:"failed"`
}

// Endpoints describes the endpoints in their configured order.
func (u *Upstream) Endpoints() []EndpointState {
	endpoints := u.fleet.Load().endpoints
	states := make([]EndpointState, 0, len(endpoints))
	for _, e := range endpoints {
		states = append(states, e.describe(u.now()))
	}
	return states
}

type silent struct{}

func (silent) Attempt(string, string)               {}
func (silent) Connect(string, time.Duration)        {}
func (silent) BreakerChange(string, string, string) {}
func (silent) Retried(string)                       {}
func (silent) RetryRefused(string)                  {}
func (silent) Refused(string, string)               {}
func (silent) Checked(string, string)               {}
