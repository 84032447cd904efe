package rivals_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/harness/rivals"
	"crossroads/topologies"
)

// TestRefusalsAreWhatDeployingSays: a feature is refused in the list if, and only if, an experiment that declares it is.
func TestRefusalsAreWhatDeployingSays(t *testing.T) {
	const text = "version: 1\nname: x\napplication: {entry: app, services: {app: {}}}\ntopologies:\n  a: {gateway: {use: caddy}}\n  b: {gateway: {use: haproxy}}\n" +
		"  c: {gateway: {use: haproxy}}\n  d: {gateway: {}}\n  e: {gateway: {use: relay}}\nload: {rates: [1]}\n"
	e := parse(t, text)
	refused := map[string]string{}
	for _, r := range rivals.Refusals(e) {
		require.Equal(t, "gateway", r.Place)
		require.NotEmpty(t, r.Reason)
		require.NotContains(t, refused, r.Use+" "+r.Feature, "once")
		refused[r.Use+" "+r.Feature] = r.Reason
	}
	seen := 0
	for _, use := range []string{"caddy", "haproxy"} {
		for _, single := range topologies.SingleFeatures(use) {
			features := single.Features()
			require.Len(t, features, 1, "one at a time")
			e.Topologies.Clear()
			e.Topologies.Set("only", topologies.Topology{Gateway: &single})
			_, err := rivals.For(e)
			reason := refused[use+" "+features[0]]
			if reason == "" {
				var unusable *rivals.Unusable
				if err != nil { // not installed, then
					require.ErrorAs(t, err, &unusable)
					require.True(t, unusable.Missing, features)
				}
				continue
			}
			seen++
			require.ErrorContains(t, err, reason)
		}
	}
	require.Equal(t, len(refused), seen)
	require.Contains(t, refused, "caddy rate_limit", "Caddy has no rate limit")
	require.NotContains(t, refused, "haproxy rate_limit")
	require.NotContains(t, refused, "caddy access_log")
}
