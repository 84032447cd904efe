package graph

import (
	"math"
	"slices"
	"time"

	"crossroads/proxies/edges"
)

// Rules are the thresholds of a Detector. A zero value becomes the default.
type Rules struct {
	Window time.Duration // of the windows that Step is given
	// Evidence is the log likelihood ratio at which an edge counts as troubled: ln(1e6), about one false verdict in a million windows
	// if failures came one by one; they do not, hence the margins below.
	Evidence float64
	// LeastShare is the share of failing requests that is always taken for normal, and Jump how much more is trouble.
	LeastShare, Jump float64
	// Slower and Later say which requests are slow: slower than Slower times the usual p90, and Later than it.
	Slower float64
	Later  time.Duration
	// SlowShare of requests have to be slow, in SlowWindows windows in a row: a machine that stalls for a moment makes all slow once.
	// Requests that do not end at all are a surer sign than late answers, and come long before any timeout: where they alone are that
	// share, StuckWindows windows are enough.
	SlowShare                 float64
	SlowWindows, StuckWindows int
	// Learn is how many windows with requests an edge is watched before it is judged.
	Learn int
	// Calm is how many windows without trouble end an alarm.
	Calm int
	// Young is for how many windows an alarm may still turn out to be a consequence of something below.
	Young int
	// Confidence is the least share of troubled edges that an alarm's root has to explain.
	Confidence float64
}

func (r Rules) filled() Rules {
	or := func(v *float64, d float64) {
		if *v == 0 {
			*v = d
		}
	}
	or(&r.Evidence, 13.8)
	or(&r.LeastShare, 0.01)
	or(&r.Jump, 0.1)
	or(&r.Slower, 3)
	or(&r.SlowShare, 0.15)
	or(&r.Confidence, 0.5)
	if r.Window == 0 {
		r.Window = 500 * time.Millisecond
	}
	if r.Later == 0 {
		r.Later = 20 * time.Millisecond
	}
	lasting := func(v *int, least int, d time.Duration) {
		if *v == 0 {
			*v = max(least, int((d+r.Window-1)/r.Window))
		}
	}
	lasting(&r.SlowWindows, 2, 1500*time.Millisecond)
	lasting(&r.StuckWindows, 2, time.Second)
	lasting(&r.Learn, 2, 2*time.Second)
	lasting(&r.Calm, 3, 3*time.Second)
	lasting(&r.Young, 2, 2*time.Second)
	return r
}

// Detector finds where cascades begin. It is a state machine over windows: its only clock is what Step is told.
//
// Each edge is judged by itself. The evidence that its failures grew is a cumulated sum of log likelihood ratios (Page 1954, CUSUM):
// requests fail with the usual share p0, or with p0 and a jump. The sum is never negative and trouble begins where it was last zero,
// which is the onset. Tries beyond the first count as failures of a try, so that trouble shows while retries still hide it from
// users. Slow requests, and requests that do not end, are judged in the same way.
//
// Then every troubled edge is followed to its cause: as long as the failures that the callee passed on are explained by the failures
// of its own calls, or its slowness by theirs, the cause lies further down (explain.go). The edge at which this ends is the root.
type Detector struct {
	rules  Rules
	tracks map[Key]*track
	from   map[string][]Key // edges by their ends, in a fixed order
	to     map[string][]Key
	step   int
	alarms []*Alarm // the oldest first
	next   int
}

// NewDetector makes a detector that has seen nothing.
func NewDetector(r Rules) *Detector { return &Detector{rules: r.filled(), tracks: map[Key]*track{}} }

// memory is how many windows a track remembers for explanations.
const memory = 16

// track is what is known of one edge.
type track struct {
	windows   [memory][2]tally // ring by step: as the caller saw it, as the callee did
	sides     [2]side          // as the caller saw it, as the callee did
	seen      int              // step in which anything was last carried
	reported  int              // step in which its source last reported it
	troubled  bool
	kind      string // errors | slow
	onset     int    // step
	evidence  float64
	noticed   int // step in which it became troubled
	calmSince int // step since which it has been calm
}

