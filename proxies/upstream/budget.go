package upstream

import (
	"sync"
	"sync/atomic"
	"time"

	"crossroads/proxies/config"
)

// budget bounds what retries may add to an upstream that is failing already. A retry is allowed while
//
//	retries of the last 10 s     < share x requests of the last 10 s + 10 s x perSecond, and
//	retries in flight            < max(least, concurrent x requests in flight)
//
// so that over any time tries <= (1 + share) x requests + perSecond x time, whatever the routes allow: with 20% and 10/s an
// upstream that answers nothing sees at most 1.2 + 10/rate tries a request. Time comes in with each call.
type budget struct {
	share, perSecond, concurrent float64
	least                        int64

	start    time.Time
	requests counter
	retries  counter
	mu       sync.Mutex // makes asking and taking one step
	flying   atomic.Int64
}

func (b *budget) set(c config.RetryBudget, start time.Time) {
	if c == (config.RetryBudget{}) {
		c.SetDefaults()
	}
	b.share, b.perSecond, b.concurrent, b.least = c.Share.F(), c.PerSecond.F(), c.Concurrent.F(), int64(c.MinConcurrent)
	b.start = start
}

// request counts a request, not its retries.
func (b *budget) request(now time.Time) { b.requests.add(b.slot(now)) }

// spend takes one retry out of the budget; inFlight is how many requests the upstream is serving. done gives back its place among
// those in flight.
func (b *budget) spend(now time.Time, inFlight int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	slot := b.slot(now)
	if float64(b.retries.sum(slot)+1) > b.share*float64(b.requests.sum(slot))+b.perSecond*windowSlots*windowSlot.Seconds() {
		return false
	}
	if most := max(b.least, int64(b.concurrent*float64(inFlight))); b.flying.Load() >= most {
		return false
	}
	b.retries.add(slot)
	b.flying.Add(1)
	return true
}

func (b *budget) done() { b.flying.Add(-1) }

func (b *budget) slot(now time.Time) int64 { return max(0, int64(now.Sub(b.start)/windowSlot)) }

// counter counts by slot without a lock: every request adds to it. A cell holds the number of its slot above, its count below.
type counter [16]atomic.Uint64

const counterBits = 32

func (c *counter) add(slot int64) {
	cell := &c[slot%int64(len(c))]
	for {
		old := cell.Load()
		next := old + 1
		if was := int64(old >> counterBits); was != slot {
			if was > slot { // somebody with a later clock has taken the cell over: this second is long past
				return
			}
			next = uint64(slot)<<counterBits | 1
		}
		if cell.CompareAndSwap(old, next) {
			return
		}
	}
}

// sum adds up the window that ends with slot.
func (c *counter) sum(slot int64) (n int64) {
	for i := range c {
		cell := c[i].Load()
		if was := int64(cell >> counterBits); was <= slot && was > slot-windowSlots {
			n += int64(cell & (1<<counterBits - 1))
		}
	}
	return n
}
