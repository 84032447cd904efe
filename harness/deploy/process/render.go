package process

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"crossroads/harness/deploy"
	"crossroads/proxies/config"
	"crossroads/proxies/config/strict"
	"crossroads/proxies/config/units"
	"crossroads/topologies"
)

// Names within a deployment's mesh. The gateway has a namespace of its own, so that no service's name can be taken for it.
const (
	trustDomain = "crossroads.internal"
	serviceID   = "spiffe://" + trustDomain + "/ns/default/sa/"
	gatewayID   = "spiffe://" + trustDomain + "/ns/gateways/sa/gateway"
)

// drainGrace is how long a proxy lets requests finish when it is taken down; the load has ended by then.
const drainGrace = 100 * time.Millisecond

// program is what to execute for a node.
type program struct {
	path  string
	args  []string
	env   []string
	ready string // URL that answers 200 when it serves
	roots string // certificates in PEM that its own must be of, where that URL is https
	out   string // file that takes its standard output; "": the node's log
}

// render writes the files of every node and says what to execute.
func (d *Deployer) render(l *layout) (map[string]program, error) {
	experiment, err := topologies.Marshal(l.arm.Experiment)
	if err != nil {
		return nil, fmt.Errorf("rendering the experiment: %w", err)
	}
	file := filepath.Join(l.logs, "experiment.yaml")
	if err := os.WriteFile(file, experiment, 0o644); err != nil {
		return nil, fmt.Errorf("writing the experiment for the workload: %w", err)
	}
	if err := l.proveAll(); err != nil {
		return nil, err
	}
	if err := l.proveEntries(); err != nil {
		return nil, err
	}
	programs := map[string]program{}
	for _, n := range l.nodes {
		var p program
		switch n.Kind {
		case deploy.KindWorkload:
			p, err = d.workload(l, n, file)
		case deploy.KindControl:
			p, err = d.control(l, n)
		case deploy.KindIssuer:
			p, err = d.issuer(l, n)
		case deploy.KindSidecar:
			p, err = d.beside(l, n)
		case deploy.KindGateway:
			p, err = d.gateway(l, n)
		default:
			err = fmt.Errorf("%s is a %q, which this deployer does not know", n.ID, n.Kind)
		}
		if err != nil {
			return nil, err
		}
		programs[n.ID] = p
	}
	return programs, nil
}

func (d *Deployer) workload(l *layout, n *node, experiment string) (program, error) {
	peers, err := json.Marshal(l.peers(n))
	if err != nil {
		return program{}, fmt.Errorf("rendering the peers of %s: %w", n.ID, err)
	}
	address := n.ports[portHTTP]
	return program{
		path: d.config.Binaries[n.Kind],
		args: []string{"run", "--experiment", experiment, "--service", n.Service, "--replica", strconv.Itoa(n.Replica),
			"--listen", strings.Join(slices.DeleteFunc([]string{address, n.ports[portApp]}, func(a string) bool { return a == "" }), ","), "--peers", string(peers), "--calibration", d.calibration},
		ready: "http://" + address + "/healthz",
	}, nil
}

// proxy writes a proxy's file; gateway, sidecar and control plane are run alike.
func (d *Deployer) proxy(l *layout, n *node, file any) (program, error) {
	if err := writeYAML(n.config, file); err != nil {
		return program{}, err
	}
	return program{
		path: d.config.Binaries[n.Kind], args: []string{"run", "--config", n.config},
		ready: "http://" + n.ports[portAdmin] + "/readyz",
	}, nil
}

func writeYAML(file string, v any) error {
	text, err := strict.Marshal(v)
	if err != nil {
		return fmt.Errorf("rendering %s: %w", filepath.Base(file), err)
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return fmt.Errorf("writing a configuration: %w", err)
	}
	return nil
}

// control writes the control plane's file, its endpoints, and a token for each identity.
func (d *Deployer) control(l *layout, n *node) (program, error) {
	var c config.Control
	c.SetDefaults()
	c.Version, c.TrustDomain = 1, trustDomain
	c.Bootstrap, c.Listen, c.Admin.Address = n.ports[portBootstrap], n.ports[portSnapshots], n.ports[portAdmin]
	if life := l.arm.Topology.Mesh.SVIDLifetime; life > 0 {
		c.Lifetime = life
	}
	c.CA = config.CA{Certificate: l.roots(), Key: filepath.Join(l.private, "ca.key")}
	c.Endpoints = filepath.Join(l.logs, "endpoints.yaml")
	for _, id := range l.identities() {
		token := config.Token{File: l.token(id), IDs: []string{id}}
		if _, err := writeSecret(token.File); err != nil {
			return program{}, err
		}
		c.Tokens = append(c.Tokens, token)
	}
	if err := writeYAML(c.Endpoints, l.endpoints()); err != nil {
		return program{}, err
	}
	return d.proxy(l, n, c)
}

func (l *layout) roots() string { return filepath.Join(l.private, "roots.pem") }

// token is the file of the bootstrap token for one identity: each service has its own and can become nobody else with it.
func (l *layout) token(id string) string {
	sum := sha256.Sum256([]byte(id))
	return filepath.Join(l.private, "token-"+hex.EncodeToString(sum[:8]))
}