// side is one view of an edge: what is usual, and the evidence against it.
type side struct {
	windows   int // learnt from
	requests  float64
	failed    float64 // tries that failed
	total     float64 // seconds
	latency   [edges.Buckets]float64
	ejected   int // endpoints that are usually kept out
	errors    sum
	slow      sum
	slowInRow int           // windows
	stuckRow  int           // likewise
	slowFrom  time.Duration // the limit, until something is learnt; 0: to be found
}

// sum is a cumulated sum, and the step in which it last left zero.
type sum struct {
	value float64
	since int
}

// add moves the sum by a window of n requests of which k are bad: the usual share is p0, trouble is p1.
func (s *sum) add(n, k, p0, p1 float64, step int, limit float64) {
	if s.value == 0 {
		s.since = step
	}
	s.value += k*math.Log(p1/p0) + (n-k)*math.Log((1-p1)/(1-p0))
	s.value = min(max(s.value, 0), limit)
}

// Step judges the window that ends at now and returns copies of the alarms it raised.
func (d *Detector) Step(now time.Time, window map[Key]Pair) []Alarm {
	d.step++
	for k, p := range window {
		t := d.tracks[k]
		if t == nil {
			t = &track{}
			d.tracks[k] = t
		}
		d.judge(t, p)
	}
	for k := range d.tracks {
		if _, present := window[k]; !present {
			delete(d.tracks, k)
		}
	}
	d.index()
	d.settle(now)
	return d.raise(now)
}

// index orders the edges by their ends.
func (d *Detector) index() {
	d.from, d.to = map[string][]Key{}, map[string][]Key{}
	for _, k := range sortedKeys(d.tracks) {
		d.from[k.Source] = append(d.from[k.Source], k)
		d.to[k.Destination] = append(d.to[k.Destination], k)
	}
}

// judge takes one edge's window in.
func (d *Detector) judge(t *track, p Pair) {
	if p.Out.Reports+p.In.Reports > 0 {
		t.seen = d.step
	}
	if p.Out.Reports > 0 {
		t.reported = d.step
	}
	t.evidence = 0
	was := t.troubled
	t.troubled = false
	for i, s := range []*Stats{&p.Out, &p.In} {
		t.windows[d.step%memory][i] = tallyOf(&t.sides[i], s, d.rules)
		d.weigh(&t.sides[i], s)
		sd := &t.sides[i]
		if e := sd.errors; e.value >= d.rules.Evidence {
			t.trouble("errors", e)
		}
		if e := sd.slow; e.value >= d.rules.Evidence && (sd.slowInRow >= d.rules.SlowWindows || sd.stuckRow >= d.rules.StuckWindows) {
			t.trouble("slow", e)
		}
	}
	switch {
	case t.troubled && !was:
		t.noticed = d.step
	case !t.troubled && was:
		t.calmSince = d.step
	}
}

// trouble marks the edge; errors say more than slowness, and the earlier onset counts.
func (t *track) trouble(kind string, e sum) {
	if !t.troubled || e.since < t.onset {
		t.onset = e.since
	}
	if !t.troubled || kind == "errors" {
		t.kind = kind
	}
	t.troubled = true
	t.evidence = max(t.evidence, e.value)
}

// weigh moves one side's evidence by a window, and learns from the window where there is none.
func (d *Detector) weigh(s *side, w *Stats) {
	if w.Reports == 0 {
		return
	}
	n, failed := tries(w)
	slow, stuck := 0.0, 0.0
	if s.windows >= d.rules.Learn {
		r := d.rules
		p0 := max(r.LeastShare, 1.5*(s.failed+0.5)/(s.requests+50))
		d.errors(s, w, n, failed, min(p0, 0.5))
		limit := s.limit(r)
		slow, stuck = float64(w.Latency.Above(limit)), s.stuck(w, r)
		p0 = min(max(0.05, 1.5*s.above(limit)), 0.5)
		k, all := slow+stuck, float64(w.Requests)+stuck
		s.slow.add(all, k, p0, min(p0+0.3, 0.9), d.step, 3*r.Evidence)
		s.slowInRow = inRow(s.slowInRow, k, all, r.SlowShare)
		s.stuckRow = inRow(s.stuckRow, stuck, all, r.SlowShare)
	}
	if s.errors.value == 0 && s.slow.value == 0 && w.Requests > 0 {
		s.learn(w, failed)
	}
}

