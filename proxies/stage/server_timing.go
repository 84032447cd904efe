package stage

import (
	"crossroads/proxies/exchange"
	"crossroads/proxies/telemetry"
)

// ServerTiming tells the other side where the time of a sampled exchange went. It is in a chain only where there can be a ledger at
// all, and stands at its head, so that its Outward is last.
//
// Towards a client it is the Server-Timing field. Between two sidecars the callee's times travel back in a field of the mesh's own, which
// the caller's sidecar asks for, takes out and joins to its own times: one call's ledger then covers both, and no two clocks are compared.
// That field is never forwarded in either direction, and never believed where it comes from outside.
type ServerTiming struct {
	proxy  string
	inner  bool // the caller is a sidecar, or a gateway, that takes the field of the mesh
	app    bool // the callee is the application itself: it has no say in the field of the mesh
	stages []exchange.Stage
}

// NewServerTiming makes the stage for callers who are told in Server-Timing; proxy is the word that its metrics begin with.
func NewServerTiming(proxy string) *ServerTiming { return &ServerTiming{proxy: proxy} }

// NewMeshTiming makes the stage in front of the application; inner says that callers are proxies of the mesh.
func NewMeshTiming(proxy string, inner bool) *ServerTiming {
	return &ServerTiming{proxy: proxy, inner: inner, app: true}
}

// Watch tells the stage of which chain it is a part.
func (s *ServerTiming) Watch(chain []exchange.Stage) { s.stages = chain }

// Name implements exchange.Stage.
func (s *ServerTiming) Name() string { return "server_timing" }

var (
	fieldServerTiming = []byte("Server-Timing")
	fieldMeshLedger   = []byte(exchange.MeshLedgerField)
	valueAsked        = []byte("1")
)

// Inward asks the callee's proxy, or takes the question out.
func (s *ServerTiming) Inward(x *exchange.Exchange) exchange.Step {
	del(&x.Request.Header, fieldMeshLedger)
	if x.Ledger.On && !s.app {
		x.Request.Header.SetCanonical(fieldMeshLedger, valueAsked)
	}
	return exchange.Continue
}

// Outward adds to what the upstream says of itself.
func (s *ServerTiming) Outward(x *exchange.Exchange) {
	h := &x.Response.Header
	var buffer [1024]byte
	told := append(buffer[:0], h.PeekBytes(fieldMeshLedger)...)
	if len(told) > 0 {
		h.DelBytes(fieldMeshLedger)
	}
	if !x.Ledger.On {
		return
	}
	if s.app {
		told = told[:0]
	}
	if s.inner {
		h.SetCanonical(fieldMeshLedger, telemetry.AppendServerTiming(buffer[:0], s.proxy, x, s.stages))
		return
	}
	if len(told) > 0 {
		told = append(told, ", "...)
	}
	h.AddBytesKV(fieldServerTiming, telemetry.AppendServerTiming(told, s.proxy, x, s.stages))
}

// Finish implements exchange.Stage.
func (s *ServerTiming) Finish(*exchange.Exchange, exchange.End) {}
