package upstream

import (
	"sync/atomic"
	"time"
)

// leastRequest draws two ready endpoints at random and takes the one with fewer exchanges in flight for its weight. Two choices do
// nearly as well as looking at all, and do not send every proxy to the same idle endpoint (Mitzenmacher, The Power of Two Choices
// in Randomized Load Balancing, 2001).
type leastRequest struct{ state atomic.Uint64 }

func newLeastRequest(seed uint64) *leastRequest {
	l := &leastRequest{}
	l.state.Store(seed)
	return l
}

func (l *leastRequest) pick(endpoints, tried []*endpoint, now time.Time) *endpoint {
	n := uint64(len(endpoints))
	if n == 0 {
		return nil
	}
	r := l.draw()
	first := usable(endpoints, tried, now, r%n)
	if first == nil || n == 1 {
		return first
	}
	// The second is drawn from the others: its distance to the first is 1 to n-1.
	second := usable(endpoints, tried, now, (r%n+1+(r>>32)%(n-1))%n)
	if second == nil || load(first) <= load(second) {
		return first
	}
	return second
}

// usable returns the first endpoint from position i on that may be chosen.
func usable(endpoints, tried []*endpoint, now time.Time, i uint64) *endpoint {
	n := uint64(len(endpoints))
	for k := range n {
		if e := endpoints[(i+k)%n]; !contains(tried, e) && e.ready(now) {
			return e
		}
	}
	return nil
}

func load(e *endpoint) float64 { return float64(e.inFlight.Load()+1) / float64(e.weight.Load()) }

// draw is SplitMix64 on a shared counter: no lock, and a sequence fixed by the seed.
func (l *leastRequest) draw() uint64 {
	z := l.state.Add(0x9e3779b97f4a7c15)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
