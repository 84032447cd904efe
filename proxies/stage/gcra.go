package stage

import (
	"hash/maphash"
	"math"
	"sync"
	"time"
)

// Quota is a rate and a burst as GCRA reads them: one request each interval, and depth of debt allowed before one is denied
// (the virtual scheduling algorithm of ITU-T I.371, A.2; the same as a token bucket of burst tokens).
type Quota struct {
	Interval time.Duration
	Depth    time.Duration // Interval * burst
}

func newQuota(rate, burst float64) Quota {
	interval := max(1, time.Duration(float64(time.Second)/rate))
	return Quota{interval, time.Duration(float64(interval) * burst)}
}

// Verdict is what a quota says about one request.
type Verdict struct {
	Denied    bool
	Remaining int64         // requests that would pass now
	Reset     time.Duration // until nothing is owed
	Retry     time.Duration // where denied: until one would pass
}

// spend takes one request at now, where debt is paid off at paid; it returns when debt is paid off afterwards.
func (q Quota) spend(paid, now time.Duration) (time.Duration, Verdict) {
	paid = max(paid, now)
	next := paid + q.Interval
	if next-now > q.Depth {
		return paid, Verdict{Denied: true, Reset: paid - now, Retry: next - now - q.Depth}
	}
	return next, Verdict{Remaining: int64((q.Depth - (next - now)) / q.Interval), Reset: next - now}
}

// debts is a bounded table: when the debt of each key is paid off. What was used least recently makes room. Keys are 64-bit
// hashes with a seed of this process: two that collide, one pair in 2^64, share a quota.
type debts struct {
	seed    maphash.Seed
	epoch   time.Time
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
	d := &debts{seed: maphash.MakeSeed(), epoch: time.Now(), shards: make([]shard, n), mask: uint64(n - 1), evicted: evicted}
	for i := range d.shards {
		d.shards[i] = shard{at: map[uint64]int32{}, first: none, last: none, limit: max(1, limit/n)}
	}
	return d
}

// Spend implements Store.
func (d *debts) Spend(asks []Ask, now time.Time) (int, error) {
	at := now.Sub(d.epoch)
	for i := range asks {
		a := &asks[i]
		if a.Verdict = d.spend(d.hash(a.Key), a.Quota, at); a.Verdict.Denied {
			for j := range asks[:i] {
				d.giveBack(d.hash(asks[j].Key), asks[j].Quota)
			}
			return i, nil
		}
	}
	return -1, nil
}

func (d *debts) hash(key []byte) uint64 { return maphash.Bytes(d.seed, key) }

// spend takes one request from the quota of key.
func (d *debts) spend(key uint64, q Quota, now time.Duration) Verdict {
	s := &d.shards[key&d.mask]
	s.mu.Lock()
	defer s.mu.Unlock()
	e, full := s.entry(key)
	if full {
		d.evicted()
	}
	var v Verdict
	e.paid, v = q.spend(e.paid, now)
	return v
}

// giveBack returns what a request took that was denied by another policy.
func (d *debts) giveBack(key uint64, q Quota) {
	s := &d.shards[key&d.mask]
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, ok := s.at[key]; ok {
		s.slots[i].paid -= q.Interval
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
