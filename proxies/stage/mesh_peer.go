package stage

import "crossroads/proxies/exchange"

// MeshPeer tells the application who calls: X-Mesh-Peer is the peer's verified identity, or absent; what a caller wrote there
// itself, in any spelling, is removed. It never stops an exchange and does not allocate.
type MeshPeer struct{}

// NewMeshPeer makes the stage.
func NewMeshPeer() *MeshPeer { return &MeshPeer{} }

// Name implements exchange.Stage.
func (s *MeshPeer) Name() string { return "mesh_peer" }

var fieldMeshPeer = []byte("X-Mesh-Peer")

// Inward implements exchange.Stage.
func (s *MeshPeer) Inward(x *exchange.Exchange) exchange.Step {
	h := &x.Request.Header
	dropFields(h, isMeshPeer)
	if x.Peer.ID != "" {
		h.SetCanonical(fieldMeshPeer, []byte(x.Peer.ID))
	}
	return exchange.Continue
}

func isMeshPeer(name []byte) bool {
	return len(name) > 0 && name[0]|0x20 == 'x' && folds(name, "x-mesh-peer", false)
}

// Outward implements exchange.Stage.
func (s *MeshPeer) Outward(*exchange.Exchange) {}

// Finish implements exchange.Stage.
func (s *MeshPeer) Finish(*exchange.Exchange, exchange.End) {}