// inRow counts windows in a row in which k of all requests are a share that matters.
func inRow(before int, k, all, share float64) int {
	if all > 0 && k/all >= share && k >= 4 {
		return before + 1
	}
	return 0
}

// errors moves the evidence of failures. An endpoint that is kept out of the balancer failed, or could not be reached, several times:
// each second of that is half of what is needed, and no decline of failures says that it recovered.
func (d *Detector) errors(s *side, w *Stats, n, failed, p0 float64) {
	before := s.errors.value
	s.errors.add(n, failed, p0, min(p0+d.rules.Jump, 0.9), d.step, 3*d.rules.Evidence)
	if w.Ejected > s.ejected {
		s.errors.value = min(max(s.errors.value, before)+d.rules.Evidence/2*d.rules.Window.Seconds(), 3*d.rules.Evidence)
	}
}

// tries is how many tries there were, and how many of them failed: each try after the first follows one that did.
func tries(w *Stats) (n, failed float64) {
	more := 0.0
	if w.Attempts > w.Requests {
		more = float64(w.Attempts - w.Requests)
	}
	return float64(w.Requests) + more, float64(w.Failed()) + more
}

// decay is how much of what was learnt is left after a window: about ten windows count.
const decay = 0.9

func (s *side) learn(w *Stats, failed float64) {
	s.windows++
	s.ejected = w.Ejected
	s.slowFrom = 0
	s.requests = s.requests*decay + float64(w.Requests)
	s.failed = s.failed*decay + failed
	s.total = s.total*decay + w.Total
	for i, n := range w.Latency {
		s.latency[i] = s.latency[i]*decay + float64(n)
	}
}

// usual is the histogram of what was learnt.
func (s *side) usual() (h edges.Histogram) {
	for i, n := range s.latency {
		h[i] = uint64(n*16 + 0.5)
	}
	return h
}

// limit is from when on a request is slow.
func (s *side) limit(r Rules) time.Duration {
	if s.slowFrom == 0 {
		s.slowFrom = s.findLimit(r)
	}
	return s.slowFrom
}

func (s *side) findLimit(r Rules) time.Duration {
	h := s.usual()
	p90 := h.Quantile(0.9)
	return max(time.Duration(r.Slower*float64(p90)), p90+r.Later)
}

// above is the usual share of requests that are as slow.
func (s *side) above(limit time.Duration) float64 {
	h := s.usual()
	n := h.Count()
	if n == 0 {
		return 0
	}
	return float64(h.Above(limit)) / float64(n)
}

// mean is the usual time of a request, in seconds.
func (s *side) mean() float64 {
	if s.requests == 0 {
		return 0
	}
	return s.total / s.requests
}

// perWindow is the usual number of requests of a window.
func (s *side) perWindow() float64 {
	weight := (1 - math.Pow(decay, float64(s.windows))) / (1 - decay)
	if weight == 0 {
		return 0
	}
	return s.requests / weight
}

// stuck is how many requests are under way beyond three times the usual (Little 1961: rate times mean time) and a few.
func (s *side) stuck(w *Stats, r Rules) float64 {
	usual := s.perWindow() / r.Window.Seconds() * s.mean()
	return max(0, float64(w.InFlight)-(3*usual+5))
}

// excess is the time that requests of a window took beyond the usual, in seconds; what is stuck counts as the whole window.
func (s *side) excess(w *Stats, r Rules) float64 {
	if s.windows < r.Learn || w.Reports == 0 {
		return 0
	}
	return max(0, w.Total-float64(w.Requests)*s.mean()) + s.stuck(w, r)*r.Window.Seconds()
}

func sortedKeys(m map[Key]*track) []Key {
	keys := make([]Key, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compareKeys)
	return keys
}
