package upstream

import (
	"sync"
	"time"

	"crossroads/proxies/wire"
)

// pool keeps the idle connections of one endpoint. The one used last is taken first, so that those not needed grow old and go.
type pool struct {
	maxIdle, maxOpen int // 0: 100 idle, any number open
	idle             time.Duration
	total            *gate // of the upstream's connections

	mu     sync.Mutex
	free   []*conn
	open   int // idle or in use
	closed bool
	timer  *time.Timer // closes what has grown old; runs only while something is idle
}

// defaultMaxIdle holds where the configuration says nothing.
const defaultMaxIdle = 100

// take returns an idle connection that is still fit, or nil. The look happens outside the lock.
func (p *pool) take() *conn {
	for {
		p.mu.Lock()
		n := len(p.free)
		if n == 0 {
			p.mu.Unlock()
			return nil
		}
		c := p.free[n-1]
		p.free[n-1] = nil
		p.free = p.free[:n-1]
		p.mu.Unlock()
		now := wire.Now()
		if c.Quiet() && (p.idle <= 0 || now-c.since < wire.Instant(p.idle)) && (c.until == 0 || now < c.until) {
			return c
		}
		c.discard()
	}
}

// oldest takes out the connection that has been idle longest, or nil.
func (p *pool) oldest() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) == 0 {
		return nil
	}
	c := p.free[0]
	p.free = append(p.free[:0], p.free[1:]...)
	p.free[:len(p.free)+1][len(p.free)] = nil
	return c
}

// reserve counts a connection about to be opened; false: the limit is reached.
func (p *pool) reserve() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.maxOpen > 0 && p.open >= p.maxOpen {
		return false
	}
	p.open++
	return true
}

// unreserve uncounts a connection that the upstream had no room for.
func (p *pool) unreserve() {
	p.mu.Lock()
	p.open--
	p.mu.Unlock()
}

// release uncounts a connection that was closed or never came to be.
func (p *pool) release() {
	p.unreserve()
	p.total.give()
}

// put takes a connection back; false: it is not wanted and must be closed.
func (p *pool) put(c *conn) bool {
	limit := p.maxIdle
	if limit <= 0 {
		limit = defaultMaxIdle
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.free) >= limit {
		return false
	}
	p.free = append(p.free, c)
	if p.idle > 0 && p.timer == nil {
		p.timer = time.AfterFunc(p.idle, p.expire)
	}
	return true
}

// expire closes the connections that have been idle too long; they stand at the front.
func (p *pool) expire() {
	p.mu.Lock()
	limit := wire.Now() - wire.Instant(p.idle)
	n := 0
	for n < len(p.free) && p.free[n].since <= limit {
		n++
	}
	old := append([]*conn(nil), p.free[:n]...)
	p.free = append(p.free[:0], p.free[n:]...)
	clear(p.free[len(p.free):cap(p.free)])
	p.timer = nil
	if len(p.free) > 0 && !p.closed {
		p.timer = time.AfterFunc(time.Duration(p.free[0].since-limit), p.expire)
	}
	p.mu.Unlock()
	for _, c := range old {
		c.discard()
	}
}

// close closes what is idle; what comes back later is not kept.
func (p *pool) close() {
	p.mu.Lock()
	idle := p.free
	p.free, p.closed = nil, true
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	p.mu.Unlock()
	for _, c := range idle {
		c.discard()
	}
}

func (p *pool) count() (idle, open int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.free), p.open
}
