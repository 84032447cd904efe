package stage

import (
	"math/rand/v2"
	"sync"
	"time"

	"crossroads/proxies/exchange"
	"crossroads/proxies/telemetry"
)

// AccessLog writes one line for each exchange that is over; of those that went well only a sample, if so configured. It stands at
// the head of a chain. A line costs no allocation once its buffer has grown.
type AccessLog struct {
	log    *telemetry.AccessLog
	chain  string
	sample float64
	stages []exchange.Stage
	lines  sync.Pool // of *[]byte
}

// NewAccessLog makes the stage; sample is the share of exchanges without a fault that are logged, chain names this chain where a
// proxy has several.
func NewAccessLog(log *telemetry.AccessLog, chain string, sample float64) *AccessLog {
	return &AccessLog{log: log, chain: chain, sample: sample, lines: sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}}
}

// Watch tells the stage of which chain it is a part, so that stage times can be logged by name.
func (s *AccessLog) Watch(chain []exchange.Stage) { s.stages = chain }

// Name implements exchange.Stage.
func (s *AccessLog) Name() string { return "access_log" }

// Inward implements exchange.Stage.
func (s *AccessLog) Inward(*exchange.Exchange) exchange.Step { return exchange.Continue }

// Outward implements exchange.Stage.
func (s *AccessLog) Outward(*exchange.Exchange) {}

// Finish implements exchange.Stage.
func (s *AccessLog) Finish(x *exchange.Exchange, end exchange.End) {
	if s.sample < 1 && x.Fault == nil && (end == exchange.Complete || end == exchange.TunnelClosed) && rand.Float64() >= s.sample {
		return
	}
	line := s.lines.Get().(*[]byte)
	*line = telemetry.AppendLine((*line)[:0], s.chain, x, end, time.Since(x.Start), s.stages)
	s.log.Write(*line)
	s.lines.Put(line)
}
