package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
	"crossroads/proxies/wire"
)

// Options is what a server is made of.
type Options struct {
	Clients config.Clients
	Service exchange.Service
	TLS     *tls.Config                      // nil: plaintext
	PeerID  func(tls.ConnectionState) string // the verified identity of a TLS peer; may be nil
	// Handshake hears how a TLS handshake ended; it must not block and may be nil.
	Handshake func(peer exchange.Peer, state tls.ConnectionState, err error)
	Take      map[string]Taker                          // by ALPN protocol: connections that carry no HTTP
	Timed     bool                                      // exchanges say when they arrived, for the ledger
	Via       string                                    // pseudonym put into Via on requests (RFC 9110 7.6.3); "": none
	Tolerate  wire.Flaw                                 // path flaws that are let through, to be judged by the service
	Observer  Observer                                  // may be nil
	OnFault   func(*exchange.Exchange, *exchange.Fault) // writes the answer to what no exchange was made of; nil: plain text
	Refused   func(exchange.Peer, *exchange.Fault)      // hears of requests that no exchange was made of; may be nil
}

// Taker serves a connection whose TLS handshake agreed on a protocol of its own. It returns when the connection is over; until then
// it counts against the limits, and Shutdown waits for it and closes it in the end.
type Taker func(c net.Conn, peer exchange.Peer)

// Observer hears what metrics count besides exchanges. Its methods must not block.
type Observer interface {
	Rejected(reason string) // a request or a connection that no exchange was made of, or a panic
	Connections(delta int)
}

// Server serves any number of listeners.
type Server struct {
	Options
	via []byte

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	sessions  map[*session]struct{}
	addresses addresses
	stopping  atomic.Bool
	running   sync.WaitGroup // sessions
}

// defaultMaxHead holds where nothing is said: a head has to have a bound. Timeouts that are 0 are none.
const defaultMaxHead = 32 << 10

// New makes a server.
func New(o Options) *Server {
	if o.Observer == nil {
		o.Observer = silent{}
	}
	if o.OnFault == nil {
		o.OnFault = exchange.WriteFault
	}
	if o.Clients.MaxHead <= 0 {
		o.Clients.MaxHead = defaultMaxHead
	}
	s := &Server{Options: o, listeners: map[net.Listener]struct{}{}, sessions: map[*session]struct{}{}, addresses: addresses{}}
	if o.Via != "" {
		s.via = []byte("1.1 " + o.Via)
	}
	return s
}

// ErrStopped is what Serve returns after Shutdown.
var ErrStopped = errors.New("the server was shut down")

// Serve accepts connections until the listener fails or the server is shut down. It closes the listener.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	if s.stopping.Load() {
		s.mu.Unlock()
		_ = l.Close()
		return ErrStopped
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
		_ = l.Close()
	}()
	pause := time.Duration(0)
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			s.accept(c)
		case s.stopping.Load():
			return ErrStopped
		case errors.Is(err, net.ErrClosed):
			return err
		default: // out of descriptors, above all: they come back
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			time.Sleep(pause)
		}
	}
}

// accept starts a session, if the limits allow one more.
func (s *Server) accept(c net.Conn) {
	peer := peerOf(c)
	key := network(peer.Addr.Addr())
	s.mu.Lock()
	reason := ""
	switch {
	case s.stopping.Load():
		reason = "stopping"
	case s.Clients.MaxConnections > 0 && len(s.sessions) >= s.Clients.MaxConnections:
		reason = "connections"
	case !s.addresses.add(key, s.Clients.ConnectionsPerAddress):
		reason = "connections_per_address"
	}
	if reason != "" {
		s.mu.Unlock()
		s.Observer.Rejected(reason)
		_ = c.Close()
		return
	}
	n := newSession(s, c, peer)
	s.sessions[n] = struct{}{}
	s.running.Add(1)
	s.mu.Unlock()
	s.Observer.Connections(1)
	go func() {
		defer func() {
			s.mu.Lock()
			delete(s.sessions, n)
			s.addresses.remove(key)
			s.mu.Unlock()
			s.Observer.Connections(-1)
			s.running.Done()
		}()
		n.run()
	}()
}

// Shutdown stops accepting, closes the connections that are idle, and waits for the others: their next response says
// Connection: close. When ctx ends first, what is left is cut and its error returned.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.stopping.Store(true)
	for l := range s.listeners {
		_ = l.Close()
	}
	for n := range s.sessions {
		n.wake()
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for n := range s.sessions {
		n.cut()
	}
	s.mu.Unlock()
	<-done
	return ctx.Err()
}

type silent struct{}

func (silent) Rejected(string) {}
func (silent) Connections(int) {}
