package stage

import "crossroads/proxies/exchange"

// MeshAuthorization admits calls to the application by policies over who calls and what. A refusal is denied (403; a connection is
// closed); before the policies are known, policies_unknown (503). It serves HTTP as a Stage and opaque connections as a ConnStage.
// A pass does not allocate, but for a path with escapes.
type MeshAuthorization struct {
	policies func() *Policies
	port     int // of the application
}

// NewMeshAuthorization makes the stage; policies returns those in force, nil where they are not known yet. port is where the
// application listens, 0 where it has none.
func NewMeshAuthorization(policies func() *Policies, port int) *MeshAuthorization {
	return &MeshAuthorization{policies, port}
}

// Name implements exchange.Stage.
func (s *MeshAuthorization) Name() string { return "mesh_authorization" }

// Inward implements exchange.Stage.
func (s *MeshAuthorization) Inward(x *exchange.Exchange) exchange.Step {
	p := s.policies()
	if p == nil {
		return x.Fail(exchange.PoliciesUnknown)
	}
	q := MeshQuestion{Peer: x.Peer.ID, Method: x.Request.Header.Method(), Path: x.Path, Port: s.port}
	if !p.Allows(&q) {
		return x.Fail(exchange.Denied)
	}
	return exchange.Continue
}

// Outward implements exchange.Stage.
func (s *MeshAuthorization) Outward(*exchange.Exchange) {}

// Finish implements exchange.Stage.
func (s *MeshAuthorization) Finish(*exchange.Exchange, exchange.End) {}

// Connections returns the same decision about opaque connections.
func (s *MeshAuthorization) Connections() exchange.ConnStage { return connAuthorization{s} }

type connAuthorization struct{ *MeshAuthorization }

// Admit implements exchange.ConnStage.
func (s connAuthorization) Admit(c *exchange.Conn) error {
	p := s.policies()
	if p == nil {
		return exchange.PoliciesUnknown
	}
	if !p.Allows(aboutConn(c)) {
		return exchange.Denied
	}
	return nil
}

func aboutConn(c *exchange.Conn) *MeshQuestion {
	return &MeshQuestion{Peer: c.Peer.ID, Port: c.Port, Opaque: true}
}

// Revoked says whether the policies in force refuse a connection that was admitted by earlier ones, and which of them does.
func (s *MeshAuthorization) Revoked(c *exchange.Conn) (by string, revoked bool) {
	if p := s.policies(); p != nil {
		return p.Revoked(aboutConn(c))
	}
	return "", false
}

// Finish implements exchange.ConnStage.
func (s connAuthorization) Finish(*exchange.Conn, exchange.End) {}
