package sidecar

import (
	"crypto/tls"
	"log/slog"
	"sync"
	"time"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
	"crossroads/proxies/identity"
	"crossroads/proxies/telemetry"
)

// handshakes counts how handshakes ended, and writes of peers that were refused, with the reason by its name.
type handshakes struct {
	counts  *telemetry.Handshakes
	log     *slog.Logger
	written seldom
}

// inbound hears of a handshake in which another sidecar called us.
func (h *handshakes) inbound(peer exchange.Peer, state tls.ConnectionState, err error) {
	h.ended("inbound", peer.Addr.String(), state, err)
}

// outbound hears of a handshake in which we called an endpoint.
func (h *handshakes) outbound(e config.Endpoint, state tls.ConnectionState, err error) {
	h.ended("outbound", e.Address, state, err)
}

func (h *handshakes) ended(direction, peer string, state tls.ConnectionState, err error) {
	result := "full"
	switch reason := identity.ReasonOf(err); {
	case reason != "":
		result = string(reason)
		if h.written.due(direction + result) {
			h.log.Warn("a peer was refused", "direction", direction, "reason", result, "peer", peer, "error", err)
		}
	case err != nil:
		result = "failed"
	case state.DidResume:
		result = "resumed"
	}
	h.counts.Count(direction, result)
}

// seldom keeps a log readable while something happens all the time: one line a second for each key, which is a word of ours.
type seldom struct {
	mu   sync.Mutex
	last map[string]time.Time
}

const seldomEvery = time.Second

func (s *seldom) due(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Sub(s.last[key]) < seldomEvery {
		return false
	}
	if s.last == nil {
		s.last = map[string]time.Time{}
	}
	s.last[key] = now
	return true
}
