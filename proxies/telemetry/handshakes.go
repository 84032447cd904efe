package telemetry

import (
	"crypto/tls"
	"log/slog"
	"sync"
	"time"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
	"crossroads/proxies/identity"
)

// Handshakes counts how TLS handshakes with peers of the mesh ended, handshakes_total{direction,result}, and writes of peers that were
// refused, with the reason by its name.
type Handshakes struct {
	ended   *counters
	log     *slog.Logger
	written Seldom
}

// NewHandshakes registers the metric. A result is ok, failed (a reset, a timeout), or why the peer was refused.
func (m *Metrics) NewHandshakes(log *slog.Logger) *Handshakes {
	return &Handshakes{log: log, ended: newCounters(m.counter("handshakes_total",
		"TLS handshakes with peers of the mesh: ok, failed (a reset, a timeout), or why the peer was refused.", "direction", "result"), 2)}
}

// Inbound hears of a handshake in which a peer called us.
func (h *Handshakes) Inbound(peer exchange.Peer, _ tls.ConnectionState, err error) {
	h.end("inbound", peer.Addr.String(), err)
}

// Outbound hears of a handshake in which we called an endpoint.
func (h *Handshakes) Outbound(e config.Endpoint, _ tls.ConnectionState, err error) {
	h.end("outbound", e.Address, err)
}

func (h *Handshakes) end(direction, peer string, err error) {
	result := "ok"
	if err != nil {
		result = "failed"
	}
	if reason := identity.ReasonOf(err); reason != "" {
		result = string(reason)
		if h.written.Due(direction + result) {
			h.log.Warn("a peer was refused", "direction", direction, "reason", result, "peer", peer, "error", err)
		}
	}
	h.ended.of(labels{direction, result}).Inc()
}

// Seldom keeps a log readable while something happens all the time: one line a second for each key. Keys are words of ours, so they
// are few. The zero value is ready to use.
type Seldom struct {
	mu   sync.Mutex
	last map[string]time.Time
}

const seldomEvery = time.Second

// Due says whether a line about key should be written now.
func (s *Seldom) Due(key string) bool {
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
