package topologies

import (
	"fmt"
	"strings"
)

// Dot draws an arm for Graphviz: services as boxes, proxies as hexagons, and every way a request can take. Bold edges are mutual TLS.
func (e *Experiment) Dot(a *Arm) string {
	d := drawing{a: a}
	d.line("digraph %q {", e.Name+" "+a.Name)
	d.line("  rankdir=LR;")
	d.line("  label=%q;", e.Name+": "+a.Name)
	d.line("  node [fontname=\"sans-serif\"]; edge [fontname=\"sans-serif\", fontsize=10];")
	d.line("  driver [shape=circle];")
	if x := a.Topology.External; x != nil {
		d.line("  external [shape=box, style=dashed, label=%q];", x.URL)
		d.line("  driver -> external;")
		d.line("}")
		return d.String()
	}
	for name, s := range e.Application.Services.All() {
		d.service(name, s)
	}
	from := d.gateway()
	for _, service := range e.Entered() {
		d.entry(from, service)
	}
	for name, s := range e.Application.Services.All() {
		d.calls(name, s)
	}
	d.line("}")
	return d.String()
}

type drawing struct {
	strings.Builder
	a *Arm
}

func (d *drawing) line(format string, args ...any) { fmt.Fprintf(d, format+"\n", args...) }

// service draws a service, and its sidecar in one frame with it.
func (d *drawing) service(name string, s Service) {
	label := name + times(s.Replicas)
	if !d.a.Inbound(name) && !d.a.Outbound(name) {
		d.line("  %q [shape=box, label=%q];", name, label)
		return
	}
	d.line("  subgraph %q {", "cluster "+name)
	d.line("    style=dotted; label=\"\";")
	d.line("    %q [shape=box, label=%q];", name, label)
	label = KindSidecar
	if d.a.RelaySidecars() {
		label = Relay
	}
	d.line("    %q [shape=hexagon, label=%q];", KindSidecar+" "+name, label+times(s.Replicas))
	d.line("  }")
	if d.a.Inbound(name) {
		d.line("  %q -> %q;", KindSidecar+" "+name, name)
	}
	if d.a.Outbound(name) {
		d.line("  %q -> %q;", name, KindSidecar+" "+name)
	}
}

// gateway draws the gateway, if there is one, and says from where services are entered.
func (d *drawing) gateway() string {
	g := d.a.Topology.Gateway
	if g == nil {
		return "driver"
	}
	d.line("  gateway [shape=hexagon, label=%q];", g.Use+" gateway"+times(g.Replicas))
	if d.a.EntryTLS() {
		d.line("  driver -> gateway [label=TLS];")
	} else {
		d.line("  driver -> gateway;")
	}
	if d.a.NeedsIssuer() {
		d.line("  issuer [shape=box, style=rounded, label=\"authorization server\"];")
		d.line("  gateway -> issuer [style=dotted, label=introspection];")
	}
	return "gateway"
}

// entry draws how a service is entered.
func (d *drawing) entry(from, service string) {
	label := ""
	if from == "driver" && d.a.Inbound(service) {
		label = "ingress"
	}
	d.edge(from, d.into(service), label, d.a.EntryEncrypts())
}

// calls draws one edge for each callee, however often it is called.
func (d *drawing) calls(name string, s Service) {
	from := name
	if d.a.Outbound(name) {
		from = KindSidecar + " " + name
	}
	labels, order := map[string][]string{}, []string(nil)
	for i, step := range s.Script {
		for _, call := range step.Calls {
			label := fmt.Sprintf("step %d", i+1)
			if call.Probability != nil {
				label += ", " + call.Probability.String()
			}
			if labels[call.Call] == nil {
				order = append(order, call.Call)
			}
			labels[call.Call] = append(labels[call.Call], label)
		}
	}
	for _, callee := range order {
		d.edge(from, d.into(callee), strings.Join(labels[callee], "; "), d.a.Encrypts())
	}
}

// into is where calls to a service arrive.
func (d *drawing) into(service string) string {
	if d.a.Inbound(service) {
		return KindSidecar + " " + service
	}
	return service
}

func (d *drawing) edge(from, to, label string, encrypted bool) {
	attributes := fmt.Sprintf("label=%q", label)
	if encrypted {
		attributes += ", style=bold, color=darkgreen"
	}
	d.line("  %q -> %q [%s];", from, to, attributes)
}

func times(n int) string {
	if n == 1 {
		return ""
	}
	return fmt.Sprintf(" x%d", n)
}
