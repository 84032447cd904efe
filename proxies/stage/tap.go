package stage

import (
	"time"

	"crossroads/proxies/exchange"
	"crossroads/proxies/telemetry"
)

// Tap shows finished exchanges to whoever watches live. It stands at the head of a chain, so that its Finish knows how everything
// ended; where nobody watches it costs the reading of a pointer.
type Tap struct {
	tap   *telemetry.Tap
	chain string
}

// NewTap makes the stage; chain names this chain.
func NewTap(tap *telemetry.Tap, chain string) *Tap { return &Tap{tap, chain} }

// Name implements exchange.Stage.
func (s *Tap) Name() string { return "tap" }

// Inward implements exchange.Stage.
func (s *Tap) Inward(*exchange.Exchange) exchange.Step { return exchange.Continue }

// Outward implements exchange.Stage.
func (s *Tap) Outward(*exchange.Exchange) {}

// Finish implements exchange.Stage.
func (s *Tap) Finish(x *exchange.Exchange, end exchange.End) {
	if s.tap.Watched() {
		s.tap.Offer(s.chain, x, end, time.Since(x.Start))
	}
}
