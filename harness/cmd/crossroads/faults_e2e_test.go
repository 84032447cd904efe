package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/results"
)

// troubled is the shop with faults of every kind, in an arm that has everything and in one that has no proxy.
var troubled = strings.Replace(strings.Replace(shop[:strings.Index(shop, "topologies:")]+`topologies:
  direct: {}
  everything: {gateway: {replicas: 2}, mesh: {svid_lifetime: 2s}}
`+shop[strings.Index(shop, "load:"):], "rates: [100, 200]", "rates: [100]", 1), "duration: 400ms\n  rounds: 2", "duration: 1500ms\n  rounds: 1", 1) + `
objectives: ["p(99) < 50ms"]
faults:
  - {at: 100ms, for: 400ms, kill: gateway-1}
  - {at: 100ms, for: 200ms, stale: [gateway-2, sidecar-web]}
  - {at: 500ms, for: 200ms, pause: sidecar-cart}
  - {at: 700ms, for: 300ms, service: store, errors: 100%}
  - {at: 1s, for: 300ms, terminate: [control, ads-1]}
`

func TestFaultsAreInjectedAndRecorded(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir, write(t, dir, "troubled.yaml", troubled))
	require.Equal(t, 0, b.wait(t), "%s", b.stderr.String())
	requireNoOrphans(t)
	_, trials := b.records(t)
	require.Len(t, trials, 2)
	for _, trial := range trials {
		require.Nil(t, trial.Failure, "%s: a planned end is no failure: %v", trial.ID, trial.Failure)
		require.Len(t, trial.Faults, 5)
		var due, done int64
		for _, m := range trial.Moments.Series {
			due, done = due+m.Due, done+m.Done
		}
		require.Equal(t, []int64{trial.Counts.Planned, trial.Counts.Done}, []int64{due, done})
		requireActs(t, trial)
		requireTolls(t, trial)
	}
}

func requireActs(t *testing.T, trial results.Trial) {
	t.Helper()
	want := map[string][]string{
		"direct":     {"", "", "", "store-1 store-2", "ads-1"},
		"everything": {"gateway-1", "sidecar-web-1 gateway-2", "sidecar-cart-1", "store-1 store-2", "control-1 ads-1"},
	}[trial.Arm]
	for i, f := range trial.Faults {
		var met []string
		for _, a := range f.Acts {
			met = append(met, a.Process)
			require.Empty(t, a.Error)
			require.GreaterOrEqual(t, a.From, f.From)
			require.GreaterOrEqual(t, a.To, f.To)
			require.GreaterOrEqual(t, a.Ready, a.To)
		}
		require.Equal(t, want[i], strings.Join(met, " "), f.Text)
	}
}

// requireTolls: who has no gateway does not notice that one is killed; half of the requests of who has two do; and everybody notices
// a service that fails, on every edge above it.
func requireTolls(t *testing.T, trial results.Trial) {
	t.Helper()
	killed := trial.Faults[0].During
	if trial.Arm == "direct" {
		require.Zero(t, killed.Errors)
		require.Empty(t, killed.Entries, "one entry")
	} else {
		require.Len(t, killed.Entries, 2)
		require.Equal(t, "gateway-1", killed.Entries[0].Entry)
		require.Positive(t, killed.Entries[0].Errors)
		require.Zero(t, killed.Entries[1].Errors, "the other gateway's clients")
		require.LessOrEqual(t, killed.Errors, killed.Entries[0].Due)
	}
	failing := trial.Faults[3]
	require.Positive(t, failing.During.Errors)
	failed := map[string]bool{}
	for _, e := range failing.Edges {
		failed[e.Caller+">"+e.Callee] = e.Failed > 0
	}
	require.Equal(t, map[string]bool{"web>cart": true, "web>ads": failed["web>ads"], "cart>store": true}, failed)
}
