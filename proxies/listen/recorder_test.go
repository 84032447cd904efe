package listen_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/conformance"
	"crossroads/proxies/exchange"
)

// newRecorder is an origin that keeps what it is sent, and reads with a parser of its own.
func newRecorder(t testing.TB) *conformance.Origin {
	o, err := conformance.NewOrigin("127.0.0.1:0")
	require.NoError(t, err)
	return o
}

// denyStage answers 403 for what lies under /admin or /smuggled after one decoding and the removal of dot segments: the rule that
// an attacker wants to get around.
type denyStage struct{}

func (denyStage) Name() string                            { return "deny" }
func (denyStage) Outward(*exchange.Exchange)              {}
func (denyStage) Finish(*exchange.Exchange, exchange.End) {}
func (denyStage) Inward(x *exchange.Exchange) exchange.Step {
	if conformance.Forbidden(string(x.Path)) {
		return x.Fail(exchange.Denied)
	}
	return exchange.Continue
}
