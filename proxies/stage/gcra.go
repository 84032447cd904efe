package stage

import (
	"hash/maphash"
	"math"
	"sync"
	"time"
)

// quota is a rate and a burst as GCRA reads them: one request each interval, and depth of debt allowed before one is denied
// (the virtual scheduling algorithm of ITU-T I.371, A.2; the same as a token bucket of burst tokens).
type quota struct {
	interval time.Duration
	depth    time.Duration // interval * burst
}

func newQuota(rate, burst float64) quota {
	interval := max(1, time.Duration(float64(time.Second)/rate))
	return quota{interval, time.Duration(float64(interval) * burst)}
}

// verdict is what a quota says about one request.
type verdict struct {
	denied    bool
	remaining int64         // requests that would pass now
	reset     time.Duration // until nothing is owed
	retry     time.Duration // where denied: until one would pass
}

// spend takes one request at now, where debt is paid off at paid; it returns when debt is paid off afterwards.
func (q quota) spend(paid, now time.Duration) (time.Duration, verdict) {
	paid = max(paid, now)
	next := paid + q.interval
	if next-now > q.depth {
		return paid, verdict{denied: true, reset: paid - now, retry: next - now - q.depth}
	}
	return next, verdict{remaining: int64((q.depth - (next - now)) / q.interval), reset: next - now}
}

// debts is a bounded table: when the debt of each key is paid off. What was used least recently makes room. Keys are 64-bit
// hashes with a seed of this process: two that collide, one pair in 2^64, share a quota.
type debts struct {
	seed    maphash.Seed
	shards  []shard
	mask    uint64
	evicted func()
}

// shard is a part of the table under a lock of its own; its entries are linked from the most to the least recently used.
type shard struct {
	mu    sync.Mutex
	at    map[uint64]int32
	slots []slot
	first int32
	last  int32
	limit int
}

type slot struct {
	key        uint64
	paid       time.Duration
	next, prev int32
}

const none = -1

// nothing is when a key that owes nothing paid its debt off: before any instant.
const nothing = math.MinInt64

func newDebts(limit int, evicted func()) *debts {
	n := 1
	for n < 16 && n*64 <= limit {
		n *= 2
	}
	d := &debts{seed: maphash.MakeSeed(), shards: make([]shard, n), mask: uint64(n - 1), evicted: evicted}
	for i := range d.shards {
		d.shards[i] = shard{at: map[uint64]int32{}, first: none, last: none, limit: max(1, limit/n)}
	}
	return d
}

// spend takes one request from the quota of key.
func (d *debts) spend(key uint64, q quota, now time.Duration) verdict {
	s := &d.shards[key&d.mask]
	s.mu.Lock()
	defer s.mu.Unlock()
	e, full := s.entry(key)
	if full {
		d.evicted()
	}
	var v verdict
	e.paid, v = q.spend(e.paid, now)
	return v
}

// giveBack returns what a request took that was denied by another policy.
func (d *debts) giveBack(key uint64, q quota) {
	s := &d.shards[key&d.mask]
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, ok := s.at[key]; ok {
		s.slots[i].paid -= q.interval
	}
}

// entry returns the slot of key as the most recently used; full says that another had to go for it.
func (s *shard) entry(key uint64) (e *slot, full bool) {
	i, ok := s.at[key]
	switch {
	case ok:
		s.unlink(i)
	case len(s.slots) < s.limit:
		i = int32(len(s.slots))
		s.slots = append(s.slots, slot{key: key, paid: nothing})
		s.at[key] = i
	default:
		i, full = s.last, true
		s.unlink(i)
		delete(s.at, s.slots[i].key)
		s.slots[i] = slot{key: key, paid: nothing}
		s.at[key] = i
	}
	s.link(i)
	return &s.slots[i], full
}

func (s *shard) unlink(i int32) {
	e := &s.slots[i]
	if e.prev == none {
		s.first = e.next
	} else {
		s.slots[e.prev].next = e.next
	}
	if e.next == none {
		s.last = e.prev
	} else {
		s.slots[e.next].prev = e.prev
	}
}

func (s *shard) link(i int32) {
	e := &s.slots[i]
	e.prev, e.next = none, s.first
	if s.first != none {
		s.slots[s.first].prev = i
	}
	s.first = i
	if s.last == none {
		s.last = i
	}
}
