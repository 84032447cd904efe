package exchange

import (
	"errors"

	"crossroads/proxies/wire"
)

// Fault is why a proxy answered itself instead of passing on an upstream's response. The table of faults maps each to one status;
// Reason is the word that logs, metrics and the X-Mesh-Error field show.
type Fault struct {
	Reason string
	Status int
	Detail string // for the response's body; never holds input of the client
	Close  bool   // the downstream connection must end: its framing is in doubt
}

func (f *Fault) Error() string {
	if f.Detail != "" {
		return f.Reason + ": " + f.Detail
	}
	return f.Reason
}

// The table of faults: the one place that maps what went wrong to a status.
var (
	BadRequest        = &Fault{Reason: "bad_request", Status: 400, Close: true}
	AmbiguousPath     = &Fault{Reason: "ambiguous_path", Status: 400}
	NoRoute           = &Fault{Reason: "no_route", Status: 404}
	MethodRefused     = &Fault{Reason: "method_refused", Status: 405, Close: true}
	HeaderTimeout     = &Fault{Reason: "header_timeout", Status: 408, Close: true}
	BodyTimeout       = &Fault{Reason: "body_timeout", Status: 408, Close: true}
	BodyTooLarge      = &Fault{Reason: "body_too_large", Status: 413, Close: true}
	TargetTooLong     = &Fault{Reason: "target_too_long", Status: 414, Close: true}
	ExpectationFailed = &Fault{Reason: "expectation_failed", Status: 417, Close: true}
	HeadTooLarge      = &Fault{Reason: "head_too_large", Status: 431, Close: true}
	Unauthenticated   = &Fault{Reason: "unauthenticated", Status: 401}
	Denied            = &Fault{Reason: "denied", Status: 403}
	RateLimited       = &Fault{Reason: "rate_limited", Status: 429}
	Panicked          = &Fault{Reason: "panic", Status: 500, Close: true}
	NoBackend         = &Fault{Reason: "no_backend", Status: 500}
	UnsupportedCoding = &Fault{Reason: "unsupported_transfer_coding", Status: 501, Close: true}
	UpstreamReset     = &Fault{Reason: "upstream_reset", Status: 502}
	UpstreamInvalid   = &Fault{Reason: "upstream_invalid", Status: 502}
	UpstreamIdentity  = &Fault{Reason: "upstream_identity", Status: 502}
	PoliciesUnknown   = &Fault{Reason: "policies_unknown", Status: 503}
	NoEndpoint        = &Fault{Reason: "no_endpoint", Status: 503}
	UpstreamConnect   = &Fault{Reason: "upstream_connect", Status: 503} // nobody has seen the request: it may be sent again
	BreakerOpen       = &Fault{Reason: "breaker_open", Status: 503}
	Overloaded        = &Fault{Reason: "overloaded", Status: 503}
	AuthUnavailable   = &Fault{Reason: "auth_unavailable", Status: 503}
	LimitUnavailable  = &Fault{Reason: "rate_limit_unavailable", Status: 503}
	ConnectTimeout    = &Fault{Reason: "upstream_connect", Status: 504, Detail: "timeout"}
	UpstreamTimeout   = &Fault{Reason: "upstream_timeout", Status: 504}
	VersionRefused    = &Fault{Reason: "version_refused", Status: 505, Close: true}
)

// With returns a copy of the fault that carries a detail. The detail is shown to the client: it may not hold its input.
func (f *Fault) With(detail string) *Fault {
	c := *f
	c.Detail = detail
	return &c
}

// RequestFault names why a request could not be read: its head, or its body on the way.
func RequestFault(err error) *Fault {
	var refused *wire.Error
	switch {
	case errors.As(err, &refused):
		return refusals[refused.Kind]
	case wire.TimedOut(err):
		return BodyTimeout
	}
	return BadRequest
}

var refusals = [...]*Fault{
	wire.Malformed: BadRequest, wire.Ambiguous: AmbiguousPath, wire.TargetTooLong: TargetTooLong, wire.HeadTooLong: HeadTooLarge,
	wire.BodyTooLong: BodyTooLarge, wire.BadVersion: VersionRefused, wire.BadMethod: MethodRefused, wire.BadCoding: UnsupportedCoding,
	wire.BadExpect: ExpectationFailed,
}
