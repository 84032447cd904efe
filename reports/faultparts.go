package reports

import (
	"fmt"
	"strings"

	"crossroads/results"
)

// part says in words what a fault met in an arm, so that a choke point and one of many moving parts are told apart at a glance:
// gateway-1, the only gateway; sidecar-stock-1, one sidecar of 5.
func (c *cell) part(fault int) string {
	met := c.met(fault)
	if met == "" || strings.Contains(met, ", ") {
		return met
	}
	for _, t := range c.trials {
		for _, u := range t.Usage {
			if u.Process == met {
				return met + ", " + partOf(u, t.Usage)
			}
		}
	}
	return met
}

// partOf names a process among the others of its trial.
func partOf(u results.Usage, all []results.Usage) string {
	alike := 0
	for _, other := range all {
		if other.Kind == u.Kind && (u.Kind != "workload" || other.Service == u.Service) {
			alike++
		}
	}
	what := u.Kind
	switch u.Kind {
	case "control":
		return "the control plane"
	case "workload":
		what = "replica"
	}
	if alike == 1 {
		return "the only " + what
	}
	return fmt.Sprintf("one %s of %d", what, alike)
}

// servicesReached is the share of the services to which a call failed until the next fault, in per cent: the callers' own counts, and the
// driver's for the entry.
func (b *book) servicesReached(arm, fault int) metric {
	all := b.ref(arm).services()
	return ofFault(fault, func(_ *results.Trial, f *results.Fault) (float64, bool) {
		reached := map[string]bool{}
		for _, e := range f.Edges {
			if e.Failed > 0 {
				reached[e.Callee] = true
			}
		}
		n := len(reached) // the entry is called by nobody else
		if driverFailed(f) {
			n++
		}
		return 100 * float64(n) / float64(all), all > 0
	})
}

// services counts those of the arm, by their processes.
func (c *cell) services() int {
	known := map[string]bool{}
	for _, t := range c.trials {
		for _, u := range t.Usage {
			if u.Kind == "workload" {
				known[u.Service] = true
			}
		}
	}
	return len(known)
}

// driverFailed says whether requests of the driver failed from the fault until the next one.
func driverFailed(f *results.Fault) bool {
	for _, toll := range []*results.Toll{f.During, f.After} {
		if toll != nil && toll.Due-toll.Done-toll.Declared > 0 {
			return true
		}
	}
	return false
}
