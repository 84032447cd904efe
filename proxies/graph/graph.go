// Package graph assembles the dependency graph of a mesh from what proxies report of their edges, shows it, and finds where a
// cascade of failures began. No tracing is needed: counts by edge and window are enough.
//
// Its one invariant: what it holds is bounded, whatever is reported: edges beyond the bound are counted and dropped, and edges that
// carry nothing are forgotten. Whether a reporter may speak of an edge is for the control plane to say; this package knows no
// identity and opens nothing.
//
// A report belongs to the window in which it arrives; the control plane tells proxies when to cut theirs, so that one window is the
// same time everywhere without clocks that agree.
package graph

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"crossroads/proxies/edges"
)

// Outside is the node that stands for callers without an identity.
const Outside = "outside"

// Bounds of a Graph.
const (
	maxEdges     = 4096
	maxInstances = 1024 // reporters that one side of an edge tells apart
	span         = 20   // windows that rates and latencies are shown over
)

// Key is an edge: who calls whom.
type Key struct {
	Source      string `json:"source"`
	Destination string `json:"destination"`
}

func (k Key) String() string { return k.Source + " -> " + k.Destination }

func compareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Destination, b.Destination))
}

// Options are what a Graph needs. The zero value is ready to use.
type Options struct {
	Window time.Duration // 0: half a second
	Keep   time.Duration // how long an edge that carries nothing stays; 0: a minute
}

// Graph is the dependency graph. Its methods may be called by any goroutine.
type Graph struct {
	options Options

	mu       sync.Mutex
	edges    map[Key]*edge
	detector *Detector
	ticks    int
	began    time.Time
	dropped  uint64
}

// edge holds the last windows of both sides: what the caller's proxy saw, and what the callee's did.
type edge struct {
	open   Pair                 // the window that is being filled
	closed [span]Pair           // ring of the windows before
	flying [2]map[string]flying // by reporter: requests under way
	heard  time.Time            // when anything was last carried
}

type flying struct {
	n     int64
	ticks int
}

// Pair is one window of an edge as both sides saw it; a side that did not report has Reports 0.
type Pair struct{ Out, In Stats }

// Stats is what one side saw of an edge in one window.
type Stats struct {
	Reports   int
	Requests  uint64
	Attempts  uint64
	Made      map[string]uint64
	Passed    uint64
	Refused   uint64
	InFlight  int64
	Total     float64 // seconds
	Own       float64
	Latency   edges.Histogram
	First     time.Time // of the failures; zero: none
	Endpoints int       // the most that a reporter knows
	Ejected   int       // by the reporter that keeps most out
}

// Failed counts the requests that ended in failure.
func (s *Stats) Failed() uint64 {
	n := s.Passed
	for _, m := range s.Made {
		n += m
	}
	return n
}

func (s *Stats) add(w *edges.Window, at time.Time) {
	s.Reports++
	s.Requests += w.Requests
	s.Attempts += w.Attempts
	s.Passed += w.Passed
	s.Refused += w.Refused
	s.Total += w.Total
	s.Own += w.Own
	s.Latency.Merge(&w.Latency)
	s.Endpoints, s.Ejected = max(s.Endpoints, w.Endpoints), max(s.Ejected, w.Ejected)
	for reason, n := range w.Made {
		if s.Made == nil {
			s.Made = map[string]uint64{}
		}
		if _, known := s.Made[reason]; !known && len(s.Made) >= maxReasons {
			reason = "other"
		}
		s.Made[reason] += n
	}
	if w.FirstFailure > 0 {
		if first := at.Add(-time.Duration(w.FirstFailure * 1e9)); s.First.IsZero() || first.Before(s.First) {
			s.First = first
		}
	}
}

const maxReasons = 24

func (s *Stats) merge(o *Stats) {
	w := edges.Window{Requests: o.Requests, Attempts: o.Attempts, Made: o.Made, Passed: o.Passed, Refused: o.Refused,
		Total: o.Total, Own: o.Own, Latency: o.Latency, Endpoints: o.Endpoints, Ejected: o.Ejected}
	reports := s.Reports
	s.add(&w, time.Time{})
	s.Reports = reports + o.Reports
	s.InFlight = o.InFlight
}

// New makes an empty graph.
func New(o Options) *Graph {
	if o.Window <= 0 {
		o.Window = 500 * time.Millisecond
	}
	if o.Keep <= 0 {
		o.Keep = time.Minute
	}
	return &Graph{options: o, edges: map[Key]*edge{}, detector: NewDetector(Rules{Window: o.Window})}
}

// Window is how long a window is.
func (g *Graph) Window() time.Duration { return g.options.Window }

// Add takes in what one reporter saw of one edge. It reports whether the edge could be held.
func (g *Graph) Add(k Key, instance string, w *edges.Window, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.edges[k]
	if e == nil {
		if len(g.edges) >= maxEdges {
			g.dropped++
			return false
		}
		e = &edge{heard: now, flying: [2]map[string]flying{{}, {}}}
		g.edges[k] = e
	}
	side, by := &e.open.Out, e.flying[0]
	if w.Direction == edges.Inbound {
		side, by = &e.open.In, e.flying[1]
	}
	side.add(w, now)
	if _, known := by[instance]; known || len(by) < maxInstances {
		by[instance] = flying{w.InFlight, g.ticks}
	}
	if w.Requests > 0 || w.InFlight > 0 {
		e.heard = now
	}
	return true
}

// Tick closes the window: what was added since the last one is judged. It returns the alarms that were raised.
func (g *Graph) Tick(now time.Time) []Alarm {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.began.IsZero() {
		g.began = now
	}
	window := make(map[Key]Pair, len(g.edges))
	for k, e := range g.edges {
		if now.Sub(e.heard) > g.options.Keep {
			delete(g.edges, k)
			continue
		}
		e.open.Out.InFlight, e.open.In.InFlight = e.settle(0, g.ticks), e.settle(1, g.ticks)
		e.closed[g.ticks%span] = e.open
		window[k] = e.open
		e.open = Pair{}
	}
	g.ticks++
	return g.detector.Step(now, window)
}

// settle adds up what is under way by the last word of each reporter, and forgets those that have not spoken for three windows.
func (e *edge) settle(side, tick int) (n int64) {
	for instance, f := range e.flying[side] {
		if tick-f.ticks >= 3 {
			delete(e.flying[side], instance)
			continue
		}
		n += f.n
	}
	return n
}

// shown adds up the windows that are shown, and says how many there were.
func (g *Graph) shown(e *edge) (all Pair, windows int) {
	windows = max(min(g.ticks, span), 1)
	for i := max(g.ticks-span, 0); i < g.ticks; i++ {
		all.Out.merge(&e.closed[i%span].Out)
		all.In.merge(&e.closed[i%span].In)
	}
	return all, windows
}

// Alarms returns the alarms that are remembered, the newest first.
func (g *Graph) Alarms() []Alarm {
	g.mu.Lock()
	defer g.mu.Unlock()
	found := g.detector.Alarms()
	slices.Reverse(found)
	return found
}

// Dropped counts the reports of edges that could not be held.
func (g *Graph) Dropped() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.dropped
}

// Len is how many edges are held.
func (g *Graph) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.edges)
}
