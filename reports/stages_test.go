package reports_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/reports"
	"crossroads/results/stats"
)

// TestStageCosts computes what the table shows once more, from the records alone: each arm minus the plain gateway of its round, and all
// together less the sum of the single ones.
func TestStageCosts(t *testing.T) {
	rec, r := scenes["features"]()
	byRound := map[string]map[int]float64{}
	for _, tr := range rec.Trials {
		if tr.Outcome != "valid" {
			continue
		}
		for _, u := range tr.Usage {
			if u.Kind == "gateway" {
				if byRound[tr.Arm] == nil {
					byRound[tr.Arm] = map[int]float64{}
				}
				byRound[tr.Arm][tr.Round] = float64(u.CPU) / 1e6 * 1000 / float64(tr.Counts.Done)
			}
		}
	}
	i := slices.IndexFunc(r.Sections, func(s reports.Section) bool { return s.ID == "stages" })
	require.GreaterOrEqual(t, i, 0)
	table := r.Sections[i].Parts[0].Table
	var names []string
	shown := map[string]reports.Cell{}
	for _, row := range table.Rows {
		names = append(names, row.Cells[0].Text)
		shown[row.Cells[0].Text] = row.Cells[2]
	}
	require.Equal(t, []string{"gateway", "key", "key-shadow", "introspection", "log", "all", "all, beyond the sum"}, names, "as declared")
	for _, arm := range []string{"key", "key-shadow", "introspection", "log", "all"} {
		var added []float64
		for round := 1; round <= 6; round++ {
			if v, ok := byRound[arm][round]; ok {
				added = append(added, v-byRound["gateway"][round])
			}
		}
		require.InDelta(t, stats.HodgesLehmann(added), shown[arm].Quantity.Value, 1e-9, arm)
		require.Equal(t, len(added) == 6, shown[arm].Quantity.Interval != nil, arm)
	}
	var beyond []float64
	for round := 1; round <= 6; round++ {
		plain := byRound["gateway"][round]
		beyond = append(beyond, byRound["all"][round]-plain-(byRound["key"][round]-plain)-(byRound["introspection"][round]-plain)-(byRound["log"][round]-plain))
	}
	require.InDelta(t, stats.HodgesLehmann(beyond), shown["all, beyond the sum"].Quantity.Value, 1e-9)
	require.NotNil(t, shown["all, beyond the sum"].Quantity.Interval)
	require.Equal(t, "not the same in all rounds", table.Rows[4].Cells[7].Text, "a set that changed is no evidence of one")
	require.Equal(t, rec.Trials[1].Active[0].Hash, table.Rows[0].Cells[7].Text)
}

// TestNoStagesWithoutAPlainGateway: there is nothing to hold them against.
func TestNoStagesWithoutAPlainGateway(t *testing.T) {
	rec := synthetic(storefront()[:2], []float64{1000}, 2)
	rec.Plan.Arms[1].Features = []string{"key_auth"}
	r, err := reports.FromRecords(rec)
	require.NoError(t, err)
	require.False(t, slices.ContainsFunc(r.Sections, func(s reports.Section) bool { return s.ID == "stages" }))
}
