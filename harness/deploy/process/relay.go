package process

import (
	"crossroads/harness/deploy"
	"crossroads/proxies/config"
)

// relayInFront is the file of a floor relay in the gateway's place.
func (l *layout) relayInFront(n *node) config.Relay {
	return relayFile(n, config.RelayPlace{Name: portHTTP, Address: n.ports[portHTTP], To: l.addressesOf(l.entry())})
}

// relayBeside is the file of a floor relay in a sidecar's place: one place for calls to the application, and one for its calls to each
// other service, since a relay reads no Host field.
func (l *layout) relayBeside(n *node) config.Relay {
	var places []config.RelayPlace
	if l.arm.Inbound(n.Service) {
		places = append(places, config.RelayPlace{Name: portInbound, Address: n.ports[portInbound], To: []string{l.appOf(n)}})
	}
	if l.arm.Outbound(n.Service) {
		for _, callee := range l.callees(n.Service) {
			name := outboundTo(callee)
			places = append(places, config.RelayPlace{Name: name, Address: n.ports[name], To: l.addressesOf(callee)})
		}
	}
	r := relayFile(n, places...)
	r.Busy = l.arm.Topology.Mesh.Busy
	return r
}

func relayFile(n *node, places ...config.RelayPlace) config.Relay {
	var r config.Relay
	r.SetDefaults()
	r.Version, r.Admin.Address, r.Listen = 1, n.ports[portAdmin], places
	return r
}

// relay runs the relay's program in a place where another kind of proxy stands otherwise.
func (d *Deployer) relay(l *layout, n *node, file config.Relay) (program, error) {
	p, err := d.proxy(l, n, file)
	p.path = d.config.Binaries[deploy.ProgramRelay]
	return p, err
}
