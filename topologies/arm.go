package topologies

import (
	"strconv"
	"time"
)

// Node is one process that an arm needs.
type Node struct {
	ID      string // gateway-1, sidecar-orders-1, orders-1, control-1
	Kind    string // gateway, sidecar, control, issuer or workload
	Service string // of a sidecar or a workload
	Replica int    // from 1
}

// Kinds of processes.
const (
	KindGateway  = "gateway"
	KindSidecar  = "sidecar"
	KindControl  = "control"
	KindIssuer   = "issuer" // the authorization server that a gateway asks about opaque tokens
	KindWorkload = "workload"
)

// Arms returns every topology as an arm, in the order of the file.
func (e *Experiment) Arms() []*Arm {
	arms := make([]*Arm, 0, e.Topologies.Len())
	for name, t := range e.Topologies.All() {
		arms = append(arms, &Arm{Name: name, Topology: t, Experiment: e})
	}
	return arms
}

// Arm returns one topology as an arm.
func (e *Experiment) Arm(name string) (*Arm, bool) {
	t, known := e.Topologies.Get(name)
	return &Arm{Name: name, Topology: t, Experiment: e}, known
}

// Direct says that no proxy stands in this arm: it is what the others are held against.
func (a *Arm) Direct() bool {
	return a.Topology.Gateway == nil && a.Topology.Mesh == nil && a.Topology.External == nil
}

// Inbound says whether calls to a service pass a sidecar of the service's own. Every service is called, so it holds for all or none.
func (a *Arm) Inbound(_ string) bool {
	m := a.Topology.Mesh
	return m != nil && (m.Sidecars == SidecarsServer || m.Sidecars == SidecarsBoth)
}

// Outbound says whether the calls that a service makes pass a sidecar of its own. A service that calls nobody needs none.
func (a *Arm) Outbound(service string) bool {
	m := a.Topology.Mesh
	return m != nil && (m.Sidecars == SidecarsClient || m.Sidecars == SidecarsBoth) && len(a.Experiment.Application.Services.At(service).Script) > 0
}

// Encrypts says whether calls between two services, and from the gateway to the entry service, are mutual TLS.
func (a *Arm) Encrypts() bool {
	m := a.Topology.Mesh
	return m != nil && m.Sidecars == SidecarsBoth && m.MTLS != MTLSOff
}

// EntryEncrypts says whether a gateway's calls to the entry service are mutual TLS: every gateway but the floor relay holds an SVID of its
// own, and the entry service has an inbound sidecar that takes it.
func (a *Arm) EntryEncrypts() bool {
	m, g := a.Topology.Mesh, a.Topology.Gateway
	return g != nil && g.Use != Relay && m != nil && m.MTLS != MTLSOff && a.Inbound(a.Experiment.Application.Entry)
}

// EntryTLS says whether the load comes to the gateway by TLS: encrypted, and authenticated one way, by the gateway's certificate.
func (a *Arm) EntryTLS() bool { g := a.Topology.Gateway; return g != nil && g.TLS == ModeOn }

// NeedsControl says whether the arm has a control plane: it issues the SVIDs, so only mutual TLS needs it. Rivals cannot ask one; where one
// of them stands, the deployer issues everybody's certificates.
func (a *Arm) NeedsControl() bool {
	m := a.Topology.Mesh
	return m != nil && m.MTLS != MTLSOff && !a.RivalSidecars() && !a.RivalGateway()
}

// NeedsIssuer says whether the arm has an authorization server: its gateway asks one about tokens.
func (a *Arm) NeedsIssuer() bool {
	g := a.Topology.Gateway
	return g != nil && g.Stages.Introspection != nil
}

// Hops counts the proxies that a request crosses on its way to the entry service, and that a call crosses on each edge of the call
// graph. Without a gateway the driver enters through the plaintext ingress port of the entry service's sidecar, if it has one; a
// gateway goes to that sidecar's inbound port. Both are one crossing of the same sidecar. What stands in an external system is not
// known.
func (a *Arm) Hops() (entry, perEdge int) {
	if a.Topology.External != nil {
		return 0, 0
	}
	if a.Topology.Gateway != nil {
		entry++
	}
	if a.Inbound(a.Experiment.Application.Entry) {
		entry++
	}
	if m := a.Topology.Mesh; m != nil {
		perEdge = map[string]int{SidecarsNone: 0, SidecarsClient: 1, SidecarsServer: 1, SidecarsBoth: 2}[m.Sidecars]
	}
	return entry, perEdge
}

// SidecarCrossings counts the sidecars, or relays in their place, that one request crosses where every edge is crossed once.
func (a *Arm) SidecarCrossings() int {
	_, perEdge := a.Hops()
	n := perEdge * (a.Edges() - 1)
	if a.Inbound(a.Experiment.Application.Entry) {
		n++
	}
	return n
}

