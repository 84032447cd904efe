package stage

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"

	"crossroads/proxies/exchange"
)

// RequestID gives each exchange an identifier that the upstream and the client see in X-Request-Id. At the edge it is made here;
// behind a proxy that is trusted, one that is short and plain is kept. It never stops an exchange and does not allocate.
type RequestID struct{ keep bool }

// NewRequestID makes the stage; keep says whether whoever calls may name the request.
func NewRequestID(keep bool) *RequestID { return &RequestID{keep: keep} }

// Name implements exchange.Stage.
func (s *RequestID) Name() string { return "request_id" }

var fieldRequestID = []byte("X-Request-Id")

// Inward implements exchange.Stage.
func (s *RequestID) Inward(x *exchange.Exchange) exchange.Step {
	h := &x.Request.Header
	if given := h.PeekBytes(fieldRequestID); s.keep && plainID(given) {
		x.SetID(given)
	} else {
		var raw [16]byte
		var text [32]byte
		binary.LittleEndian.PutUint64(raw[:8], rand.Uint64())
		binary.LittleEndian.PutUint64(raw[8:], rand.Uint64())
		hex.Encode(text[:], raw[:])
		x.SetID(text[:])
	}
	if len(h.PeekAll("X-Request-Id")) > 1 {
		del(h, fieldRequestID)
	}
	h.SetCanonical(fieldRequestID, []byte(x.ID))
	return exchange.Continue
}

// plainID bounds what a caller may write into logs: 1 to 128 letters, digits, dots, dashes and underscores.
func plainID(id []byte) bool {
	for _, c := range id {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return len(id) > 0 && len(id) <= exchange.MaxID
}

// Outward shows the client the identifier, so that it can be quoted.
func (s *RequestID) Outward(x *exchange.Exchange) {
	x.Response.Header.SetCanonical(fieldRequestID, []byte(x.ID))
}

// Finish implements exchange.Stage.
func (s *RequestID) Finish(*exchange.Exchange, exchange.End) {}
