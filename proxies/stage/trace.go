package stage

import (
	"github.com/valyala/fasthttp"

	"crossroads/proxies/exchange"
	"crossroads/proxies/telemetry"
)

// Trace continues a W3C trace context or starts one (https://www.w3.org/TR/trace-context/). Several traceparent fields, or one
// that is not to the letter, are no context: then the tracestate goes as well. It never stops an exchange and does not allocate.
type Trace struct{}

// NewTrace makes the stage.
func NewTrace() *Trace { return &Trace{} }

// Name implements exchange.Stage.
func (s *Trace) Name() string { return "trace" }

var (
	fieldTraceparent = []byte("Traceparent")
	fieldTracestate  = []byte("Tracestate")
)

// Inward implements exchange.Stage.
func (s *Trace) Inward(x *exchange.Exchange) exchange.Step {
	h := &x.Request.Header
	if t, ok := parent(h); ok {
		x.Trace = telemetry.ContinueTrace(t)
	} else {
		x.Trace = telemetry.StartTrace()
		del(h, fieldTracestate)
		del(h, fieldTraceparent)
	}
	var text [telemetry.TraceparentLength]byte
	h.SetCanonical(fieldTraceparent, telemetry.AppendTrace(text[:0], x.Trace))
	return exchange.Continue
}

func parent(h *fasthttp.RequestHeader) (exchange.Trace, bool) {
	fields := h.PeekAll("Traceparent")
	if len(fields) != 1 {
		return exchange.Trace{}, false
	}
	return telemetry.ParseTrace(fields[0])
}

// Outward implements exchange.Stage.
func (s *Trace) Outward(*exchange.Exchange) {}

// Finish implements exchange.Stage.
func (s *Trace) Finish(*exchange.Exchange, exchange.End) {}
