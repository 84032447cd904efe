package predict

import (
	"encoding/json"
	"fmt"
	"slices"

	waits "crossroads/harness/workload"
	"crossroads/topologies"
)

// Kinds of processes whose CPU time is priced. The control plane passes no request: it is priced by the second.
const (
	workload = topologies.KindWorkload
	gateway  = topologies.KindGateway
	sidecar  = topologies.KindSidecar
	control  = topologies.KindControl
)

var kinds = []string{workload, gateway, sidecar, control}

// pass is how often a request passes a part, and how often the process that it happens in is visited by one: what a part costs depends on
// how busy its process is.
type pass struct {
	part   string
	n      float64 // passages per request
	visits float64 // of the process, per request; 0: its price does not depend on the rate
	idle   bool    // n is per second, not per request
}

// plan is an arm as a request passes it, and what one request passes on average.
type plan struct {
	arm      *topologies.Arm
	gateway  string                        // part, "" for none
	ingress  string                        // part that the first request crosses before the entry service; "" for none
	outbound string                        // parts that every call crosses; "" for none
	inbound  string                        //
	passes   map[string][]pass             // by kind of process
	declared float64                       // CPU time that services burn, ns per request
	waits    map[string]waits.Distribution // by service; nil: it does not wait
	visits   map[string]float64            // of one replica of a service, per request
	arrival  map[string]string             // by service: the part that a visit is besides, by who asks; "" where another service does itself
}

// Parts of the workload, and of processes that pass no request. A wait takes CPU time to begin and to end. The first call of a step is
// priced as one that is made alone, each further one as a part of its own: its caller is awake by then. A visit that a service asks for itself
// is the cheapest: one that comes through a proxy costs more, and most costs one that the driver asks for, which goes round all its connections
// where a proxy takes the one it used last.
const (
	partVisit    = "visit"
	partDriven   = "visit, asked for by the driver"
	partRelayed  = "visit, asked for by a proxy"
	partWait     = "wait"
	partCall     = "call"
	partFurther  = "call, at once with another"
	partSecond   = "second"
	partSidecars = "second of a sidecar"
)

// planOf works out what a request passes. A system that somebody else runs has no parts that could be known.
func planOf(arm *topologies.Arm) (*plan, error) {
	t := arm.Topology
	if t.External != nil {
		return nil, fmt.Errorf("topology %s: what an external system is made of is not known, so nothing can be predicted of it", arm.Name)
	}
	if arm.Experiment.Calls() {
		return nil, fmt.Errorf("topology %s: its requests are made of several calls, and the model knows requests to one entry only", arm.Name)
	}
	p := &plan{arm: arm, waits: map[string]waits.Distribution{}, passes: map[string][]pass{}, visits: map[string]float64{}, arrival: map[string]string{}}
	e := arm.Experiment
	visits := map[string]float64{e.Application.Entry: 1}
	p.proxies()
	for _, name := range e.CallersFirst() {
		s := e.Application.Services.At(name)
		p.waits[name] = waits.NewDistribution(&s.Work.Wait)
		p.declared += visits[name] * float64(s.Work.CPU)
		p.visits[name] = visits[name] / float64(max(1, s.Replicas))
		p.arrival[name] = p.arrivalOf(name)
		p.pass(workload, partVisit, visits[name], name)
		p.pass(workload, p.arrival[name], visits[name], name)
		if p.waits[name] != nil {
			p.pass(workload, partWait, visits[name], name)
		}
		if name != e.Application.Entry {
			p.pass(sidecar, p.inbound, visits[name], name)
		}
		for _, step := range s.Script {
			none, first, further := 1.0, 0.0, 0.0 // none: the chance that no call of the step was made before
			for _, call := range step.Calls {
				made := visits[name] * call.Chance()
				visits[call.Call] += made
				first, further = first+made*none, further+made*(1-none)
				none *= 1 - call.Chance()
			}
			p.pass(workload, partCall, first, name)
			p.pass(workload, partFurther, further, name)
			p.pass(sidecar, p.outbound, first, name)
			p.pass(sidecar, furtherOf(p.outbound), further, name)
		}
	}
	p.pass(gateway, p.gateway, 1, e.Application.Entry)
	p.pass(sidecar, p.ingress, 1, e.Application.Entry)
	p.seconds()
	return p, nil
}

// furtherOf is the part that an outbound crossing is when its call is made at once with another.
func furtherOf(outbound string) string {
	if outbound == "" {
		return ""
	}
	return outbound + ", at once with another"
}

// arrivalOf is the part that a visit of a service is besides, by who asks for it.
func (p *plan) arrivalOf(name string) string {
	entry := name == p.arm.Experiment.Application.Entry
	switch {
	case entry && p.gateway == "" && p.ingress == "":
		return partDriven
	case entry, p.outbound != "", p.inbound != "":
		return partRelayed
	}
	return ""
}

func (p *plan) pass(kind, part string, n float64, service string) {
	if part != "" && n > 0 {
		p.passes[kind] = append(p.passes[kind], pass{part: part, n: n, visits: p.visits[service]})
	}
}

// seconds are what costs CPU time without any request: sidecars report to the control plane and ask it.
func (p *plan) seconds() {
	sidecars, controls := 0, 0
	for _, node := range p.arm.Processes() {
		switch node.Kind {
		case sidecar:
			sidecars++
		case control:
			controls++
		}
	}
	idle := func(kind, part string, n int) {
		if n > 0 {
			p.passes[kind] = append(p.passes[kind], pass{part: part, n: float64(n), idle: true})
		}
	}
	idle(sidecar, partSecond, sidecars)
	if controls > 0 {
		idle(control, partSecond, controls)
		idle(control, partSidecars, sidecars)
	}
}

// proxies names what stands on the way. Whatever else a topology declares is part of a part's name: a gateway with another stage, or
// a mesh with another balancer, is another part.
func (p *plan) proxies() {
	t, encrypts := p.arm.Topology, "plain"
	if p.arm.Encrypts() {
		encrypts = "mTLS"
	}
	if g := t.Gateway; g != nil {
		own := *g
		own.Replicas = 0
		p.gateway = "gateway " + text(own)
		if p.arm.EntryEncrypts() {
			p.gateway += " over mTLS"
		}
	}
	m := t.Mesh
	if m == nil {
		return
	}
	own := *m
	own.Sidecars, own.MTLS = "", ""
	settings := " " + text(own)
	entry := "plain"
	if p.arm.EntryEncrypts() {
		entry = "mTLS"
	}
	if p.arm.Inbound(p.arm.Experiment.Application.Entry) {
		p.ingress = "inbound " + entry + settings
	}
	if m.Sidecars == topologies.SidecarsClient || m.Sidecars == topologies.SidecarsBoth {
		p.outbound = "outbound " + encrypts + settings
	}
	if m.Sidecars == topologies.SidecarsServer || m.Sidecars == topologies.SidecarsBoth {
		p.inbound = "inbound " + encrypts + settings
	}
}

func text(v any) string {
	encoded, err := json.Marshal(v)
	if err != nil {
		return err.Error() // a declaration of plain values: cannot happen, and would only be a name that matches nothing
	}
	return string(encoded)
}

// missing lists the parts that have no price.
func (m *Model) missing(p *plan) []string {
	var parts []string
	for _, kind := range kinds {
		for _, at := range p.passes[kind] {
			if _, known := m.Prices[kind].Of[at.part]; !known && !slices.Contains(parts, at.part) {
				parts = append(parts, at.part)
			}
		}
	}
	return parts
}
