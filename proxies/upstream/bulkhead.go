package upstream

import (
	"sync/atomic"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
)

// gate admits a limited number at a time, exactly, and never makes anybody wait. Limit 0 admits everybody and counts nothing.
type gate struct {
	limit int64
	n     atomic.Int64
}

func (g *gate) take() bool {
	if g.limit <= 0 {
		return true
	}
	for {
		n := g.n.Load()
		if n >= g.limit {
			return false
		}
		if g.n.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (g *gate) give() {
	if g.limit > 0 {
		g.n.Add(-1)
	}
}

// bulkhead is the gates of one upstream: one that is slow or gone takes no more of the proxy than they let through.
type bulkhead struct {
	requests    gate // tries whose response is not finished
	connections gate // open, idle ones included
	pending     gate // tries that wait for a connection to open
	retries     gate
}

func (b *bulkhead) set(l config.Limits) {
	b.requests.limit = int64(l.Requests)
	b.connections.limit = int64(l.Connections)
	b.pending.limit = int64(l.Pending)
	b.retries.limit = int64(l.Retries)
}

// The faults of a full gate. Each is made once: refusing must be cheap when there is too much to do.
var (
	fullRequests    = exchange.Overloaded.With("the upstream has as many requests in flight as it may have")
	fullEndpoints   = exchange.Overloaded.With("every endpoint has as many requests in flight as it may have")
	fullConnections = exchange.Overloaded.With("the upstream has as many connections as it may have")
	fullEndpoint    = exchange.Overloaded.With("the endpoint has as many connections as it may have")
	fullPending     = exchange.Overloaded.With("as many requests as may wait for a connection to the upstream")
)

// refuse counts what a gate turned away.
func (u *Upstream) refuse(limit string, f *exchange.Fault) *exchange.Fault {
	u.observer.Refused(u.name, limit)
	return f
}

// reserve makes room for one more connection to e. Where the upstream's connections are used up, one that is idle at another
// endpoint has to go.
func (u *Upstream) reserve(e *endpoint) *exchange.Fault {
	if !e.pool.reserve() {
		return u.refuse("endpoint_connections", fullEndpoint)
	}
	for !u.bulkhead.connections.take() {
		if !u.closeIdle() {
			e.pool.unreserve()
			return u.refuse("connections", fullConnections)
		}
	}
	return nil
}

// closeIdle closes an idle connection of any endpoint.
func (u *Upstream) closeIdle() bool {
	for _, e := range u.fleet.Load().endpoints {
		if c := e.pool.oldest(); c != nil {
			c.discard()
			return true
		}
	}
	return false
}
