package topologies

import (
	"slices"
	"time"

	"crossroads/proxies/config/strict"
)

// A request may be declared as the calls that it is made of. Who makes them is a matter of the arm: the gateway, where it composes the
// request's path, so that the client sends one request; else the client itself, which sends each call on a connection of its own. A
// call carries Host: SERVICE, so that a gateway can tell the services apart; its bytes are the same in every arm.

// ClientCall is one call that a request is made of: a GET with the request's headers.
type ClientCall struct {
	Service string `yaml:"service" json:"service"`
	Path    string `yaml:"path,omitempty" json:"path"`
}

// Composition is a path that the gateway answers with one JSON object of its parts' answers. The parts must be the calls of the request
// that is declared for the path: the same work, whoever makes the calls.
type Composition struct {
	Parts strict.Map[ClientCall] `yaml:"parts" json:"parts"` // by member of the object
}

// Client is how the client behaves in an arm.
type Client struct {
	Calls string `yaml:"calls,omitempty" json:"calls"` // at_once | in_order: each call waits for the answer of the one before
}

// Calls says whether any request is made of calls.
func (e *Experiment) Calls() bool {
	return slices.ContainsFunc(e.Load.Requests, func(r Request) bool { return len(r.Calls) > 0 })
}

// Entered lists the services that are called from outside, by the driver or a gateway, each once: the entry, where a request goes to
// it as a whole, and those that requests are made of.
func (e *Experiment) Entered() []string {
	var all []string
	enter := func(service string) {
		if !slices.Contains(all, service) {
			all = append(all, service)
		}
	}
	if len(e.Load.Requests) == 0 {
		enter(e.Application.Entry)
	}
	for _, r := range e.Load.Requests {
		if len(r.Calls) == 0 {
			enter(e.Application.Entry)
		}
		for _, call := range r.Calls {
			enter(call.Service)
		}
	}
	return all
}

// settleEntry names an entry where nobody enters one as a whole.
func (e *Experiment) settleEntry() {
	if e.Application.Entry != "" || e.Application.Services.Len() == 0 || len(e.Load.Requests) == 0 {
		return
	}
	if !slices.ContainsFunc(e.Load.Requests, func(r Request) bool { return len(r.Calls) == 0 }) {
		e.Application.Entry = e.Load.Requests[0].Calls[0].Service
	}
}

// Composes says whether the arm's gateway composes a request.
func (a *Arm) Composes(r *Request) bool {
	g := a.Topology.Gateway
	if g == nil || len(r.Calls) == 0 {
		return false
	}
	_, composed := g.Compose.Get(r.Path)
	return composed
}

// ClientCalls are the calls that the arm's client makes for a request itself; none where it sends the request as a whole.
func (a *Arm) ClientCalls(r *Request) []ClientCall {
	if a.Composes(r) {
		return nil
	}
	return r.Calls
}

// InOrder says whether the client waits for each answer before it makes the next call of a request.
func (a *Arm) InOrder() bool {
	return a.Topology.Client != nil && a.Topology.Client.Calls == CallsInOrder
}

// requestTime is the expected declared work on the critical path of one kind of request.
func (a *Arm) requestTime(r *Request, known map[string]time.Duration) time.Duration {
	if len(r.Calls) == 0 {
		return a.Experiment.originTime(a.Experiment.Application.Entry, known)
	}
	var longest, sum time.Duration
	for _, call := range r.Calls {
		t := a.Experiment.originTime(call.Service, known)
		longest, sum = max(longest, t), sum+t
	}
	if a.InOrder() && !a.Composes(r) {
		return sum
	}
	return longest
}

// Trips is how the requests of an arm cross the wire between client and entry: means over the kinds of request by weight.
type Trips struct {
	Calls    float64 // that a request is declared as; 1 for a plain one
	Requests float64 // that the client sends for it
	InTurn   float64 // of them, how many wait for each other: the round trips that a user waits for
}

// Trips counts what the client of the arm sends for a request.
func (a *Arm) Trips() Trips {
	var t Trips
	weights := 0.0
	for _, r := range a.Experiment.Load.Requests {
		w := float64(r.Weight)
		weights += w
		sent := float64(max(1, len(a.ClientCalls(&r))))
		turns := 1.0
		if a.InOrder() {
			turns = sent
		}
		t.Calls, t.Requests, t.InTurn = t.Calls+w*float64(max(1, len(r.Calls))), t.Requests+w*sent, t.InTurn+w*turns
	}
	weights = max(weights, 1)
	return Trips{t.Calls / weights, t.Requests / weights, t.InTurn / weights}
}
