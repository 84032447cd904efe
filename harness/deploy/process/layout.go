package process

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"crossroads/harness/deploy"
	"crossroads/topologies"
)

// node is one process to be: its place in the arm, its addresses and its files.
type node struct {
	topologies.Node
	ports  map[string]string // host:port by purpose
	log    string
	config string
	access string    // its access log, where it writes one
	tls    *RivalTLS // its certificate in the mesh, where the deployer issues it
	entry  *RivalTLS // a gateway's certificate for clients; nil: plaintext
}

// Purposes of ports, as deploy.Process shows them.
const (
	portHTTP      = "http"      // of a workload or a gateway
	portApp       = "app"       // of a workload: a Unix socket for the sidecar beside it
	portAdmin     = "admin"     // of a proxy
	portInbound   = "inbound"   // of a sidecar: from other sidecars and gateways
	portIngress   = "ingress"   // of a sidecar: plaintext from callers without an SVID
	portOutbound  = "outbound"  // of a sidecar: from its own application; outbound-SERVICE where each service has a listener of its own
	portBootstrap = "bootstrap" // of the control plane: SVIDs
	portSnapshots = "snapshots" // of the control plane: discovery
)

// layout is an arm with every address decided. It knows which way each call goes; what it says is all that the rendered files hold.
type layout struct {
	arm       *topologies.Arm
	nodes     []*node
	control   *node
	issuer    *node
	gateways  []*node
	workloads map[string][]*node // by service, in order of replicas
	sidecars  map[string][]*node
	addresses []string // every host:port taken
	sockets   int      // Unix sockets named
	private   string   // keys, tokens
	believed  string   // by clients of the gateways: the authority's certificate in PEM; "": they speak plaintext
	logs      string   // logs and rendered files
}

// newLayout decides the address of every process of the arm.
func newLayout(arm *topologies.Arm, p *ports, private, logs string) (*layout, error) {
	l := &layout{arm: arm, workloads: map[string][]*node{}, sidecars: map[string][]*node{}, private: private, logs: logs}
	for _, n := range arm.Processes() {
		l.add(&node{Node: n, ports: map[string]string{}, log: filepath.Join(logs, n.ID+".log"), config: filepath.Join(logs, n.ID+".yaml")})
	}
	count := 0
	for _, n := range l.nodes {
		for _, purpose := range l.purposes(n) {
			if !l.unix(purpose) {
				count++
			}
		}
	}
	addresses, err := p.take(count)
	if err != nil {
		return nil, fmt.Errorf("finding %d ports for %s: %w", count, arm.Name, err)
	}
	l.addresses = addresses
	for _, n := range l.nodes {
		for _, purpose := range l.purposes(n) {
			if l.unix(purpose) {
				if n.ports[purpose], err = l.socket(); err != nil {
					p.give(l.addresses)
					return nil, err
				}
				continue
			}
			n.ports[purpose], addresses = addresses[0], addresses[1:]
		}
	}
	return l, nil
}

// unix says that a port is a Unix socket in this arm: those between an application and its sidecar.
func (l *layout) unix(purpose string) bool {
	return l.arm.UnixApp() && (purpose == portApp || strings.HasPrefix(purpose, portOutbound))
}

// longestSocket is what the kernel takes as the path of a Unix socket (unix(7): sun_path has 108 bytes with the final NUL).
const longestSocket = 107

// socket names a Unix socket; by a number, because there is little room for a path.
func (l *layout) socket() (string, error) {
	l.sockets++
	path := filepath.Join(l.private, fmt.Sprintf("u%d", l.sockets))
	if len(path) > longestSocket {
		return "", fmt.Errorf("the Unix socket %s has a path of %d bytes, the kernel takes %d: set TMPDIR to a shorter one", path, len(path), longestSocket)
	}
	return "unix:" + path, nil
}

// purposes are the ports that a node opens.
func (l *layout) purposes(n *node) []string {
	switch n.Kind {
	case deploy.KindControl:
		return []string{portBootstrap, portSnapshots, portAdmin}
	case deploy.KindIssuer:
		return []string{portHTTP}
	case deploy.KindWorkload:
		if l.arm.UnixApp() && l.arm.Inbound(n.Service) {
			return []string{portHTTP, portApp}
		}
		return []string{portHTTP}
	case deploy.KindGateway:
		return []string{portHTTP, portAdmin}
	}
	ports := []string{portAdmin}
	if l.arm.Inbound(n.Service) {
		ports = append(ports, portInbound)
	}
	if l.ingress(n.Service) {
		ports = append(ports, portIngress)
	}
	if l.arm.Outbound(n.Service) && !l.arm.RelaySidecars() {
		ports = append(ports, portOutbound)
	}
	if l.perCallee() && l.arm.Outbound(n.Service) {
		for _, callee := range l.callees(n.Service) {
			ports = append(ports, outboundTo(callee))
		}
	}
	return ports
}

// perCallee says that calls to each service have a listener of their own: whoever reads no Host field cannot tell them apart.
func (l *layout) perCallee() bool { return l.arm.RelaySidecars() || l.arm.Opaque() }

