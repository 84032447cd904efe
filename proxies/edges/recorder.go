package edges

import (
	"sync/atomic"
	"time"
)

// Reasons of failures that a proxy makes itself, by their index in a Recorder; what is not among them is other.
var reasons = [...]string{
	"other", "upstream_connect", "upstream_reset", "upstream_invalid", "upstream_identity", "upstream_timeout",
	"no_endpoint", "breaker_open", "overloaded", "no_backend", "policies_unknown", "panic",
}

// Outcome is what became of one request.
type Outcome uint8

// Outcomes; Made needs a reason.
const (
	Served  Outcome = iota
	Passed          // the callee failed, and that was passed on
	Made            // the reporter failed
	Refused         // the reporter refused, for the caller's own doing
)

// Recorder takes in one edge's requests. Its counters only grow; Cut says by how much since it was last asked. The zero value is
// ready.
type Recorder struct {
	total, own         atomic.Int64 // nanoseconds
	attempts           atomic.Uint64
	passed, refused    atomic.Uint64
	made               [len(reasons)]atomic.Uint64
	inFlight           atomic.Int64
	failedAt           atomic.Int64 // the first failure since the last Cut, in Unix nanoseconds; 0: none
	buckets            [Buckets]atomic.Uint64
	last               counted // Cut's alone
	seen, seenAttempts atomic.Uint64
}

// counted is what the counters were.
type counted struct {
	total, own                int64
	attempts, passed, refused uint64
	made                      [len(reasons)]uint64
	buckets                   Histogram
}

// Begin counts a request that is on its way.
func (r *Recorder) Begin() { r.inFlight.Add(1) }

// End counts it as over.
func (r *Recorder) End() { r.inFlight.Add(-1) }

// InFlight is how many are on their way.
func (r *Recorder) InFlight() int64 { return max(r.inFlight.Load(), 0) }

// Attempts is how many tries there ever were.
func (r *Recorder) Attempts() uint64 { return r.attempts.Load() }

// Amplification is tries per request in the last window cut: 1 without retries, 0 without requests.
func (r *Recorder) Amplification() float64 {
	if n := r.seen.Load(); n > 0 {
		return float64(r.seenAttempts.Load()) / float64(n)
	}
	return 0
}

// Observe counts a request that ended: what became of it, how long it took in all and how much of that in the reporter itself.
func (r *Recorder) Observe(o Outcome, reason string, attempts int, took, own time.Duration) {
	r.buckets[bucketOf(took)].Add(1)
	r.total.Add(int64(took))
	r.own.Add(int64(own))
	r.attempts.Add(uint64(max(attempts, 0)))
	switch o {
	case Passed:
		r.passed.Add(1)
	case Made:
		r.made[reasonOf(reason)].Add(1)
	case Refused:
		r.refused.Add(1)
		return
	default:
		return
	}
	if r.failedAt.Load() == 0 {
		r.failedAt.CompareAndSwap(0, time.Now().UnixNano())
	}
}

func reasonOf(word string) int {
	for i, known := range reasons {
		if word == known {
			return i
		}
	}
	return 0
}

// Cut returns what was counted since it was last asked; ok is false where there is nothing to tell. One goroutine calls it.
func (r *Recorder) Cut(now time.Time) (w Window, ok bool) {
	is := counted{total: r.total.Load(), own: r.own.Load(), attempts: r.attempts.Load(), passed: r.passed.Load(), refused: r.refused.Load()}
	for i := range reasons {
		is.made[i] = r.made[i].Load()
		if n := is.made[i] - r.last.made[i]; n > 0 {
			if w.Made == nil {
				w.Made = map[string]uint64{}
			}
			w.Made[reasons[i]] = n
		}
	}
	for i := range is.buckets {
		is.buckets[i] = r.buckets[i].Load()
		w.Latency[i] = is.buckets[i] - r.last.buckets[i]
		w.Requests += w.Latency[i]
	}
	w.Attempts, w.Passed, w.Refused = is.attempts-r.last.attempts, is.passed-r.last.passed, is.refused-r.last.refused
	w.Total, w.Own = float64(is.total-r.last.total)/1e9, float64(is.own-r.last.own)/1e9
	w.InFlight = r.InFlight()
	if at := r.failedAt.Swap(0); at != 0 {
		w.FirstFailure = max(now.Sub(time.Unix(0, at)).Seconds(), 1e-6)
	}
	r.last = is
	r.seen.Store(w.Requests)
	r.seenAttempts.Store(w.Attempts)
	return w, w.Requests > 0 || w.InFlight > 0
}
