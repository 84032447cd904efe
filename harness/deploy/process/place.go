package process

import (
	"fmt"

	"golang.org/x/sys/unix"

	"crossroads/harness/deploy"
	"crossroads/topologies"
)

// place binds the calling thread to CPUs, so that the child forked next inherits the binding before it runs its first instruction.
// An empty list changes nothing. restore puts the thread back.
func place(cpus []int) (restore func(), err error) {
	if len(cpus) == 0 {
		return func() {}, nil
	}
	var before, wanted unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, fmt.Errorf("reading the CPUs allowed: %w", err)
	}
	for _, cpu := range cpus {
		wanted.Set(cpu)
	}
	if err := unix.SchedSetaffinity(0, &wanted); err != nil {
		return nil, err
	}
	return func() { _ = unix.SchedSetaffinity(0, &before) }, nil
}

// cpusFor is the declared placement of a kind of process; the control plane counts among the proxies, the authorization server stands
// with the application: somebody else runs it.
func cpusFor(p topologies.Placement, kind string) []int {
	if kind == deploy.KindWorkload || kind == deploy.KindIssuer {
		return p.Workload
	}
	return p.Proxies
}

// checkPlacement refuses CPUs that this process may not use, before anything is started.
func checkPlacement(p topologies.Placement) error {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return fmt.Errorf("reading the CPUs allowed: %w", err)
	}
	for _, list := range [][]int{p.Proxies, p.Workload} {
		for _, cpu := range list {
			if !allowed.IsSet(cpu) {
				return fmt.Errorf("placement names CPU %d, which is not among the %d CPUs allowed here", cpu, allowed.Count())
			}
		}
	}
	return nil
}
