package stage

import "crossroads/proxies/exchange"

// MeshPeer tells the application who calls: X-Mesh-Peer is the peer's verified identity, or absent; what a caller wrote there
// itself, in any spelling, is removed. X-Mesh-Error is kept for errors made by the mesh: the application's own is removed. It never
// stops an exchange and does not allocate.
type MeshPeer struct{}

// NewMeshPeer makes the stage.
func NewMeshPeer() *MeshPeer { return &MeshPeer{} }

// Name implements exchange.Stage.
func (s *MeshPeer) Name() string { return "mesh_peer" }

// MeshError is the field that names errors made by the mesh.
const MeshError = "X-Mesh-Error"

var (
	fieldMeshPeer  = []byte("X-Mesh-Peer")
	fieldMeshError = []byte(MeshError)
)

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
func (s *MeshPeer) Outward(x *exchange.Exchange) {
	if x.Fault == nil {
		x.Response.Header.DelBytes(fieldMeshError)
	}
}

// Finish implements exchange.Stage.
func (s *MeshPeer) Finish(*exchange.Exchange, exchange.End) {}