// identities lists whoever needs an SVID.
func (l *layout) identities() []string {
	var ids []string
	for service := range l.arm.Experiment.Application.Services.All() {
		if len(l.sidecars[service]) > 0 {
			ids = append(ids, serviceID+service)
		}
	}
	if len(l.gateways) > 0 && !l.arm.RelayGateway() {
		ids = append(ids, gatewayID)
	}
	return ids
}

// endpoints is what the control plane serves.
func (l *layout) endpoints() config.Endpoints {
	file := config.Endpoints{Version: 1}
	for service := range l.arm.Experiment.Application.Services.All() {
		s := config.Service{Protocol: "http", Endpoints: endpointsAt(l.addressesOf(service), "")}
		if l.encrypted() {
			s.Identity = serviceID + service
		}
		file.Services.Set(service, s)
	}
	return file
}

func endpointsAt(addresses []string, identity string) []config.Endpoint {
	var endpoints []config.Endpoint
	for _, address := range addresses {
		endpoints = append(endpoints, config.Endpoint{Address: address, Weight: 1, Identity: identity})
	}
	return endpoints
}

// identity is how a proxy gets its SVID: from the deployment's control plane, or out of files where rivals stand that cannot ask one. nil in
// plaintext.
func (l *layout) identity(n *node, id string) *config.Identity {
	if n.tls != nil {
		return &config.Identity{TrustDomain: trustDomain, ID: id, Files: &config.IdentityFiles{Certificate: n.tls.Certificate, Key: n.tls.Key, Bundle: n.tls.Roots}}
	}
	if l.control == nil {
		return nil
	}
	var control config.ControlAddress
	control.SetDefaults()
	control.Bootstrap, control.Address = l.control.ports[portBootstrap], l.control.ports[portSnapshots]
	control.Roots, control.Token = l.roots(), l.token(id)
	return &config.Identity{TrustDomain: trustDomain, ID: id, Control: &control}
}

// beside renders what stands beside an application: the reference sidecar, or a relay in its place.
func (d *Deployer) beside(l *layout, n *node) (program, error) {
	if l.arm.RelaySidecars() {
		return d.relay(l, n, l.relayBeside(n))
	}
	if l.arm.RivalSidecars() {
		return d.rivalBeside(l, n)
	}
	return d.proxy(l, n, l.sidecar(n))
}

// sidecar is the file of one sidecar, with the sides that the topology gives it.
func (l *layout) sidecar(n *node) config.Sidecar {
	var s config.Sidecar
	s.SetDefaults()
	s.Version, s.Service, s.Admin.Address = 1, n.Service, n.ports[portAdmin]
	s.Identity, s.MTLS, s.Drain.Grace = l.identity(n, serviceID+n.Service), l.mtls(), units.Duration(drainGrace)
	s.Ledger, s.Faults = ledgerOf(l.arm.Topology.Mesh.Ledger), l.told(n)
	if l.arm.Inbound(n.Service) {
		s.Inbound = &config.Inbound{Listen: n.ports[portInbound], App: l.appOf(n), Authorization: l.authorization(n.Service)}
		if l.arm.Opaque() {
			s.Inbound.TCP = []config.InboundTCP{{Port: opaquePort, To: l.appOf(n)}}
		}
		if l.ingress(n.Service) {
			s.Inbound.Ingress = n.ports[portIngress]
		}
	}
	if l.arm.Outbound(n.Service) {
		s.Outbound = l.outbound(n)
	}
	return s
}

// told lets a proxy be told of the experiment's faults that it has to do to itself.
func (l *layout) told(n *node) *config.Faults {
	if !l.arm.TellsOf(n.Node) {
		return nil
	}
	return &config.Faults{Told: true}
}

// outbound is how a sidecar calls others: endpoints from the control plane, or written down where there is none.
func (l *layout) outbound(n *node) *config.Outbound {
	m := l.arm.Topology.Mesh
	o := &config.Outbound{}
	o.SetDefaults()
	o.Listen, o.Discover = n.ports[portOutbound], l.control != nil
	terms := &o.Defaults
	terms.MTLS, terms.Breaker.Mode = onOff(l.encrypted()), config.Mode(cmp.Or(m.Breaker, topologies.ModeOff))
	terms.Balance = cmp.Or(m.Balance, terms.Balance)
	if m.Retries == topologies.ModeOn {
		o.Retry.Attempts, o.Retry.Codes = retryAttempts, []int{502, 503, 504}
	}
	if l.arm.Opaque() {
		for _, callee := range l.callees(n.Service) {
			o.TCP = append(o.TCP, config.OutboundTCP{Listen: n.ports[outboundTo(callee)], Service: callee, Port: opaquePort})
		}
	}
	if o.Discover {
		return o
	}
	for _, service := range l.callees(n.Service) {
		u := *terms
		u.Endpoints = endpointsAt(l.addressesOf(service), "")
		if l.encrypted() {
			u.Endpoints = endpointsAt(l.addressesOf(service), serviceID+service)
		}
		o.Upstreams.Set(service, u)
	}
	return o
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
