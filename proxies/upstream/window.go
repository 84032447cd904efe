package upstream

import "time"

// window counts the calls of the last ten seconds in slots of one second each, exactly: a call counts until the slot it fell in is
// ten slots old. The zero value is ready; time comes in with each call.
type window struct {
	start time.Time // of slot 0
	slot  int64     // the newest
	slots [windowSlots]tally
	sum   tally // of all slots
}

const (
	windowSlots = 10
	windowSlot  = time.Second
)

// tally is how many calls there were, how many of them did not succeed, and how many were slow.
type tally struct{ calls, bad, slow int }

func (t *tally) add(o tally, sign int) {
	t.calls += sign * o.calls
	t.bad += sign * o.bad
	t.slow += sign * o.slow
}

// add counts one call. A clock that steps back counts in the newest slot.
func (w *window) add(now time.Time, bad, slow bool) {
	w.roll(now)
	one := tally{calls: 1}
	if bad {
		one.bad = 1
	}
	if slow {
		one.slow = 1
	}
	w.slots[w.slot%windowSlots].add(one, 1)
	w.sum.add(one, 1)
}

// roll drops the slots that are too old by now.
func (w *window) roll(now time.Time) {
	if w.start.IsZero() {
		w.start = now
	}
	to := int64(now.Sub(w.start) / windowSlot)
	if to-w.slot >= windowSlots {
		w.slots, w.sum, w.slot = [windowSlots]tally{}, tally{}, to
	}
	for w.slot < to {
		w.slot++
		old := &w.slots[w.slot%windowSlots]
		w.sum.add(*old, -1)
		*old = tally{}
	}
}
