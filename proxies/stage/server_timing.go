package stage

import (
	"time"

	"crossroads/proxies/exchange"
	"crossroads/proxies/telemetry"
)

// ServerTiming tells the client where the time of a sampled exchange went, in Server-Timing. It is in a chain only where the
// ledger is sampled at all, and stands at its head, so that its Outward is last.
type ServerTiming struct {
	proxy  string
	stages []exchange.Stage
}

// NewServerTiming makes the stage; proxy is the word that metrics of this proxy begin with.
func NewServerTiming(proxy string) *ServerTiming { return &ServerTiming{proxy: proxy} }

// Watch tells the stage of which chain it is a part.
func (s *ServerTiming) Watch(chain []exchange.Stage) { s.stages = chain }

// Name implements exchange.Stage.
func (s *ServerTiming) Name() string { return "server_timing" }

// Inward implements exchange.Stage.
func (s *ServerTiming) Inward(*exchange.Exchange) exchange.Step { return exchange.Continue }

var fieldServerTiming = []byte("Server-Timing")

// Outward adds to what the upstream says of itself.
func (s *ServerTiming) Outward(x *exchange.Exchange) {
	if x.Ledger.On {
		var buffer [512]byte
		x.Response.Header.AddBytesKV(fieldServerTiming,
			telemetry.AppendServerTiming(buffer[:0], s.proxy, x, time.Since(x.Start), s.stages))
	}
}

// Finish implements exchange.Stage.
func (s *ServerTiming) Finish(*exchange.Exchange, exchange.End) {}
