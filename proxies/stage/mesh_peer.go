package stage

import (
	"crossroads/proxies/exchange"
)

// MeshPeer tells the application who calls: X-Mesh-Peer is the peer's verified identity, or absent; what a caller wrote there
// itself, in any spelling, is removed. It also stands in Via, so that hops can be counted. It never stops an exchange and does not
// allocate.
type MeshPeer struct{ via []byte }

// NewMeshPeer makes the stage; via is the name under which this sidecar stands in Via (RFC 9110 7.6.3).
func NewMeshPeer(via string) *MeshPeer { return &MeshPeer{via: []byte("1.1 " + via)} }

// Name implements exchange.Stage.
func (s *MeshPeer) Name() string { return "mesh_peer" }

var fieldMeshPeer = []byte("X-Mesh-Peer")

// Inward implements exchange.Stage.
func (s *MeshPeer) Inward(x *exchange.Exchange) exchange.Step {
	h := &x.Request.Header
	if !x.Peer.Client.IsValid() {
		x.Peer.Client = x.Peer.Addr.Addr().Unmap()
	}
	dropFields(h, isMeshPeer)
	if x.Peer.ID != "" {
		h.SetCanonical(fieldMeshPeer, []byte(x.Peer.ID))
	}
	h.AddBytesKV(fieldVia, s.via)
	return exchange.Continue
}

func isMeshPeer(name []byte) bool {
	return len(name) > 0 && name[0]|0x20 == 'x' && folds(name, "x-mesh-peer", false)
}

// Outward implements exchange.Stage.
func (s *MeshPeer) Outward(*exchange.Exchange) {}

// Finish implements exchange.Stage.
func (s *MeshPeer) Finish(*exchange.Exchange, exchange.End) {}
