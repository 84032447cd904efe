package gateway

import (
	"bytes"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/conformance"
)

// TestConformance holds whole gateways against the corpus: several at a time, each with an origin of its own, because most of a
// case is waiting.
func TestConformance(t *testing.T) {
	const parts = 4
	example, err := os.ReadFile("../cmd/gateway/examples/conformance.yaml")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(example), "9901\"}\n") // start listens where it likes
	require.True(t, ok)
	var mu sync.Mutex
	var running sync.WaitGroup
	var found []conformance.Outcome
	for part := range parts {
		o, err := conformance.NewOrigin("127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(o.Close)
		g := start(t, strings.ReplaceAll(rest, "127.0.0.1:9000", o.Address))
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
