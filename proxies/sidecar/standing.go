package sidecar

import (
	"log/slog"
	"sync"

	"crossroads/proxies/exchange"
)

// standing are the opaque connections that policies have admitted. An HTTP call is judged when it comes; a connection of a database
// stands for days, and whoever shuts a caller out means that one too. So each is judged again when the policies change, and ended where
// they refuse it now: as long as it is not, nothing is written and nothing counted.
type standing struct {
	revoked func(*exchange.Conn) (policy string, revoked bool)
	log     *slog.Logger

	mu   sync.Mutex
	open map[*journey]*pipe
}

// revokedReason is how metrics name the end of a connection that the policies refuse by now.
const revokedReason = "revoked"

// enter makes a connection one of those that stand, until the function that it returns. It is judged once more: between its admission and
// now the policies may have changed, and nobody would have looked at it.
func (s *standing) enter(j *journey, p *pipe) (leave func()) {
	s.mu.Lock()
	if s.open == nil {
		s.open = map[*journey]*pipe{}
	}
	s.open[j] = p
	s.mu.Unlock()
	s.judge(j, p)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.open, j)
	}
}

// review judges all of them by the policies that have come into force.
func (s *standing) review() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for j, p := range s.open {
		s.judge(j, p)
	}
}

func (s *standing) judge(j *journey, p *pipe) {
	policy, revoked := s.revoked(&j.Conn)
	if !revoked || !p.end(revokedReason) {
		return
	}
	s.log.Warn("an open connection was ended: it is refused by now", "reason", revokedReason, "policy", policy, "peer", j.source, "port", j.Port)
}
