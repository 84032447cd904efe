package reports_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/reports"
	"crossroads/results"
	"crossroads/results/stats"
)

// What composing saves is counted, what it adds is measured, and from which distance on that pays is computed from both.
func TestComposedRequestAgainstTheClientsOwnCalls(t *testing.T) {
	rec, r := scenes["pages"]()
	for arm, want := range map[string][]string{
		"direct": {"3", "1", "3", "0 of 3"}, "gateway-in-order": {"3", "3", "1", "0 of 3"}, "composed": {"1", "1", "1", "2 of 3"},
	} {
		require.Equal(t, want, []string{
			find(t, r, "composition-table", "trips", arm).Main(), find(t, r, "composition-table", "in_turn", arm).Main(),
			find(t, r, "composition-table", "connections", arm).Main(), find(t, r, "benefits", "round_trips", arm).Main(),
		}, arm)
	}
	require.Equal(t, "−2", find(t, r, "composition-against", "trips", "composed", "gateway").Main())

	composed, _ := trialQuantiles(t, rec, "composed", 1000, 0.5)
	own, _ := trialQuantiles(t, rec, "direct-in-order", 1000, 0.5)
	var diffs []float64
	for round := 1; round <= rec.Plan.Rounds; round++ {
		diffs = append(diffs, composed[round]-own[round])
	}
	added := known(t, find(t, r, "composition-against", "p50", "composed", "direct-in-order"))
	require.InDelta(t, stats.HodgesLehmann(diffs), added.Value, 1e-12)
	pays := known(t, find(t, r, "composition-against", "pays", "composed", "direct-in-order"))
	require.InDelta(t, added.Value/2, pays.Value, 1e-12, "two round trips fewer wait for each other")
	require.InDelta(t, added.Interval.High/2, pays.Interval.High, 1e-12)
	require.Equal(t, "none: the same waits", find(t, r, "composition-against", "pays", "composed", "gateway").Main())
	require.Equal(t, "any: faster here already", find(t, r, "composition-against", "pays", "composed", "gateway-in-order").Main())

	f := rule(t, r, "composition")
	require.True(t, f.Shown)
	require.Contains(t, f.Text, "composed saves 2 of the client's 3 round trips")
	require.Contains(t, f.Text, "to the p50 of direct-in-order (computed: it pays from a round-trip time of "+pays.WithUnit()+")")
	require.Contains(t, f.Text, "off the p50 of gateway-in-order")
}

// Where nothing can be told, nothing is said: no rounds enough, no valid trial, records from before requests were counted.
func TestCompositionWithoutEvidence(t *testing.T) {
	few, err := reports.FromRecords(synthetic(composedPages(), []float64{1000}, 3))
	require.NoError(t, err)
	f := rule(t, few, "composition")
	require.False(t, f.Shown)
	require.Contains(t, f.Text, "cannot be held against the p50 of direct")
	require.Equal(t, "no interval (n = 3 rounds)", find(t, few, "composition-against", "pays", "composed", "direct-in-order").Sub())

	rec := synthetic(composedPages(), []float64{1000}, 6)
	change(&rec, func(results.Trial) bool { return true }, func(tr *results.Trial) { tr.Counts.Requests = 0 })
	old, err := reports.FromRecords(rec)
	require.NoError(t, err)
	require.Equal(t, "not recorded", find(t, old, "benefits", "round_trips", "composed").Main())

	change(&rec, func(tr results.Trial) bool { return tr.Arm == "composed" }, func(tr *results.Trial) { tr.Outcome = results.Invalid })
	spoilt, err := reports.FromRecords(rec)
	require.NoError(t, err)
	for _, f := range spoilt.Findings {
		require.NotEqual(t, "composition", f.Rule)
	}
	require.Equal(t, "invalid", find(t, spoilt, "benefits", "round_trips", "composed").Main())
}
