package stage

import (
	"crossroads/proxies/exchange"
	"crossroads/proxies/wire"
)

// BodyLimit refuses request bodies above a size: at once where the length is declared, while it streams past where it is not
// (413, and the connection ends). The route's own limit goes before the general one.
type BodyLimit struct{ limit int64 }

// NewBodyLimit makes the stage; limit is in bytes, 0 is none.
func NewBodyLimit(limit int64) *BodyLimit { return &BodyLimit{limit: limit} }

// Name implements exchange.Stage.
func (s *BodyLimit) Name() string { return "body_limit" }

// Inward implements exchange.Stage.
func (s *BodyLimit) Inward(x *exchange.Exchange) exchange.Step {
	limit := s.limit
	if x.Route != nil && x.Route.MaxBody > 0 {
		limit = x.Route.MaxBody
	}
	if x.RequestBody == nil || limit <= 0 {
		return exchange.Continue
	}
	length := x.RequestBody.Length()
	if length > limit {
		return x.Fail(exchange.BodyTooLarge)
	}
	if length < 0 {
		x.RequestBody = &limited{Body: x.RequestBody, left: limit}
	}
	return exchange.Continue
}

// Outward implements exchange.Stage.
func (s *BodyLimit) Outward(*exchange.Exchange) {}

// Finish implements exchange.Stage.
func (s *BodyLimit) Finish(*exchange.Exchange, exchange.End) {}

// limited is a body that fails with BodyTooLarge once more than its limit has come.
type limited struct {
	wire.Body
	left int64
}

// Read implements io.Reader.
func (l *limited) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, exchange.BodyTooLarge
	}
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1] // one more, to see that there is more
	}
	n, err := l.Body.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, exchange.BodyTooLarge
	}
	return n, err
}

// Buffered returns what is here already, unless it is more than may come: Read then says so.
func (l *limited) Buffered() ([]byte, bool) {
	data, complete := l.Body.Buffered()
	if int64(len(data)) > l.left {
		return nil, false
	}
	return data, complete
}
