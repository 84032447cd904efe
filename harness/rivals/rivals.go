// Package rivals puts proxies that we did not write into the gateway's place (nginx, HAProxy, Caddy, Envoy and Traefik, one file each)
// and into the sidecars' (nginx, HAProxy and Envoy), their configurations rendered from the same declaration.
//
// Its one invariant: a rival does the work of the reference gateway, or it is refused by name. Same fields towards the application
// (X-Forwarded-For, -Proto and -Host replaced, X-Request-Id made where the rival can, Via appended), pooled connections, round robin,
// the same timeouts where there is such a timeout, as many workers as the reference gateway has CPUs, requests counted; mutual TLS to sidecars
// by a certificate of the mesh. How each project's advice was followed stands in TUNING.md. A stage that a
// rival has no honest equivalent for is an error before anything is started, never left out in silence. What stays different: only
// the reference gateway starts a traceparent, and rivals are as strict about messages as they are.
//
// It installs nothing and starts nothing: deploy/process does.
package rivals

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"crossroads/harness/deploy/process"
	"crossroads/topologies"
)

// Rival is one proxy that can stand in the gateway's place.
type Rival struct {
	Name      string                                  // after `use:`, and of its program
	Get       string                                  // how to come by the program
	version   []string                                // arguments that make it say its version
	says      string                                  // where in its answer that stands: a regular expression with one group
	counter   string                                  // what stands in its answer where it was built to show what it counts; "": it always is
	does      []string                                // of lacking: what is rendered for this one all the same
	leavesVia func(version string) bool               // whether it appends to Via by itself; nil: never
	refuse    func(topologies.GatewayStages) *refusal // nil: it can do all that is declared
	render    func(*plan) (process.RivalProgram, error)
	beside    func(*sidecarPlan) (process.RivalProgram, error) // nil: it is not rendered as a sidecar
}

// refusal names a stage, or a term of the upstream, that a rival cannot do, and why.
type refusal struct{ stage, reason string }

// what is the refused thing as a sentence names it.
func (r *refusal) what() string {
	if strings.HasPrefix(r.stage, "upstream.") {
		return r.stage
	}
	return "the stage " + r.stage
}

// All lists the rivals in alphabetical order.
func All() []Rival { return []Rival{caddy(), envoy(), haproxy(), nginx(), traefik()} }

// Unusable is an arm whose rival cannot be deployed, found before anything was started.
type Unusable struct {
	Arm, Rival string
	Missing    bool // its program is not installed; otherwise the declaration asks for what it cannot do
	Reason     string
	Mend       string
}

func (u *Unusable) Error() string { return "topology " + u.Arm + ": " + u.Reason }

// Set is the rivals that an experiment uses, found on this machine.
type Set map[string]Found

// For finds the rivals that the experiment's topologies use. The error joins an *Unusable for each arm that cannot be deployed.
func For(e *topologies.Experiment) (Set, error) {
	set := Set{}
	var faults []error
	for _, arm := range e.Arms() {
		used, err := ForArm(arm)
		faults = append(faults, err)
		maps.Copy(set, used)
	}
	return set, errors.Join(faults...)
}

// ForArm finds the rivals that one arm uses. The error is an *Unusable.
func ForArm(arm *topologies.Arm) (Set, error) {
	set := Set{}
	if arm.RivalSidecars() {
		found, err := besideUsable(arm)
		if err != nil {
			return set, err
		}
		set[found.Name] = found
	}
	g := arm.Topology.Gateway
	if g == nil || g.Use == topologies.Reference || g.Use == topologies.Relay {
		return set, nil
	}
	found, err := usable(arm.Name, g)
	if err != nil {
		return set, err
	}
	set[g.Use] = found
	return set, nil
}

func usable(arm string, g *topologies.Gateway) (Found, error) {
	r, known := byName(g.Use)
	if !known {
		return Found{}, &Unusable{Arm: arm, Rival: g.Use, Reason: fmt.Sprintf("gateway %q is not known here", g.Use), Mend: "known are reference, " + names()}
	}
	if no := r.refuses(g); no != nil {
		return Found{}, &Unusable{Arm: arm, Rival: r.Name, Reason: fmt.Sprintf("%s cannot do %s: %s", r.Name, no.what(), no.reason),
			Mend: fmt.Sprintf("in %s take %s out, or write use: reference", arm, no.what())}
	}
	found, err := r.Find()
	if err != nil {
		return Found{}, &Unusable{Arm: arm, Rival: r.Name, Missing: true, Reason: err.Error(), Mend: r.Get + "; or leave the arm out with --only"}
	}
	return found, nil
}

func besideUsable(arm *topologies.Arm) (Found, error) {
	use := arm.Topology.Mesh.Use
	r, known := byName(use)
	if !known || r.beside == nil {
		return Found{}, &Unusable{Arm: arm.Name, Rival: use, Reason: fmt.Sprintf("%s is not rendered as a sidecar", use), Mend: "write use: reference, envoy, nginx or haproxy"}
	}
	found, err := r.Find()
	if err != nil {
		return Found{}, &Unusable{Arm: arm.Name, Rival: use, Missing: true, Reason: err.Error(), Mend: r.Get + "; or leave the arm out with --only"}
	}
	return found, nil
}

func byName(name string) (Rival, bool) {
	for _, r := range All() {
		if r.Name == name {
			return r, true
		}
	}
	return Rival{}, false
}

func names() string {
	var all []string
	for _, r := range All() {
		all = append(all, r.Name)
	}
	return strings.Join(all, ", ")
}

// Renderers is the set as a deployer takes it.
func (s Set) Renderers() map[string]process.RivalRenderer {
	renderers := map[string]process.RivalRenderer{}
	for name, found := range s {
		renderers[name] = found
	}
	return renderers
}

// Tools are the versions, as a run's environment records them.
func (s Set) Tools() map[string]string {
	tools := map[string]string{}
	for name, found := range s {
		tools[name] = found.Version
	}
	return tools
}

// Programs are the paths, by name.
func (s Set) Programs() map[string]string {
	paths := map[string]string{}
	for name, found := range s {
		paths[name] = found.Path
	}
	return paths
}
