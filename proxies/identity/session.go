package identity

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
)

// maxSessions bounds the sessions that a client keeps per wanted identity: its endpoints, some times over.
const maxSessions = 64

// bindTickets writes into every session ticket the epoch of the bundle that accepts its client. A ticket of another epoch is declined,
// and the client makes a full handshake instead: a session cannot carry trust over a change of the roots, and a change of the roots
// refuses no connection.
func (s *Source) bindTickets(c *tls.Config) {
	c.WrapSession = func(state tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
		session.Extra = append(session.Extra, binary.BigEndian.AppendUint64(nil, s.ticketEpoch(state)))
		return c.EncryptTicket(state, session)
	}
	c.UnwrapSession = func(ticket []byte, state tls.ConnectionState) (*tls.SessionState, error) {
		session, err := c.DecryptTicket(ticket, state)
		if err != nil || session == nil || len(session.Extra) == 0 {
			return nil, err
		}
		m, last := s.current.Load(), session.Extra[len(session.Extra)-1]
		if m == nil || len(last) != 8 || binary.BigEndian.Uint64(last) != m.epoch {
			return nil, nil
		}
		return session, nil
	}
}

// ticketEpoch verifies once more: the roots may have changed since this connection's handshake, and the ticket would carry a peer that
// they refuse into their epoch. Zero is no bundle's epoch.
func (s *Source) ticketEpoch(state tls.ConnectionState) uint64 {
	m := s.current.Load()
	if m == nil {
		return 0
	}
	if _, err := m.bundle.Verify(state.PeerCertificates, x509.ExtKeyUsageClientAuth, s.options.Now()); err != nil {
		return 0
	}
	return m.epoch
}

// sessionCache is the connecting side's part. It is bound to the SVID and the roots under which its configuration was made: when either
// is replaced it gives out nothing more, and a session that arrives late lands here, where nobody will find it. So a session never
// shows an earlier SVID of ours, nor a server that only earlier roots accepted.
type sessionCache struct {
	tls.ClientSessionCache
	source *Source
	bound  *material
}

func newSessionCache(s *Source, m *material) *sessionCache {
	return &sessionCache{ClientSessionCache: tls.NewLRUClientSessionCache(maxSessions), source: s, bound: m}
}

// Get implements tls.ClientSessionCache.
func (c *sessionCache) Get(key string) (*tls.ClientSessionState, bool) {
	if c.source.current.Load() != c.bound {
		return nil, false
	}
	return c.ClientSessionCache.Get(key)
}
