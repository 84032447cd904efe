package topologies

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What a fault does.
const (
	FaultKill      = "kill"
	FaultPause     = "pause"
	FaultTerminate = "terminate"
	FaultExpire    = "expire"
	FaultStale     = "stale"
	FaultService   = "service"
)

// Kind is what the fault does: kill, pause, terminate, expire, stale, or service for replicas that answer badly.
func (f *Fault) Kind() string {
	switch {
	case len(f.Kill) > 0:
		return FaultKill
	case len(f.Pause) > 0:
		return FaultPause
	case len(f.Terminate) > 0:
		return FaultTerminate
	case len(f.Expire) > 0:
		return FaultExpire
	case len(f.Stale) > 0:
		return FaultStale
	}
	return FaultService
}

// names are the processes as the file writes them.
func (f *Fault) names() Names {
	switch f.Kind() {
	case FaultKill:
		return f.Kill
	case FaultPause:
		return f.Pause
	case FaultTerminate:
		return f.Terminate
	case FaultExpire:
		return f.Expire
	case FaultStale:
		return f.Stale
	}
	if f.Replica > 0 {
		return Names{f.Service + "-" + strconv.Itoa(f.Replica)}
	}
	return Names{f.Service}
}

// Targets lists the processes of an arm that the fault concerns; none where the arm runs without it.
func (f *Fault) Targets(a *Arm) []Node {
	var found []Node
	for _, n := range a.Processes() {
		for _, name := range f.names() {
			if n.named(name) && f.canMeet(a, n) {
				found = append(found, n)
				break
			}
		}
	}
	return found
}

// canMeet says whether the process is one that this kind of fault can be done to.
func (f *Fault) canMeet(a *Arm, n Node) bool {
	switch f.Kind() {
	case FaultService:
		return n.Kind == KindWorkload
	case FaultExpire, FaultStale:
		return a.followsControl(n)
	}
	return true
}

// TellsOf says whether a fault of the experiment is one that this process has to be told of, because it does it to itself.
func (a *Arm) TellsOf(n Node) bool {
	return slices.ContainsFunc(a.Experiment.Faults, func(f Fault) bool {
		return (f.Kind() == FaultExpire || f.Kind() == FaultStale) && slices.Contains(f.Targets(a), n)
	})
}

// followsControl says whether a process holds an SVID of the arm's control plane, and hears from it.
func (a *Arm) followsControl(n Node) bool {
	switch n.Kind {
	case KindSidecar:
		return a.NeedsControl()
	case KindGateway:
		return a.EntryEncrypts() && a.NeedsControl()
	}
	return false
}

// DropIdleFaults takes out the names, and the faults, that meet nobody: where topologies were left out by a flag.
func (e *Experiment) DropIdleFaults() {
	var kept []Fault
	for _, f := range e.Faults {
		for _, names := range []*Names{&f.Kill, &f.Pause, &f.Terminate, &f.Expire, &f.Stale} {
			*names = slices.DeleteFunc(slices.Clone(*names), func(name string) bool { return !e.stands(name) })
		}
		if f.Service != "" || len(f.names()[0]) > 0 {
			kept = append(kept, f)
		}
	}
	e.Faults = kept
}

// stands says whether a name means a process of any arm.
func (e *Experiment) stands(name string) bool {
	return slices.ContainsFunc(e.Arms(), func(a *Arm) bool {
		return slices.ContainsFunc(a.Processes(), func(n Node) bool { return n.named(name) })
	})
}

// named says whether a name of the file means this process: its id, or a word for all of its kind (gateway, control, sidecar) or of
// its place (sidecar-orders, orders).
func (n Node) named(name string) bool {
	return name == n.ID || name == strings.TrimSuffix(n.ID, "-"+strconv.Itoa(n.Replica)) || name == KindSidecar && n.Kind == KindSidecar
}

// Until is when the fault ends; the end of the block where it never does.
func (f *Fault) Until(block time.Duration) time.Duration {
	if f.For == 0 {
		return block
	}
	return f.At.D() + f.For.D()
}

// Text says what happens, in few words: kill gateway-1; price-2: errors 100%.
func (f *Fault) Text() string {
	who := strings.Join(f.names(), ", ")
	if f.Kind() != FaultService {
		return f.Kind() + " " + who
	}
	var what []string
	if f.Errors > 0 {
		what = append(what, fmt.Sprintf("errors %s", f.Errors))
	}
	if f.Delay > 0 {
		what = append(what, fmt.Sprintf("delay %s", f.Delay))
	}
	if f.Reset > 0 {
		what = append(what, fmt.Sprintf("reset %s", f.Reset))
	}
	return who + ": " + strings.Join(what, ", ")
}
