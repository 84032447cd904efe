package process

import (
	"path/filepath"

	"crossroads/proxies/config"
	"crossroads/proxies/config/units"
	"crossroads/topologies"
)

// gateway renders the reference gateway, or hands over to a rival's renderer.
func (d *Deployer) gateway(l *layout, n *node) (program, error) {
	if l.arm.RelayGateway() {
		return d.relay(l, n, l.relayInFront(n))
	}
	if err := l.writeCredentials(); err != nil {
		return program{}, err
	}
	if !l.reference() {
		return d.rival(l, n, l.arm.Topology.Gateway.Use)
	}
	return d.proxy(l, n, l.gateway(n))
}

// reference says that the gateway is our own.
func (l *layout) reference() bool {
	use := l.arm.Topology.Gateway.Use
	return use == "" || use == topologies.Reference
}

// gateway is the file of the reference gateway: a request that names a service by its host goes there, one whose path it composes is
// composed, and everything else goes to the entry service.
func (l *layout) gateway(n *node) config.Gateway {
	declared := l.arm.Topology.Gateway
	var g config.Gateway
	g.SetDefaults()
	g.Version, g.Name, g.Listen, g.Admin.Address = 1, n.ID, []config.Listener{{Address: n.ports[portHTTP]}}, n.ports[portAdmin]
	g.Drain.Grace, g.Ledger, g.Faults = units.Duration(drainGrace), ledgerOf(l.arm.Topology.Gateway.Ledger), l.told(n)
	if n.entry != nil {
		g.Listen[0].TLS = &config.TLS{Certificate: n.entry.Certificate, Key: n.entry.Key}
	}
	if l.encrypted() {
		g.Identity = l.identity(n, gatewayID)
	}
	for _, service := range l.entered() {
		g.Upstreams.Set(service, l.upstream(service))
	}
	g.Routes = l.routes()
	for i := range g.Routes {
		if r := &g.Routes[i]; r.Compose == nil {
			setRoute(declared, r)
		}
	}
	if l.keepsLog(n) {
		g.Log.Access = n.access
	}
	g.Stages = l.stages(declared.Stages)
	return g
}

// keepsLog gives a gateway the file of its access log, where one is declared.
func (l *layout) keepsLog(n *node) bool {
	if l.arm.Topology.Gateway.Stages.AccessLog == nil {
		return false
	}
	n.access = filepath.Join(l.private, n.ID+".access.log") // a line for each request: too much to be kept with a run
	return true
}

// tries is how often a request is tried in all where retries are on.
const tries = 3

// setRoute is what a declaration says of requests that are forwarded.
func setRoute(g *topologies.Gateway, r *config.Route) {
	if b := g.Stages.BodyLimit; b != nil {
		r.MaxBody = b.Max
	}
	if g.Upstream.Retries == topologies.ModeOn {
		r.Retry.Attempts, r.Retry.Codes = tries, []int{503}
	}
}

// beyond is a bound that no experiment reaches: two for each connection that one may open. What is measured is the looking.
const beyond = 2 * topologies.MaxConnections

// upstream is a service as the gateway calls and treats it.
func (l *layout) upstream(service string) config.Upstream {
	t := l.arm.Topology.Gateway.Upstream
	var u config.Upstream
	u.SetDefaults()
	u.Breaker.Mode = config.Off
	u.Endpoints = endpointsAt(l.addressesOf(service), "")
	if l.encrypted() {
		u.Endpoints, u.MTLS = endpointsAt(l.addressesOf(service), serviceID+service), "on"
	}
	if t.Balance != "" {
		u.Balance = t.Balance
	}
	if t.Breaker == topologies.ModeOn {
		u.Breaker.Mode = config.On
	}
	if t.Health == topologies.ModeOn {
		u.Health = &config.Health{}
		u.Health.SetDefaults()
		u.Health.Path = "/healthz"
	}
	if t.Bulkhead == topologies.ModeOn {
		u.Limits = config.Limits{Requests: beyond, RequestsPerEndpoint: beyond, Connections: beyond, Pending: beyond, Retries: beyond}
	}
	return u
}
