package sidecar

import (
	"net"
	"net/netip"
	"slices"
	"sync"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
	"crossroads/proxies/intercept"
	"crossroads/proxies/listen"
	"crossroads/proxies/operate"
	"crossroads/proxies/stage"
)

// transparent serves connections that the kernel redirected: their original destination says whom the application calls.
type transparent struct {
	*Sidecar
	terms config.Transparent
	http  *handover
	ask   func(net.Conn) (netip.AddrPort, error)
}

// handover is a listener of connections that somebody else accepted.
type handover struct {
	address net.Addr
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

// Accept implements net.Listener.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handover) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// Addr implements net.Listener.
func (h *handover) Addr() net.Addr { return h.address }

// give hands a connection over, or closes it where nobody takes any more.
func (h *handover) give(c net.Conn) {
	select {
	case h.conns <- c:
	case <-h.closed:
		_ = c.Close()
	}
}

// redirected is a connection whose local address is where it was going.
type redirected struct {
	*replayed
	to net.Addr
}

// LocalAddr implements net.Conn.
func (c *redirected) LocalAddr() net.Addr { return c.to }

// openTransparent opens the listener of redirected connections: HTTP goes through the outbound chain, the rest is carried as it is.
func (s *Sidecar) openTransparent(out *config.Outbound) error {
	if out.Transparent == nil {
		return nil
	}
	l, err := s.listen(out.Transparent.Listen)
	if err != nil {
		return err
	}
	t := &transparent{Sidecar: s, terms: *out.Transparent, ask: intercept.OriginalDestination,
		http: &handover{address: l.Addr(), conns: make(chan net.Conn), closed: make(chan struct{})}}
	s.outbound = append(s.outbound, operate.Front{Name: "transparent", Listener: l, Server: newTCPServer(t.serve)})
	s.serve(&s.outbound, "transparent-http", t.http, listen.Options{Service: s.transparentChain()})
	return nil
}

func (t *transparent) serve(c net.Conn) {
	to, err := t.ask(c)
	if err != nil || to == addrPortOf(t.http.address) || to == addrPortOf(c.LocalAddr()) {
		t.metrics.Rejected("not_redirected") // whoever connects here by itself would be sent back here for ever
		refuse(c)
		return
	}
	service := t.catalog.at(to)
	protocol, first := detectedSilent, c
	if !slices.Contains(t.terms.ServerFirst, int(to.Port())) {
		if protocol, first, err = detect(c, t.terms.Detect.D()); err != nil {
			_ = c.Close()
			return
		}
	}
	t.opaque.Detected(protocol)
	switch {
	case service == "":
		t.pass(first, to)
	case protocol == detectedHTTP:
		t.http.give(&redirected{first.(*replayed), net.TCPAddrFromAddrPort(to)})
	default:
		t.carryTo(first, service, int(to.Port()), t.terms.Idle.D())
	}
}

// pass takes a connection to where it was going: to nobody whom the mesh knows.
func (t *transparent) pass(c net.Conn, to netip.AddrPort) {
	defer c.Close()
	t.outboundOpaque().carry(c, &journey{Conn: exchange.Conn{Upstream: to.String(), Port: int(to.Port())}, source: t.self(),
		destination: "outside", idle: t.terms.Idle.D(), dial: func() (net.Conn, error) {
			if t.terms.Unknown == "refuse" {
				return nil, exchange.NoRoute
			}
			return net.DialTimeout("tcp", to.String(), connectTimeout)
		}})
}

func addrPortOf(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// at returns the service that an application knows by an address, or "".
func (k *catalog) at(to netip.AddrPort) string { return k.table.Load().addresses[to] }

// transparentChain is the outbound chain, but for how it finds the service: by where the connection was going.
func (s *Sidecar) transparentChain() exchange.Service {
	b := s.chain("transparent", stage.NewEdgeMetrics(s.metrics, s.edges, false, s.self()))
	b.add(stage.NewRequestID(true))               // the application passes on what it was given
	b.add(stage.NewTrace())                       // continued: a hop of its own in the trace
	b.add(stage.NewDestination(s.catalog.findAt)) // which service the address is one of; balancing is behind it
	b.add(splitStage{s.catalog})                  // and which one answers in its place
	if p := s.faults.Outbound; p != nil {
		b.add(stage.NewFaults(p)) // as in the outbound chain
	}
	b.add(stage.NewEdge(s.edges, false, s.self())) // last: now it is known who is called
	return s.finish(b)
}

// findAt returns the route of the service that an application knows by an address.
func (k *catalog) findAt(to netip.AddrPort) (*exchange.Route, *exchange.Fault) {
	return k.find([]byte(k.at(to)))
}

// addresses collects by which original destinations services are known: what the file says goes before the control plane.
func (k *catalog) readAddresses(t *table, discovered map[string][]string) {
	t.addresses = map[netip.AddrPort]string{}
	put := func(address, service string) {
		if to, err := netip.ParseAddrPort(address); err == nil && t.routes[service] != nil {
			t.addresses[netip.AddrPortFrom(to.Addr().Unmap(), to.Port())] = service
		}
	}
	for service, addresses := range discovered {
		for _, a := range addresses {
			put(a, service)
		}
	}
	if own := k.config.Outbound.Transparent; own != nil {
		for address, service := range own.Destinations.All() {
			put(address, service)
		}
	}
}
