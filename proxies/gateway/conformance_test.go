package gateway

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/conformance"
	"crossroads/proxies/exchange"
)

// TestConformance holds whole gateways against the corpus: several at a time, each with an origin of its own, because most of a
// case is waiting.
func TestConformance(t *testing.T) {
	const parts = 4
	var mu sync.Mutex
	var running sync.WaitGroup
	var found []conformance.Outcome
	for part := range parts {
		o, err := conformance.NewOrigin("127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(o.Close)
		g := start(t, upstreams(o.Address)+everything+"clients: {header_timeout: 300ms, body_idle: 300ms, max_body: 1MiB}\n")
		chain := &g.current.Load().chain
		chain.Stages = append(chain.Stages, denyStage{})
		running.Go(func() {
			some, err := conformance.Run(t.Context(), conformance.Options{
				Address: strings.TrimPrefix(g.url, "http://"), Origin: o, Part: part, Parts: parts})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			found = append(found, some...)
		})
	}
	running.Wait()
	var table bytes.Buffer
	require.NoError(t, conformance.Table(&table, found))
	t.Log("\n" + table.String())
	for _, o := range found {
		if o.Unsafe != "" || !o.Right && (o.Must() || o.Response) {
			t.Error(o.String())
		}
	}
	scores := conformance.Scores(found)
	requests, responses := scores["all requests"], scores["all responses"]
	require.Greater(t, requests.Cases, 700)
	require.Greater(t, responses.Cases, 200)
	require.Equal(t, requests.Cases, requests.Right)
	require.Greater(t, float64(requests.Strict)/float64(requests.Cases), 0.99)
}

// denyStage is the deny rule of the corpus.
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
