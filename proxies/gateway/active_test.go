package gateway

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestActiveSet: the hash tells what is done apart, and is the same wherever the same is done.
func TestActiveSet(t *testing.T) {
	of := func(text string) (stages, hash string) {
		s := snapshot{config: parse(t, text)}
		s.describe()
		return s.stages, s.hash
	}
	base := upstreams("127.0.0.1:1") + everything
	_, plain := of(base)
	_, elsewhere := of(upstreams("127.0.0.1:2") + everything)
	require.Equal(t, plain, elsewhere, "an address changes nothing that is done")
	introspection := func(file, url, more string) string {
		return base + "stages: {introspection: {url: '" + url + "', client_id: g, client_secret: {file: " + file + "}" + more + "}}\n"
	}
	_, asking := of(introspection("/a", "http://127.0.0.1:1/i", ""))
	_, there := of(introspection("/b", "http://127.0.0.1:2/i", ""))
	require.Equal(t, asking, there)
	seen := map[string]string{plain: "plain", asking: "introspection"}
	for _, text := range []string{
		introspection("/a", "http://127.0.0.1:1/i", ", max_age: 1s"),
		base + "log: {sample: 10%}\n",
		upstreams("127.0.0.1:1") + "routes: [{name: all, max_body: 1MiB, backends: [{upstream: u0}]}]\n",
		upstreams("127.0.0.1:1") + "routes: [{name: all, retry: {attempts: 3}, backends: [{upstream: u0}]}]\n",
		"upstreams: {u0: {balance: random, endpoints: [{address: '127.0.0.1:1'}]}}\n" + everything,
		"upstreams: {u0: {breaker: {}, endpoints: [{address: '127.0.0.1:1'}]}}\n" + everything,
	} {
		_, hash := of(text)
		require.NotContains(t, seen, hash, text)
		seen[hash] = text
	}
}
