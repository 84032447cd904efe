package stage

import (
	"net/netip"
	"sync"
	"time"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
	"crossroads/proxies/telemetry"
)

// maxCallers bounds the table of callers' rates: identities are few, addresses of those without one are not.
const maxCallers = 16 << 10

// NewCallerRate makes the rate limit of an inbound chain: each caller, by its proved identity or else its address, has a quota of its
// own (429, with Retry-After). An opaque connection costs as much as a request.
func NewCallerRate(c config.CallerLimits, m *telemetry.Metrics) *RateLimit {
	terms := config.RateLimitPolicy{Name: "caller_rate", Rate: c.Rate, Burst: c.Burst}
	shadow := c.Mode == config.Shadow
	p := newPolicy(terms, m, shadow)
	p.keys = []keyKind{{kind: kindIdentity}, {kind: kindAddress}}
	return &RateLimit{name: "caller_rate", policies: []policy{p}, store: newDebts(maxCallers, m.Evicted),
		header: policyField([]config.RateLimitPolicy{terms}), shadow: shadow}
}

// Connections returns the same limit for opaque connections, from the same quotas.
func (s *RateLimit) Connections() exchange.ConnStage { return connRate{s} }

type connRate struct{ *RateLimit }

// Admit implements exchange.ConnStage.
func (s connRate) Admit(c *exchange.Conn) error {
	x := exchange.Exchange{Peer: c.Peer, Start: time.Now()}
	if s.Inward(&x) == exchange.Failed {
		return x.Fault
	}
	return nil
}

// Finish implements exchange.ConnStage.
func (s connRate) Finish(*exchange.Conn, exchange.End) {}

// CallerConcurrency admits a number of requests and opaque connections of one caller at a time, and never makes one wait (503,
// overloaded). In shadow it only counts. Its table holds who has something in flight and nobody else; a pass does not allocate but
// for a caller's first.
type CallerConcurrency struct {
	limit  int
	shadow bool
	counts telemetry.LimitDecisions

	mu       sync.Mutex
	inFlight map[caller]int
}

// caller is a proved identity, or the address of one who proved none.
type caller struct {
	id      string
	address netip.Addr
}

func callerOf(p exchange.Peer) caller {
	if p.ID != "" {
		return caller{id: p.ID}
	}
	return caller{address: p.Client}
}

// NewCallerConcurrency makes the stage.
func NewCallerConcurrency(c config.CallerLimits, m *telemetry.Metrics) *CallerConcurrency {
	shadow := c.Mode == config.Shadow
	return &CallerConcurrency{limit: c.Concurrent, shadow: shadow, counts: m.LimitDecisions("caller_concurrency", shadow), inFlight: map[caller]int{}}
}

// fullCaller is made once: refusing must be cheap when there is too much to do.
var fullCaller = exchange.Overloaded.With("the caller has as many requests in flight as it may have")

func (s *CallerConcurrency) take(who caller) bool {
	s.mu.Lock()
	n := s.inFlight[who]
	full := n >= s.limit
	if !full || s.shadow {
		s.inFlight[who] = n + 1
	}
	s.mu.Unlock()
	if full {
		s.counts.Denied.Inc()
		return s.shadow
	}
	s.counts.Allowed.Inc()
	return true
}

func (s *CallerConcurrency) give(who caller) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inFlight[who]--; s.inFlight[who] <= 0 {
		delete(s.inFlight, who)
	}
}

// Name implements exchange.Stage.
func (s *CallerConcurrency) Name() string { return "caller_concurrency" }

// Inward implements exchange.Stage.
func (s *CallerConcurrency) Inward(x *exchange.Exchange) exchange.Step {
	if !s.take(callerOf(x.Peer)) {
		return x.Fail(fullCaller)
	}
	return exchange.Continue
}

// Outward implements exchange.Stage.
func (s *CallerConcurrency) Outward(*exchange.Exchange) {}

// Finish gives back the place of an exchange that had one: its last byte is out.
func (s *CallerConcurrency) Finish(x *exchange.Exchange, _ exchange.End) {
	if x.Fault != fullCaller {
		s.give(callerOf(x.Peer))
	}
}

// Connections returns the same limit for opaque connections, which share their caller's places.
func (s *CallerConcurrency) Connections() exchange.ConnStage { return connConcurrency{s} }

type connConcurrency struct{ *CallerConcurrency }

// Admit implements exchange.ConnStage.
func (s connConcurrency) Admit(c *exchange.Conn) error {
	if !s.take(callerOf(c.Peer)) {
		return fullCaller
	}
	return nil
}

// Finish implements exchange.ConnStage; it runs for connections that were admitted.
func (s connConcurrency) Finish(c *exchange.Conn, _ exchange.End) { s.give(callerOf(c.Peer)) }

// Places admits a number of opaque connections at a time, whoever opens them: what is behind can bear no more.
type Places struct{ free chan struct{} }

// NewPlaces makes the stage.
func NewPlaces(n int) *Places { return &Places{make(chan struct{}, n)} }

var fullPlaces = exchange.Overloaded.With("as many connections to the application as it may have")

// Name implements exchange.ConnStage.
func (s *Places) Name() string { return "places" }

// Admit implements exchange.ConnStage.
func (s *Places) Admit(*exchange.Conn) error {
	select {
	case s.free <- struct{}{}:
		return nil
	default:
		return fullPlaces
	}
}

// Finish implements exchange.ConnStage.
func (s *Places) Finish(*exchange.Conn, exchange.End) { <-s.free }
