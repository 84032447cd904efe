package reports_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/reports"
	"crossroads/results"
)

func TestFaultsAreSetSideBySide(t *testing.T) {
	r := scene("faulty")
	const killed, failing = "1: kill gateway-1, 200ms to 500ms", "3: price-2: errors 100%, 1.2s to 1.6s"
	cell := func(column, fault, arm string) reports.Cell { return find(t, r, "faults", column, fault, arm) }
	require.Equal(t, "gateway-1, the only gateway", cell("met", killed, "gateway").Main())
	for _, s := range r.Sections {
		for _, p := range s.Parts {
			if p.Table == nil || p.Table.ID != "faults" {
				continue
			}
			for _, row := range p.Table.Rows {
				require.False(t, row.Cells[0].Main() == killed && row.Cells[1].Main() != "gateway", "who has no gateway has no row")
			}
		}
	}
	require.InDelta(t, 25, known(t, cell("services", killed, "gateway")).Value, 0.1, "the entry, one of four")
	require.InDelta(t, 99, known(t, cell("requests", killed, "gateway")).Value, 1.5)
	require.NotNil(t, known(t, cell("requests", killed, "gateway")).Interval)
	require.InDelta(t, 20, known(t, cell("edges", killed, "gateway")).Value, 0.1, "the driver's edge, one of five")
	require.InDelta(t, 40, known(t, cell("edges", failing, "direct")).Value, 0.1, "the driver's and the caller's")
	require.InDelta(t, 0.349, known(t, cell("felt", killed, "gateway")).Value, 0.001, "one moment longer than the fault")
	require.InDelta(t, 0.0434, known(t, cell("again", killed, "gateway")).Value, 0.002)
	require.True(t, cell("again", failing, "mesh").Missing(), "a replica that answers badly is not started again")

	require.InDelta(t, 99, known(t, find(t, r, "benefits", "blast_radius", "gateway")).Value, 1.5)
	require.InDelta(t, 73, known(t, find(t, r, "benefits", "blast_radius", "mesh")).Value, 1.5)
	require.Equal(t, "no proxy", find(t, r, "benefits", "blast_radius", "direct").Main())
	require.InDelta(t, 73, known(t, find(t, r, "benefits", "success_under_fault", "direct")).Value, 1.5)
	require.Positive(t, known(t, find(t, r, "benefits", "p99_under_fault", "mesh")).Value)

	require.Contains(t, rule(t, r, "blast radius").Text, "of requests in gateway (kill gateway-1)")
	require.True(t, rule(t, r, "blast radius").Shown)
	require.Contains(t, rule(t, r, "one replica failing").Text, "No difference in success shown between direct and gateway and mesh")
}

// TestFaultsWithoutValidTrials and TestRunsWithoutFaults: what was not measured says so, and nothing is claimed.
func TestFaultsWithoutValidTrials(t *testing.T) {
	rec := faulty()
	change(&rec, func(results.Trial) bool { return true }, func(tr *results.Trial) { tr.Outcome = results.Invalid })
	r, err := reports.FromRecords(rec)
	require.NoError(t, err)
	require.True(t, find(t, r, "benefits", "blast_radius", "gateway").Missing())
	require.True(t, find(t, r, "benefits", "success_under_fault", "mesh").Missing())
	for _, f := range r.Findings {
		require.NotContains(t, []string{"blast radius", "one replica failing"}, f.Rule)
	}
}

func TestRunsWithoutFaultsSaySo(t *testing.T) {
	r := scene("storefront")
	require.Equal(t, "not measured in this run", find(t, r, "benefits", "blast_radius", "gateway").Main())
	require.Equal(t, "not measured in this run", find(t, r, "benefits", "success_under_fault", "direct").Main())
	for _, s := range r.Sections {
		require.NotEqual(t, "faults", s.ID)
	}
}
