package graph

import (
	"math"
	"time"
)

// derived reasons follow from earlier failures of the same edge: an open breaker says that the callee failed before, not why.
var derived = map[string]bool{"breaker_open": true, "no_endpoint": true, "overloaded": true}

// tally is what happened on an edge in one window, or on edges since some step, as far as explanations need it.
type tally struct {
	passed, made, timeouts float64 // requests: failures passed on, made (but for derived ones), and by timeout among those
	failed                 float64 // passed and made, derived ones included
	retries                float64
	excess                 float64   // seconds beyond the usual
	slow                   float64   // requests
	first                  time.Time // of the failures; zero: none
	reports                int
}

// tallyOf sums up one side's window, by what was usual until then.
func tallyOf(s *side, w *Stats, r Rules) tally {
	t := tally{reports: w.Reports, passed: float64(w.Passed), failed: float64(w.Failed()), excess: s.excess(w, r), first: w.First}
	for reason, n := range w.Made {
		if derived[reason] {
			continue
		}
		t.made += float64(n)
		if reason == "upstream_timeout" {
			t.timeouts += float64(n)
		}
	}
	if w.Attempts > w.Requests {
		t.retries = float64(w.Attempts - w.Requests)
	}
	if s.windows >= r.Learn && w.Reports > 0 {
		t.slow = float64(w.Latency.Above(s.limit(r))) + s.stuck(w, r)
	}
	return t
}

func (t *tally) add(o *tally) {
	t.passed += o.passed
	t.made += o.made
	t.timeouts += o.timeouts
	t.failed += o.failed
	t.retries += o.retries
	t.excess += o.excess
	t.slow += o.slow
	t.reports += o.reports
	if !o.first.IsZero() && (t.first.IsZero() || o.first.Before(t.first)) {
		t.first = o.first
	}
}

// sums adds up both sides of edges since a step.
func (d *Detector) sums(since int, keys ...Key) (out, in tally) {
	for _, k := range keys {
		t := d.tracks[k]
		for step := max(since, d.step-memory+1, 1); step <= d.step; step++ {
			w := &t.windows[step%memory]
			out.add(&w[0])
			in.add(&w[1])
		}
	}
	return out, in
}

// enough is the share of an effect that a cause has to account for.
const enough = 0.5

// cause returns the edge below e that explains most of its trouble; ok is false where e's own callee is the cause.
func (d *Detector) cause(e Key, kind string, since int) (down Key, ok bool) {
	callee := e.Destination
	callers, received := d.sums(since, d.to[callee]...)
	made, _ := d.sums(since, d.from[callee]...)
	slower := made.excess > 0 && made.excess >= enough*max(callers.excess, received.excess)
	explained := false
	switch kind {
	case "errors":
		// The callee's own proxy sees every try; the callers', what could not reach it at all.
		passed, all := received.passed, math.Max(received.passed+received.made, callers.passed+callers.made+callers.retries)
		if received.reports == 0 {
			passed = callers.passed
		}
		// Whoever waits for a callee that hangs gives up at some time and fails, without a failure of the call.
		covered := math.Min(passed, made.failed+made.slow)
		if slower {
			covered += math.Max(received.timeouts, callers.timeouts)
		}
		explained = covered > 0 && covered >= enough*all
	default:
		explained = slower || made.failed+made.retries >= enough*math.Max(callers.slow, received.slow) && made.failed+made.retries > 0
	}
	if !explained {
		return Key{}, false
	}
	return d.worst(callee, since)
}

// worst is the edge out of a node on which most went wrong.
func (d *Detector) worst(source string, since int) (found Key, ok bool) {
	most := 0.0
	for _, k := range d.from[source] {
		out, _ := d.sums(since, k)
		if weight := out.failed + out.retries + out.slow + out.excess; weight > most {
			most, found, ok = weight, k, true
		}
	}
	return found, ok
}

// root follows an edge's trouble down to where nothing below explains it.
func (d *Detector) root(e Key, kind string, since int) Key {
	visited := map[Key]bool{}
	for !visited[e] {
		visited[e] = true
		down, ok := d.cause(e, kind, since)
		if !ok {
			return e
		}
		if t := d.tracks[down]; t.troubled {
			kind = t.kind
		}
		e = down
	}
	return e
}

// reaches says whether calls of one node can lead to another.
func (d *Detector) reaches(from, to string) bool {
	seen := map[string]bool{from: true}
	next := []string{from}
	for len(next) > 0 {
		at := next[0]
		next = next[1:]
		if at == to {
			return true
		}
		for _, k := range d.from[at] {
			if !seen[k.Destination] {
				seen[k.Destination] = true
				next = append(next, k.Destination)
			}
		}
	}
	return false
}