func outboundTo(callee string) string { return portOutbound + "-" + callee }

// appOf is where the sidecar beside an application reaches it.
func (l *layout) appOf(sidecar *node) string {
	app := l.beside(l.workloads, sidecar)
	if l.arm.UnixApp() {
		return app.ports[portApp]
	}
	return app.ports[portHTTP]
}

func (l *layout) add(n *node) {
	l.nodes = append(l.nodes, n)
	switch n.Kind {
	case deploy.KindControl:
		l.control = n
	case deploy.KindIssuer:
		l.issuer = n
	case deploy.KindGateway:
		l.gateways = append(l.gateways, n)
	case deploy.KindWorkload:
		l.workloads[n.Service] = append(l.workloads[n.Service], n)
	case deploy.KindSidecar:
		l.sidecars[n.Service] = append(l.sidecars[n.Service], n)
	}
}

// mtls is what a sidecar is told; off without inbound sidecars, for then there is nobody to prove an identity to.
func (l *layout) mtls() string {
	if !l.arm.Inbound(l.entry()) {
		return topologies.MTLSOff
	}
	return l.arm.Topology.Mesh.MTLS
}

func (l *layout) encrypted() bool { return l.mtls() != topologies.MTLSOff }

func (l *layout) entry() string { return l.arm.Experiment.Application.Entry }

// entered are the services that the driver, or a gateway, calls.
func (l *layout) entered() []string { return l.arm.Experiment.Entered() }

// ingress says whether a service's sidecars open their plaintext port, which is for the driver alone.
func (l *layout) ingress(service string) bool {
	return slices.Contains(l.entered(), service) && len(l.gateways) == 0 && l.arm.Inbound(service) && !l.arm.RelaySidecars()
}

// addressesOf lists where a service is called: at its inbound sidecars, or at the application itself without them. A caller without a
// sidecar comes to an inbound port too, in plaintext, which all modes of mtls but strict admit.
func (l *layout) addressesOf(service string) []string {
	if l.arm.Inbound(service) {
		return portsOf(l.sidecars[service], portInbound)
	}
	return portsOf(l.workloads[service], portHTTP)
}

func portsOf(nodes []*node, purpose string) []string {
	var addresses []string
	for _, n := range nodes {
		addresses = append(addresses, n.ports[purpose])
	}
	return addresses
}

// callees lists the services that a service calls, each once.
func (l *layout) callees(service string) []string {
	var called []string
	for _, step := range l.arm.Experiment.Application.Services.At(service).Script {
		for _, call := range step.Calls {
			if !slices.Contains(called, call.Call) {
				called = append(called, call.Call)
			}
		}
	}
	return called
}

// peers maps every service that a workload calls to its base addresses: the one outbound sidecar beside the caller, or every
// replica of the callee.
func (l *layout) peers(caller *node) map[string][]string {
	peers := map[string][]string{}
	for _, service := range l.callees(caller.Service) {
		addresses := l.addressesOf(service)
		if s := l.beside(l.sidecars, caller); s != nil && l.arm.Outbound(caller.Service) {
			addresses = []string{s.ports[portOutbound]}
			if l.perCallee() {
				addresses = []string{s.ports[outboundTo(service)]}
			}
		}
		for _, address := range addresses {
			if !strings.HasPrefix(address, "unix:") {
				address = "http://" + address
			}
			peers[service] = append(peers[service], address)
		}
	}
	return peers
}

// beside finds the process of another kind that stands beside a node: same service, same replica. nil where there is none.
func (l *layout) beside(among map[string][]*node, n *node) *node {
	for _, other := range among[n.Service] {
		if other.Replica == n.Replica {
			return other
		}
	}
	return nil
}

// entries is where the driver comes in.
func (l *layout) entries() []deploy.Entry {
	var entries []deploy.Entry
	scheme := "http://"
	if l.arm.EntryTLS() {
		scheme = "https://"
	}
	for _, g := range l.gateways {
		entries = append(entries, deploy.Entry{Name: g.ID, URL: scheme + g.ports[portHTTP], Roots: l.believed})
	}
	if len(entries) > 0 {
		return entries
	}
	for _, service := range l.entered() {
		addresses := l.addressesOf(service)
		if l.ingress(service) {
			addresses = portsOf(l.sidecars[service], portIngress)
		}
		for _, address := range addresses {
			entries = append(entries, deploy.Entry{Name: service, URL: "http://" + address})
		}
	}
	return entries
}

// waves is the order of start. Who is asked for something on the way up comes first: the control plane for SVIDs and endpoints, the
// authorization server for what tokens mean, the applications for nothing, the sidecars by gateways.
func (l *layout) waves() [][]*node {
	order := [][]string{{deploy.KindControl, deploy.KindIssuer, deploy.KindWorkload}, {deploy.KindSidecar}, {deploy.KindGateway}}
	var waves [][]*node
	for _, kinds := range order {
		var wave []*node
		for _, kind := range kinds {
			for _, n := range l.nodes {
				if n.Kind == kind {
					wave = append(wave, n)
				}
			}
		}
		if len(wave) > 0 {
			waves = append(waves, wave)
		}
	}
	return waves
}
