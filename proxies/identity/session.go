package identity

import (
	"crypto/tls"
	"encoding/binary"
	"sync/atomic"
)

// maxSessions bounds the sessions that a client keeps per wanted identity: its endpoints, some times over.
const maxSessions = 64

// bindTickets writes the bundle's epoch into every session ticket. A ticket of another epoch is declined, and the client makes a full
// handshake instead: a session cannot carry trust over a change of the roots, and a change of the roots refuses no connection.
func (s *Source) bindTickets(c *tls.Config) {
	c.WrapSession = func(state tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
		session.Extra = append(session.Extra, binary.BigEndian.AppendUint64(nil, s.epoch()))
		return c.EncryptTicket(state, session)
	}
	c.UnwrapSession = func(ticket []byte, state tls.ConnectionState) (*tls.SessionState, error) {
		session, err := c.DecryptTicket(ticket, state)
		if err != nil || session == nil || len(session.Extra) == 0 {
			return nil, err
		}
		last := session.Extra[len(session.Extra)-1]
		if len(last) != 8 || binary.BigEndian.Uint64(last) != s.epoch() {
			return nil, nil
		}
		return session, nil
	}
}

func (s *Source) epoch() uint64 {
	if m := s.current.Load(); m != nil {
		return m.epoch
	}
	return 0
}

// sessionCache is the connecting side's part: sessions made under an earlier bundle are forgotten as a whole.
type sessionCache struct {
	source *Source
	kept   atomic.Pointer[epochCache]
}

type epochCache struct {
	epoch uint64
	tls.ClientSessionCache
}

func newSessionCache(s *Source) *sessionCache { return &sessionCache{source: s} }

func (c *sessionCache) inForce() tls.ClientSessionCache {
	epoch := c.source.epoch()
	for {
		kept := c.kept.Load()
		if kept != nil && kept.epoch == epoch {
			return kept
		}
		fresh := &epochCache{epoch: epoch, ClientSessionCache: tls.NewLRUClientSessionCache(maxSessions)}
		if c.kept.CompareAndSwap(kept, fresh) {
			return fresh
		}
	}
}

// Get implements tls.ClientSessionCache.
func (c *sessionCache) Get(key string) (*tls.ClientSessionState, bool) { return c.inForce().Get(key) }

// Put implements tls.ClientSessionCache.
func (c *sessionCache) Put(key string, session *tls.ClientSessionState) {
	c.inForce().Put(key, session)
}
