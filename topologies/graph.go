package topologies

import (
	"math"
	"sort"
	"time"
)

// Edge is one caller-callee pair of the call graph, however often the one calls the other.
type Edge struct{ Caller, Callee string }

// edges lists the pairs in the order of the file; the driver's own edge to the entry is not among them.
func (e *Experiment) edges() []Edge {
	var all []Edge
	seen := map[Edge]bool{}
	for name, s := range e.Application.Services.All() {
		for _, step := range s.Script {
			for _, call := range step.Calls {
				if edge := (Edge{name, call.Call}); !seen[edge] {
					seen[edge] = true
					all = append(all, edge)
				}
			}
		}
	}
	return all
}

// visits counts how often one request of each kind can reach each service when every call is made, by walking the services callers
// first. The graph has no circle. Counts stop growing just above MaxVisits.
func (e *Experiment) visits() map[string]int {
	count := map[string]int{}
	for _, service := range e.Entered() {
		count[service]++
	}
	for _, name := range e.CallersFirst() {
		for _, step := range e.Application.Services.At(name).Script {
			for _, call := range step.Calls {
				count[call.Call] = min(count[call.Call]+count[name], MaxVisits+1)
			}
		}
	}
	return count
}

// CallersFirst orders the services that can be reached from the entry so that every caller stands before its callees.
func (e *Experiment) CallersFirst() []string {
	var order []string
	done := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		if done[name] {
			return
		}
		done[name] = true
		for _, step := range e.Application.Services.At(name).Script {
			for _, call := range step.Calls {
				visit(call.Call)
			}
		}
		order = append(order, name)
	}
	for _, service := range e.Entered() {
		visit(service)
	}
	for i, j := 0, len(order)-1; i < j; i, j = i+1, j-1 {
		order[i], order[j] = order[j], order[i]
	}
	return order
}

// Mean is the expected wait.
func (w *Wait) Mean() time.Duration {
	switch {
	case w.Fixed != nil:
		return w.Fixed.D()
	case w.Uniform != nil:
		return (w.Uniform.Min.D() + w.Uniform.Max.D()) / 2
	case w.Exponential != nil:
		return w.Exponential.Mean.D()
	case w.Lognormal != nil:
		// The mean of a lognormal distribution is median * exp(sigma^2 / 2).
		mean := float64(w.Lognormal.Median) * math.Exp(w.Lognormal.Sigma*w.Lognormal.Sigma/2)
		return time.Duration(min(mean, float64(math.MaxInt64/2)))
	case len(w.Recorded) > 0:
		sum := 0.0
		for _, d := range w.Recorded {
			sum += float64(d)
		}
		return time.Duration(sum / float64(len(w.Recorded)))
	}
	return 0
}

// originTime is the expected declared work below one service on the critical path. Calls of one step run at the same time: the step
// takes as long as the longest of the calls that are made. Each call counts with its mean, so the spread of the waits of concurrent
// calls, which makes their maximum a little longer, is left out.
func (e *Experiment) originTime(name string, known map[string]time.Duration) time.Duration {
	if t, done := known[name]; done {
		return t
	}
	s := e.Application.Services.At(name)
	total := s.Work.CPU.D() + s.Work.Wait.Mean()
	for _, step := range s.Script {
		total += e.stepTime(step, known)
	}
	known[name] = total
	return total
}

func (e *Experiment) stepTime(step Step, known map[string]time.Duration) time.Duration {
	type branch struct {
		time   time.Duration
		chance float64
	}
	branches := make([]branch, len(step.Calls))
	for i, call := range step.Calls {
		branches[i] = branch{e.originTime(call.Call, known), call.Chance()}
	}
	sort.SliceStable(branches, func(i, j int) bool { return branches[i].time > branches[j].time })
	// The longest counts when it is made, the next when it is made and no longer one is, and so on.
	expected, none := 0.0, 1.0
	for _, b := range branches {
		expected += float64(b.time) * b.chance * none
		none *= 1 - b.chance
	}
	return time.Duration(expected)
}

// Chance is the probability that the call is made.
func (c *Call) Chance() float64 {
	if c.Probability == nil {
		return 1
	}
	return c.Probability.F()
}
