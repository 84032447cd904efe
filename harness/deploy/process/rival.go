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
	RenderSidecar(RivalSidecar) (RivalProgram, error)
}

// RivalSpec is all that a rival's configuration may depend on.
type RivalSpec struct {
	ID       string // gateway-1
	Gateway  topologies.Gateway
	Listen   string    // host:port for the load
	Admin    string    // host:port it may use for status or administration
	Upstream []string  // host:port of every endpoint of the entry service
	Host     string    // name of the entry service
	Identity string    // SPIFFE ID that an endpoint must prove; "" in plaintext
	TLS      *RivalTLS // what it proves itself by to the endpoints; nil: plaintext
	Entry    *RivalTLS // and to clients, who show no certificate; nil: plaintext
	KeySet   string    // file of the keys that sign tokens: a JWK Set
	Key      string    // and of the one key, in PEM
	Dir      string    // for its configuration; kept with the run's logs
	Private  string    // for whatever must not be kept: PID files, sockets, caches
	CPUs     []int     // CPUs it is bound to; empty: all are shared

	Access string // file of its access log, a line for each request; "": it keeps none

	Connections int // the most that the load opens at a time
}

// RivalSidecar is all that the configuration of a rival beside a service may depend on.
type RivalSidecar struct {
	ID       string // sidecar-orders-1
	Service  string
	Mesh     topologies.Mesh
	Inbound  string        // host:port for calls by other sidecars
	Ingress  string        // host:port for plaintext calls from outside; "" for none
	Outbound string        // host:port for the application's own calls, told apart by Host; "" for none
	Admin    string        // host:port it may use for status or administration
	App      string        // host:port of the application
	Callees  []RivalCallee // whom the application calls
	TLS      *RivalTLS     // nil: plaintext
	Dir      string        // as for RivalSpec
	Private  string
	CPUs     []int

	Connections int
}

// RivalCallee is a service that is called.
type RivalCallee struct {
	Service   string
	Endpoints []string // host:port of its inbound sidecars
	Identity  string   // SPIFFE ID that an endpoint must prove; "" in plaintext
}

// RivalTLS is what a proxy proves itself by and whom it believes, where there is no control plane to ask. The certificate has one URI SAN,
// the SPIFFE ID, and the service's name as a DNS SAN, for programs that verify names only.
type RivalTLS struct {
	Certificate, Key, Roots string // files, PEM
	Both                    string // certificate and key in one file
	Domain                  string // spiffe://TRUST DOMAIN/ that callers must be of
}

// RivalProgram is what to execute. It must stay in the foreground: a program that ends counts as dead.
type RivalProgram struct {
	Path  string
	Args  []string
	Env   []string // beside the deployment's mark
	Ready string   // URL; 200 from it means ready
	Out   string   // file that takes its standard output; "": its log, as standard error
}

// rival renders a gateway through its renderer. Everything a rival cannot do in this place is a clear error, not a silent difference
// between arms.
func (d *Deployer) rival(l *layout, n *node, use string) (program, error) {
	renderer, known := d.config.Rivals[use]
	if !known {
		return program{}, fmt.Errorf("topology %s: no deployer for gateway %q: known are %s", l.arm.Name, use, strings.Join(d.gateways(), ", "))
	}
	s := RivalSpec{
		ID: n.ID, Gateway: *l.arm.Topology.Gateway, Listen: n.ports[portHTTP], Admin: n.ports[portAdmin],
		Upstream: l.addressesOf(l.entry()), Host: l.entry(), Dir: l.logs, Private: filepath.Clean(l.private),
		CPUs: cpusFor(l.arm.Experiment.Placement, n.Kind), Connections: slices.Max(append([]int{1}, l.arm.Experiment.Load.Connections...)), TLS: n.tls,
		KeySet: l.keySet(), Key: l.publicKey(), Entry: n.entry,
	}
	if s.TLS != nil {
		s.Identity = serviceID + l.entry()
	}
	if l.keepsLog(n) {
		s.Access = n.access
	}
	p, err := renderer.Render(s)
	if err != nil {
		return program{}, fmt.Errorf("rendering %s as %s: %w", n.ID, use, err)
	}
	return program{path: p.Path, args: p.Args, env: p.Env, ready: p.Ready, roots: l.believed, out: p.Out}, nil
}

// rivalBeside renders a sidecar through a rival's renderer.
func (d *Deployer) rivalBeside(l *layout, n *node) (program, error) {
	use := l.arm.Topology.Mesh.Use
	renderer, known := d.config.Rivals[use]
	if !known {
		return program{}, fmt.Errorf("topology %s: no deployer for sidecars by %q: known are %s", l.arm.Name, use, strings.Join(d.gateways(), ", "))
	}
	s := RivalSidecar{
		ID: n.ID, Service: n.Service, Mesh: *l.arm.Topology.Mesh, Inbound: n.ports[portInbound], Ingress: n.ports[portIngress],
		Outbound: n.ports[portOutbound], Admin: n.ports[portAdmin], App: l.appOf(n), Dir: l.logs, Private: filepath.Clean(l.private),
		CPUs: cpusFor(l.arm.Experiment.Placement, n.Kind), Connections: slices.Max(append([]int{1}, l.arm.Experiment.Load.Connections...)), TLS: n.tls,
	}
	for _, callee := range l.callees(n.Service) {
		c := RivalCallee{Service: callee, Endpoints: l.addressesOf(callee)}
		if s.TLS != nil {
			c.Identity = serviceID + callee
		}
		s.Callees = append(s.Callees, c)
	}
	p, err := renderer.RenderSidecar(s)
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
