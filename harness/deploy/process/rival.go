package process

import (
	"fmt"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"crossroads/topologies"
)

// RivalRenderer turns the declaration of a gateway into the files and the command line of a proxy that we did not write.
type RivalRenderer interface {
	Render(RivalSpec) (RivalProgram, error)
}

// RivalSpec is all that a rival's configuration may depend on.
type RivalSpec struct {
	ID       string // gateway-1
	Gateway  topologies.Gateway
	Listen   string   // host:port for the load
	Admin    string   // host:port it may use for status or administration
	Upstream []string // host:port of every endpoint of the entry service, plaintext
	Host     string   // name of the entry service
	Dir      string   // for its configuration; kept with the run's logs
	Private  string   // for whatever must not be kept: PID files, sockets, caches
	CPUs     []int    // CPUs it is bound to; empty: all are shared

	Connections int // the most that the load opens at a time
}

// RivalProgram is what to execute. It must stay in the foreground: a program that ends counts as dead.
type RivalProgram struct {
	Path  string
	Args  []string
	Env   []string // beside the deployment's mark
	Ready string   // URL; 200 from it means ready
}

// rival renders a gateway through its renderer. Everything a rival cannot do in this place is a clear error, not a silent difference
// between arms.
func (d *Deployer) rival(l *layout, n *node, use string) (program, error) {
	renderer, known := d.config.Rivals[use]
	if !known {
		return program{}, fmt.Errorf("topology %s: no deployer for gateway %q: known are %s", l.arm.Name, use, strings.Join(d.gateways(), ", "))
	}
	if l.mtls() == topologies.MTLSStrict {
		return program{}, fmt.Errorf("topology %s: %s has no SVID, which sidecars demand under mtls: strict: use the reference gateway, or write mtls: permissive or off", l.arm.Name, use)
	}
	p, err := renderer.Render(RivalSpec{
		ID: n.ID, Gateway: *l.arm.Topology.Gateway, Listen: n.ports[portHTTP], Admin: n.ports[portAdmin],
		Upstream: l.addressesOf(l.entry()), Host: l.entry(), Dir: l.logs, Private: filepath.Clean(l.private),
		CPUs: cpusFor(l.arm.Experiment.Placement, n.Kind), Connections: slices.Max(append([]int{1}, l.arm.Experiment.Load.Connections...)),
	})
	if err != nil {
		return program{}, fmt.Errorf("rendering %s as %s: %w", n.ID, use, err)
	}
	return program{path: p.Path, args: p.Args, env: p.Env, ready: p.Ready}, nil
}

func (d *Deployer) gateways() []string {
	names := []string{"reference"}
	for name := range d.config.Rivals {
		names = append(names, name)
	}
	sort.Strings(names[1:])
	return names
}
