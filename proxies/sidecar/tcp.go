package sidecar

import (
	"context"
	"crypto/tls"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
	"crossroads/proxies/identity"
	"crossroads/proxies/listen"
	"crossroads/proxies/operate"
	"crossroads/proxies/upstream"
	"crossroads/proxies/wire"
)

// An opaque connection between two sidecars is one TLS connection of its own. For which port of the application it is, the ALPN
// protocol of the handshake says: it is covered by the handshake's transcript, the accepting side refuses a port that it does not
// list before the caller may send a byte, and neither side can take such a connection for one that carries HTTP, or the other way
// round. No byte is added to what the application sends.

// alpnPrefix and a port are the ALPN protocol of an opaque connection.
const alpnPrefix = "crossroads-tcp/"

func alpn(port int) string { return alpnPrefix + strconv.Itoa(port) }

// takeOpaque makes the mesh listener accept opaque connections for the ports that the configuration lists.
func (s *Sidecar) takeOpaque(in *config.Inbound, secure *listen.Options) {
	if len(in.TCP) == 0 {
		return
	}
	judged := append(s.policies.connections(), s.limits.connectionStages()...)
	secure.Take = map[string]listen.Taker{}
	secure.TLS.NextProtos = []string{"http/1.1"} // for whoever offers it; sidecars offer nothing for HTTP
	for _, t := range in.TCP {
		carrier := &opaque{metrics: s.opaque, rejected: s.metrics.Rejected, direction: "inbound",
			stages: s.limits.places(judged), standing: &s.policies.opened}
		secure.TLS.NextProtos = append(secure.TLS.NextProtos, alpn(t.Port))
		secure.Take[alpn(t.Port)] = func(c net.Conn, peer exchange.Peer) {
			source := peer.ID
			if source == "" {
				source = config.Unauthenticated
			}
			carrier.carry(c, &journey{Conn: exchange.Conn{Peer: peer, Upstream: t.To, Port: t.Port},
				source: source, destination: s.config.Service, idle: t.Idle.D(), dial: func() (net.Conn, error) { return dialPlain(t.To) }})
		}
	}
}

const connectTimeout = 5 * time.Second

func dialPlain(address string) (net.Conn, error) {
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	c, err := net.DialTimeout(network, address, connectTimeout)
	if err != nil {
		return nil, exchange.UpstreamConnect
	}
	return wire.NewSocket(c), nil
}

// openTCP opens the outbound listeners of single ports.
func (s *Sidecar) openTCP(out *config.Outbound) error {
	for _, t := range out.TCP {
		l, err := s.listen(t.Listen)
		if err != nil {
			return err
		}
		name := "tcp-" + t.Service + "-" + strconv.Itoa(t.Port)
		s.outbound = append(s.outbound, operate.Front{Name: name, Listener: l, Server: newTCPServer(func(c net.Conn) {
			s.carryTo(c, t.Service, t.Port, t.Idle.D())
		})})
	}
	return nil
}

// carryTo takes a connection of the application to a port of a service.
func (s *Sidecar) carryTo(c net.Conn, service string, port int, idle time.Duration) {
	defer c.Close()
	s.outboundOpaque().carry(c, &journey{Conn: exchange.Conn{Upstream: service, Port: port}, source: s.self(), destination: service,
		idle: idle, dial: func() (net.Conn, error) { return s.catalog.dial(service, port) }})
}

func (s *Sidecar) outboundOpaque() *opaque {
	return &opaque{metrics: s.opaque, rejected: s.metrics.Rejected, direction: "outbound"}
}

// carried counts the opaque connections under way, by endpoint.
type carried struct {
	mu   sync.Mutex
	open map[string]int
}

// fewest returns the one of two endpoints, chosen at random among the ready ones, that carries fewer connections; -1 if there is none.
func (k *carried) fewest(endpoints []upstream.EndpointState) int {
	var ready []int
	for i, e := range endpoints {
		if e.Ready {
			ready = append(ready, i)
		}
	}
	if len(ready) == 0 {
		return -1
	}
	a, b := ready[rand.IntN(len(ready))], ready[rand.IntN(len(ready))]
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.open[endpoints[b].Address] < k.open[endpoints[a].Address] {
		return b
	}
	return a
}

func (k *carried) add(address string, n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.open == nil {
		k.open = map[string]int{}
	}
	if k.open[address] += n; k.open[address] <= 0 {
		delete(k.open, address)
	}
}

// dial opens an opaque connection to a port of a service: at one endpoint after the other, until one takes it. Nothing was sent
// before, so that another try is always safe.
func (k *catalog) dial(service string, port int) (net.Conn, error) {
	t := k.table.Load()
	u := t.upstreams[service]
	if u == nil {
		if t.awaiting {
			return nil, unknownYet
		}
		return nil, exchange.NoRoute
	}
	left := u.Endpoints()
	if len(left) == 0 {
		return nil, exchange.NoEndpoint
	}
	var last error = exchange.BreakerOpen
	for {
		i := k.carried.fewest(left)
		if i < 0 {
			return nil, last
		}
		c, err := k.dialEndpoint(left[i], port)
		if err == nil {
			return c, nil
		}
		last = err
		left = append(left[:i:i], left[i+1:]...)
	}
}

// dialEndpoint makes the mTLS connection that says for which port it is.
func (k *catalog) dialEndpoint(e upstream.EndpointState, port int) (net.Conn, error) {
	if e.Identity == "" || k.source == nil {
		return nil, exchange.UpstreamIdentity.With("nobody promised an identity for the endpoint")
	}
	plain, err := dialPlain(e.Address)
	if err != nil {
		return nil, err
	}
	settings := k.source.ClientConfig(e.Identity).Clone()
	settings.NextProtos = []string{alpn(port)}
	secure := tls.Client(wire.WatchEnd(plain), settings)
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	err = secure.HandshakeContext(ctx)
	k.shaken.Outbound(config.Endpoint{Address: e.Address}, secure.ConnectionState(), err)
	if err != nil {
		_ = plain.Close()
		if identity.ReasonOf(err) != "" {
			return nil, exchange.UpstreamIdentity
		}
		return nil, exchange.UpstreamConnect
	}
	if secure.ConnectionState().NegotiatedProtocol != alpn(port) {
		_ = secure.Close() // the peer would read the bytes as HTTP
		return nil, exchange.UpstreamInvalid.With("the endpoint takes no opaque connections")
	}
	k.carried.add(e.Address, 1)
	return &carriedConn{Conn: secure, over: sync.OnceFunc(func() { k.carried.add(e.Address, -1) })}, nil
}

// carriedConn is counted until it is closed.
type carriedConn struct {
	*tls.Conn
	over func()
}

// Close ends the connection.
func (c *carriedConn) Close() error {
	c.over()
	return c.Conn.Close()
}