// Told is how many of the proxies that Hops counts leave a Via entry (RFC 9110 7.6.3). A relay changes no byte, and neither do sidecars
// that carry calls as opaque bytes.
func (a *Arm) Told() (entry, perEdge int) {
	entry, perEdge = a.Hops()
	if a.RelayGateway() {
		entry--
	}
	if a.RelaySidecars() && a.Inbound(a.Experiment.Application.Entry) {
		entry--
	}
	if a.RelaySidecars() || a.Opaque() {
		perEdge = 0
	}
	return entry, perEdge
}

// RelayGateway says that the floor relay stands in the gateway's place.
func (a *Arm) RelayGateway() bool { g := a.Topology.Gateway; return g != nil && g.Use == Relay }

// RivalGateway says that a proxy which we did not write stands in the gateway's place.
func (a *Arm) RivalGateway() bool {
	g := a.Topology.Gateway
	return g != nil && g.Use != Reference && g.Use != Relay
}

// RelaySidecars says that floor relays stand in the sidecars' place.
func (a *Arm) RelaySidecars() bool { m := a.Topology.Mesh; return m != nil && m.Use == Relay }

// RivalSidecars says that proxies which we did not write stand in the sidecars' place.
func (a *Arm) RivalSidecars() bool {
	m := a.Topology.Mesh
	return m != nil && m.Use != Reference && m.Use != Relay
}

// Opaque says that sidecars carry the calls between services as bytes.
func (a *Arm) Opaque() bool { m := a.Topology.Mesh; return m != nil && m.Protocol == ProtocolOpaque }

// UnixApp says that applications and their sidecars talk over Unix sockets.
func (a *Arm) UnixApp() bool { m := a.Topology.Mesh; return m != nil && m.App == AppUnix }

// Edges counts the caller-callee pairs of the call graph, the driver's calls to the services that it enters included.
func (a *Arm) Edges() int {
	if a.Topology.External != nil {
		return 0
	}
	return len(a.Experiment.edges()) + len(a.Experiment.Entered())
}

// EncryptedEdges counts the edges on which everything between the first and the last proxy is encrypted and both ends are
// authenticated. The driver's edge counts where a gateway hands on to an inbound sidecar. The driver's own connection lies before the first
// proxy and counts in no arm: it is plaintext, or with EntryTLS encrypted and authenticated at one end only.
func (a *Arm) EncryptedEdges() int {
	n := 0
	if a.Encrypts() {
		n = len(a.Experiment.edges())
	}
	if a.EntryEncrypts() {
		n += len(a.Experiment.Entered())
	}
	return n
}

// OriginTime is the expected declared work (CPU and waits) on the critical path of one request: of the kinds of request their mean
// by weight.
func (a *Arm) OriginTime() time.Duration {
	if a.Topology.External != nil {
		return 0
	}
	known, sum, weights := map[string]time.Duration{}, 0.0, 0.0
	for _, r := range a.Experiment.Load.Requests {
		sum += float64(r.Weight) * float64(a.requestTime(&r, known))
		weights += float64(r.Weight)
	}
	return time.Duration(sum / max(weights, 1))
}

// Processes lists every process that the arm needs, in the order in which they can start: control plane, authorization server, workloads
// (callees before callers), sidecars, gateways.
func (a *Arm) Processes() []Node {
	if a.Topology.External != nil {
		return nil
	}
	var nodes []Node
	if a.NeedsControl() {
		nodes = append(nodes, node(KindControl, KindControl, "", 1))
	}
	if a.NeedsIssuer() {
		nodes = append(nodes, node(KindIssuer, KindIssuer, "", 1))
	}
	services := a.Experiment.Application.Services
	keys := services.Keys()
	for i := len(keys) - 1; i >= 0; i-- {
		for r := 1; r <= min(services.At(keys[i]).Replicas, MaxReplicas); r++ {
			nodes = append(nodes, node(keys[i], KindWorkload, keys[i], r))
		}
	}
	for i := len(keys) - 1; i >= 0; i-- {
		if !a.Inbound(keys[i]) && !a.Outbound(keys[i]) {
			continue
		}
		for r := 1; r <= min(services.At(keys[i]).Replicas, MaxReplicas); r++ {
			nodes = append(nodes, node(KindSidecar+"-"+keys[i], KindSidecar, keys[i], r))
		}
	}
	if g := a.Topology.Gateway; g != nil {
		for r := 1; r <= min(g.Replicas, MaxReplicas); r++ {
			nodes = append(nodes, node(KindGateway, KindGateway, "", r))
		}
	}
	return nodes
}

func node(prefix, kind, service string, replica int) Node {
	return Node{ID: prefix + "-" + strconv.Itoa(replica), Kind: kind, Service: service, Replica: replica}
}
