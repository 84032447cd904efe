package stage

import "crossroads/proxies/exchange"

// BodyLimit refuses a request body whose declared length is above its route's limit, before anything of it is invited or sent on
// (413, and the connection ends). A body that declares none is counted by the upstream while it streams past. It does not
// allocate.
type BodyLimit struct{}

// NewBodyLimit makes the stage.
func NewBodyLimit() *BodyLimit { return &BodyLimit{} }

// Name implements exchange.Stage.
func (s *BodyLimit) Name() string { return "body_limit" }

// Inward implements exchange.Stage.
func (s *BodyLimit) Inward(x *exchange.Exchange) exchange.Step {
	if x.RequestBody != nil && x.Route != nil && x.Route.MaxBody > 0 && x.RequestBody.Length() > x.Route.MaxBody {
		return x.Fail(exchange.BodyTooLarge)
	}
	return exchange.Continue
}

// Outward implements exchange.Stage.
func (s *BodyLimit) Outward(*exchange.Exchange) {}

// Finish implements exchange.Stage.
func (s *BodyLimit) Finish(*exchange.Exchange, exchange.End) {}
