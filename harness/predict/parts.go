package predict

import (
	"encoding/json"
	"fmt"

	waits "crossroads/harness/workload"
	"crossroads/topologies"
)

// Kinds of processes whose CPU time is priced. The control plane passes no request: its seconds are part of the spread.
const (
	workload = topologies.KindWorkload
	gateway  = topologies.KindGateway
	sidecar  = topologies.KindSidecar
)

// plan is an arm as a request passes it, and what one request passes on average.
type plan struct {
	arm      *topologies.Arm
	gateway  string                        // part, "" for none
	ingress  string                        // part that the first request crosses before the entry service; "" for none
	outbound string                        // parts that every call crosses; "" for none
	inbound  string                        //
	count    map[string]map[string]float64 // by kind of process and part, per request
	declared float64                       // CPU time that services burn, ns per request
	waits    map[string]waits.Distribution // by service; nil: it does not wait
}

// Parts of the workload.
const (
	partVisit = "visit"
	partCall  = "call"
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
	p := &plan{arm: arm, waits: map[string]waits.Distribution{}, count: map[string]map[string]float64{workload: {}, gateway: {}, sidecar: {}}}
	e := arm.Experiment
	visits := map[string]float64{e.Application.Entry: 1}
	calls := 0.0
	for _, name := range e.CallersFirst() {
		s := e.Application.Services.At(name)
		p.waits[name] = waits.NewDistribution(&s.Work.Wait)
		p.declared += visits[name] * float64(s.Work.CPU)
		p.count[workload][partVisit] += visits[name]
		for _, step := range s.Script {
			for _, call := range step.Calls {
				made := visits[name] * call.Chance()
				visits[call.Call] += made
				calls += made
			}
		}
	}
	p.count[workload][partCall] = calls
	p.proxies(calls)
	return p, nil
}

// proxies names what stands on the way. Whatever else a topology declares is part of a part's name: a gateway with another stage, or
// a mesh with another balancer, is another part.
func (p *plan) proxies(calls float64) {
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
		p.count[gateway][p.gateway] = 1
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
		p.count[sidecar][p.ingress]++
	}
	if calls == 0 {
		return
	}
	if m.Sidecars == topologies.SidecarsClient || m.Sidecars == topologies.SidecarsBoth {
		p.outbound = "outbound " + encrypts + settings
		p.count[sidecar][p.outbound] += calls
	}
	if m.Sidecars == topologies.SidecarsServer || m.Sidecars == topologies.SidecarsBoth {
		p.inbound = "inbound " + encrypts + settings
		p.count[sidecar][p.inbound] += calls
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
	for _, kind := range []string{workload, gateway, sidecar} {
		for _, part := range sortedKeys(p.count[kind]) {
			if _, known := m.Prices[kind].Of[part]; !known && p.count[kind][part] > 0 {
				parts = append(parts, part)
			}
		}
	}
	return parts
}
