package reports_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/reports"
)

// TestGrowthIsFitted: where rates and numbers of connections differ, the table finds what a request and a connection cost.
func TestGrowthIsFitted(t *testing.T) {
	rec := synthetic(storefront()[:2], []float64{500, 1000}, 6)
	for _, few := range slices.Clone(rec.Trials) {
		few.ID, few.Connections, few.Usage = few.ID+"-few", 16, slices.Clone(few.Usage)
		rec.Plan.Trials = append(rec.Plan.Trials, few.PlannedTrial)
		for i := range few.Usage {
			if few.Usage[i].Kind == "gateway" {
				few.Usage[i].CPU -= 2 * 48 * 200_000 // 0.2 ms a second for each connection, over 2 s
			}
		}
		rec.Trials = append(rec.Trials, few)
	}
	r, err := reports.FromRecords(rec)
	require.NoError(t, err)
	var gateway []reports.Cell
	for _, s := range r.Sections {
		for _, p := range s.Parts {
			if p.Table == nil || p.Table.ID != "growth-table" {
				continue
			}
			for _, row := range p.Table.Rows {
				if row.Cells[1].Text == "gateway" {
					gateway = row.Cells
				}
			}
		}
	}
	require.NotNil(t, gateway, "the table is there")
	require.InDelta(t, 62, gateway[3].Quantity.Value, 3, "microseconds a request")
	require.InDelta(t, 20, gateway[4].Quantity.Value, 3, "ms a second for a hundred connections")
	require.Less(t, gateway[4].Quantity.Interval.Low, 20.0)
	require.Equal(t, 24.0, gateway[5].Quantity.Value)
	one := synthetic(storefront()[:2], []float64{500, 1000}, 6)
	r, err = reports.FromRecords(one)
	require.NoError(t, err)
	require.NotContains(t, ids(r), "growth-table", "one number of connections tells nothing")
}

func ids(r *reports.Report) []string {
	var all []string
	for _, s := range r.Sections {
		for _, p := range s.Parts {
			if p.Table != nil {
				all = append(all, p.Table.ID)
			}
		}
	}
	return all
}
