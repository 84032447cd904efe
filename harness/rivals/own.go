package rivals

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"crossroads/harness/deploy/process"
	"crossroads/topologies"
)

// replaced is, of each rival's files, the one in whose place a user's own is put. Traefik's has the routes; where it listens stays as rendered.
var replaced = map[string]string{"caddy": ".json", "envoy": ".yaml", "haproxy": ".cfg", "nginx": ".conf", "traefik": "-routes.yaml"}

// own is the user's file with the deployment's values; "" where the rendered one is used.
func (p *plan) own(suffix string) (string, error) {
	g := p.Gateway
	if g.Config == nil || replaced[g.Use] != suffix {
		return "", nil
	}
	v := topologies.OwnVariables{ID: p.ID, Listen: p.Listen, Admin: p.Admin, Upstream: p.Upstream, Host: p.Host, Identity: p.Identity, Private: p.Private, Access: p.Access, Connections: p.Connections}
	if t := p.TLS; t != nil {
		v.TLS = &topologies.OwnTLS{Certificate: t.Certificate, Key: t.Key, Roots: t.Roots, Both: t.Both, Domain: t.Domain}
	}
	if t := p.Entry; t != nil {
		v.Entry = &topologies.OwnTLS{Certificate: t.Certificate, Key: t.Key, Roots: t.Roots, Both: t.Both}
	}
	text, err := g.Config.Fill(v)
	if err != nil {
		return "", fmt.Errorf("the configuration of one's own: %w", err)
	}
	return text, nil
}

// Rendered is the file that a gateway's own configuration would replace, as it is rendered for the arm, with variables in the place of what a
// deployment chooses: whoever changes it starts from here.
func Rendered(arm *topologies.Arm) (name, text string, err error) {
	g := arm.Topology.Gateway
	if g == nil {
		return "", "", fmt.Errorf("the topology %s has no gateway", arm.Name)
	}
	r, known := byName(g.Use)
	if !known {
		return "", "", fmt.Errorf("the gateway of %s is ours: its file is made of the keys of the experiment", arm.Name)
	}
	if no := r.refuses(g); no != nil {
		return "", "", &Unusable{Arm: arm.Name, Rival: r.Name, Reason: fmt.Sprintf("%s cannot do %s: %s", r.Name, no.what(), no.reason), Mend: "take it out"}
	}
	dir, err := os.MkdirTemp("", "crossroads-render-")
	if err != nil {
		return "", "", fmt.Errorf("making a directory: %w", err)
	}
	defer os.RemoveAll(dir)
	p, err := newPlan(open(arm, dir))
	if err == nil {
		found, _ := r.Find() // a program that is not here is taken to show what it counts
		p.facts = found.facts
		_, err = r.render(p)
	}
	if err != nil {
		return "", "", fmt.Errorf("rendering %s: %w", arm.Name, err)
	}
	rendered, err := os.ReadFile(filepath.Join(dir, p.ID+replaced[r.Name]))
	return arm.Name + replaced[r.Name], string(rendered), err
}

// open is a specification in which everything that a deployment chooses is a variable.
func open(arm *topologies.Arm, dir string) process.RivalSpec {
	e := arm.Experiment
	s := process.RivalSpec{ID: "{{.ID}}", Gateway: *arm.Topology.Gateway, Listen: "{{.Listen}}", Admin: "{{.Admin}}", Host: e.Application.Entry, Dir: dir,
		Private: "{{.Private}}", CPUs: e.Placement.Proxies, Connections: 1}
	s.Gateway.Config = nil
	if declared(s.Gateway.Stages.Mode(topologies.StageAccessLog)) {
		s.Access = "{{.Access}}"
	}
	for _, n := range e.Load.Connections {
		s.Connections = max(s.Connections, n)
	}
	for i := range max(1, e.Application.Services.At(e.Application.Entry).Replicas) {
		s.Upstream = append(s.Upstream, fmt.Sprintf("{{index .Upstream %d}}", i))
	}
	if arm.EntryEncrypts() {
		s.Identity = "{{.Identity}}"
		s.TLS = &process.RivalTLS{Certificate: "{{.TLS.Certificate}}", Key: "{{.TLS.Key}}", Roots: "{{.TLS.Roots}}", Both: "{{.TLS.Both}}", Domain: "{{.TLS.Domain}}"}
	}
	if arm.EntryTLS() {
		s.Entry = &process.RivalTLS{Certificate: "{{.Entry.Certificate}}", Key: "{{.Entry.Key}}", Roots: "{{.Entry.Roots}}", Both: "{{.Entry.Both}}"}
	}
	return s
}

// variable says that an address is a variable, and what it is called.
func variable(address string) (string, bool) {
	name, is := strings.CutPrefix(address, "{{")
	name = strings.TrimSuffix(name, "}}")
	if strings.Contains(name, " ") {
		name = "(" + name + ")"
	}
	return name, is
}
