package graph

import (
	"cmp"
	"slices"
	"time"
)

// Document is the graph as it is shown, over the last windows.
type Document struct {
	Format  int       `json:"format"`
	At      time.Time `json:"at"`
	Seconds float64   `json:"seconds"` // that rates, shares and quantiles are taken over
	Nodes   []Node    `json:"nodes"`
	Edges   []Edge    `json:"edges"`
	Alarms  []Alarm   `json:"alarms"` // the newest first
}

// Node is a service, a gateway, or who is outside.
type Node struct {
	Name  string  `json:"name"`
	Layer int     `json:"layer"` // callers before callees
	Rate  float64 `json:"rate"`  // requests a second that it receives; of a node that nobody calls, that it makes
}

// Edge is one edge with what the caller's side saw of it, or the callee's where the caller does not report.
type Edge struct {
	Key
	View
	Side  string `json:"side"`            // outbound | inbound: whose view it is
	State string `json:"state,omitempty"` // errors | slow while it is troubled
	Root  bool   `json:"root,omitempty"`  // of an alarm that is not over
	// Inbound is the callee's view where both reported: single tries, and failures of the application itself.
	Inbound *View `json:"inbound,omitempty"`
}

// View is what one side saw.
type View struct {
	Rate      float64           `json:"rate"`     // requests a second
	Errors    float64           `json:"errors"`   // share of requests that failed
	Made      map[string]uint64 `json:"made"`     // failures made by the reporter's proxy, by reason
	Passed    uint64            `json:"passed"`   // failures passed on
	Refused   uint64            `json:"refused"`  // for the caller's own doing
	Attempts  float64           `json:"attempts"` // tries per request
	P50       int64             `json:"p50_us"`
	P99       int64             `json:"p99_us"`
	Own       float64           `json:"own_us"` // mean time in the reporter's proxy itself
	InFlight  int64             `json:"in_flight"`
	Endpoints int               `json:"endpoints,omitempty"`
	Ejected   int               `json:"ejected,omitempty"`
}

// Document describes the graph as it is now.
func (g *Graph) Document(now time.Time) Document {
	alarms := g.Alarms()
	g.mu.Lock()
	defer g.mu.Unlock()
	d := Document{Format: 1, At: now, Alarms: alarms, Nodes: []Node{}, Edges: []Edge{}}
	for k, e := range g.edges {
		all, windows := g.shown(e)
		d.Seconds = float64(windows) * g.options.Window.Seconds()
		if all.Out.Reports+all.In.Reports > 0 {
			d.Edges = append(d.Edges, edgeOf(k, &all, d.Seconds))
		}
	}
	slices.SortFunc(d.Edges, func(a, b Edge) int { return compareKeys(a.Key, b.Key) })
	for i := range d.Edges {
		e := &d.Edges[i]
		e.State = g.detector.Troubled(e.Key)
		e.Root = slices.ContainsFunc(alarms, func(a Alarm) bool { return a.Cleared == nil && a.Root == e.Key })
	}
	d.Nodes = nodesOf(d.Edges)
	return d
}

func edgeOf(k Key, all *Pair, seconds float64) Edge {
	e := Edge{Key: k, Side: "inbound", View: viewOf(&all.In, seconds)}
	if all.Out.Reports > 0 {
		e.Side, e.View = "outbound", viewOf(&all.Out, seconds)
		if all.In.Reports > 0 {
			in := viewOf(&all.In, seconds)
			e.Inbound = &in
		}
	}
	return e
}

func viewOf(s *Stats, seconds float64) View {
	v := View{Made: s.Made, Passed: s.Passed, Refused: s.Refused, InFlight: s.InFlight, Endpoints: s.Endpoints, Ejected: s.Ejected,
		Rate: float64(s.Requests) / seconds, P50: s.Latency.Quantile(0.5).Microseconds(), P99: s.Latency.Quantile(0.99).Microseconds()}
	if v.Made == nil {
		v.Made = map[string]uint64{}
	}
	if s.Requests > 0 {
		n := float64(s.Requests)
		v.Errors, v.Attempts, v.Own = float64(s.Failed())/n, float64(s.Attempts)/n, s.Own/n*1e6
	}
	return v
}

// nodesOf gathers the nodes of edges and puts callers into layers before their callees: a node's layer is the longest way to it
// from a node that nobody calls. Calls that lead back to who is already on the way do not count.
func nodesOf(edges []Edge) []Node {
	callees := map[string][]string{}
	called := map[string]bool{}
	rates := map[string]float64{}
	var names []string
	note := func(name string) {
		if _, known := callees[name]; !known {
			callees[name] = nil
			names = append(names, name)
		}
	}
	for _, e := range edges {
		note(e.Source)
		note(e.Destination)
		callees[e.Source] = append(callees[e.Source], e.Destination)
		called[e.Destination] = called[e.Destination] || e.Source != e.Destination
		rates[e.Destination] += e.Rate
	}
	for _, e := range edges {
		if !called[e.Source] {
			rates[e.Source] += e.Rate
		}
	}
	layer := layers(names, callees, called)
	nodes := make([]Node, 0, len(names))
	for _, name := range names {
		nodes = append(nodes, Node{Name: name, Layer: layer[name], Rate: rates[name]})
	}
	slices.SortFunc(nodes, func(a, b Node) int { return cmp.Or(cmp.Compare(a.Layer, b.Layer), cmp.Compare(a.Name, b.Name)) })
	return nodes
}

// layers orders the nodes depth first, which leaves out calls that lead back, and then takes the longest way to each.
func layers(names []string, callees map[string][]string, called map[string]bool) map[string]int {
	const fresh, open, done = 0, 1, 2
	state := map[string]int{}
	var order []string
	back := map[Key]bool{}
	var visit func(string)
	visit = func(name string) {
		state[name] = open
		for _, callee := range callees[name] {
			switch state[callee] {
			case fresh:
				visit(callee)
			case open:
				back[Key{name, callee}] = true
			}
		}
		state[name] = done
		order = append(order, name)
	}
	for _, first := range []bool{true, false} { // those that nobody calls first; circles without such a node after them
		for _, name := range names {
			if state[name] == fresh && called[name] != first {
				visit(name)
			}
		}
	}
	layer := map[string]int{}
	for _, name := range slices.Backward(order) {
		for _, callee := range callees[name] {
			if !back[Key{name, callee}] {
				layer[callee] = max(layer[callee], layer[name]+1)
			}
		}
	}
	return layer
}
