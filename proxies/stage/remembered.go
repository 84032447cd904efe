package stage

import (
	"crypto/sha256"
	"sync"
	"time"
)

// fingerprint stands for a token: its hash, so that none is kept.
type fingerprint [sha256.Size]byte

// remembered is a bounded table of what tokens were found to mean, each until an instant of its own. What was used least recently makes
// room.
type remembered[T any] struct {
	mu    sync.Mutex
	at    map[fingerprint]int32
	slots []memory[T]
	first int32 // most recently used
	last  int32
	limit int
}

type memory[T any] struct {
	of         fingerprint
	what       T
	until      time.Time
	next, prev int32
}

func newRemembered[T any](limit int) *remembered[T] {
	return &remembered[T]{at: map[fingerprint]int32{}, first: none, last: none, limit: limit}
}

// get returns what is known of a token at an instant.
func (r *remembered[T]) get(of fingerprint, now time.Time) (what T, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i, ok := r.at[of]
	if !ok || !now.Before(r.slots[i].until) {
		return what, false
	}
	if r.first != i {
		r.unlink(i)
		r.link(i)
	}
	return r.slots[i].what, true
}

// put remembers until an instant, which may be over already.
func (r *remembered[T]) put(of fingerprint, what T, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i, known := r.at[of]
	switch {
	case known:
		r.unlink(i)
	case len(r.slots) < r.limit:
		i = int32(len(r.slots))
		r.slots = append(r.slots, memory[T]{})
	default:
		i = r.last
		r.unlink(i)
		delete(r.at, r.slots[i].of)
	}
	r.slots[i] = memory[T]{of: of, what: what, until: until}
	r.at[of] = i
	r.link(i)
}

func (r *remembered[T]) unlink(i int32) {
	e := &r.slots[i]
	if e.prev == none {
		r.first = e.next
	} else {
		r.slots[e.prev].next = e.next
	}
	if e.next == none {
		r.last = e.prev
	} else {
		r.slots[e.next].prev = e.prev
	}
}

func (r *remembered[T]) link(i int32) {
	e := &r.slots[i]
	e.prev, e.next = none, r.first
	if r.first != none {
		r.slots[r.first].prev = i
	}
	r.first = i
	if r.last == none {
		r.last = i
	}
}
