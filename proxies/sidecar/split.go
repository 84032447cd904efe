package sidecar

import (
	"net"
	"sync"
	"time"

	"crossroads/proxies/identity"
)

// splitter takes the connections of one listener apart by their first bytes: TLS, or plaintext. It serves permissive mode, in which
// both arrive on one port. Each side is a listener of its own; closing either closes both.
type splitter struct {
	below      net.Listener
	timeout    time.Duration
	tls, plain *side
	closed     chan struct{}
	once       sync.Once
}

// side is one kind of connections.
type side struct {
	of    *splitter
	conns chan net.Conn
}

// split begins to accept; timeout bounds the wait for a connection's first bytes.
func split(l net.Listener, timeout time.Duration) *splitter {
	s := &splitter{below: l, timeout: timeout, closed: make(chan struct{})}
	s.tls = &side{of: s, conns: make(chan net.Conn)}
	s.plain = &side{of: s, conns: make(chan net.Conn)}
	go s.run()
	return s
}

func (s *splitter) run() {
	for {
		c, err := s.below.Accept()
		if err != nil {
			select {
			case <-s.closed:
				return
			case <-time.After(5 * time.Millisecond): // out of descriptors, above all: they come back
				continue
			}
		}
		go s.sort(c)
	}
}

// sort waits for what tells the kinds apart; it may be a client that says nothing at all.
func (s *splitter) sort(c net.Conn) {
	if s.timeout > 0 {
		_ = c.SetReadDeadline(time.Now().Add(s.timeout))
	}
	isTLS, replay, err := identity.DetectTLS(c)
	if err != nil {
		_ = c.Close()
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	to := s.plain
	if isTLS {
		to = s.tls
	}
	select {
	case to.conns <- replay:
	case <-s.closed:
		_ = c.Close()
	}
}

// Accept implements net.Listener.
func (s *side) Accept() (net.Conn, error) {
	select {
	case c := <-s.conns:
		return c, nil
	case <-s.of.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (s *side) Close() error {
	s.of.once.Do(func() { close(s.of.closed) })
	return s.of.below.Close()
}

// Addr implements net.Listener.
func (s *side) Addr() net.Addr { return s.of.below.Addr() }
