package reports_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/reports"
	"crossroads/results"
	"crossroads/results/capacity"
)

// searched is a search for the capacities of two arms, made twice.
func searched() reports.Records {
	all := storefront()
	arms := map[string]shape{"direct": all[0], "mesh": all[2]}
	for name, limit := range map[string]float64{"direct": 810, "mesh": 470} {
		s := arms[name]
		s.limit = limit
		arms[name] = s
	}
	rec := synthetic([]shape{arms["direct"], arms["mesh"]}, nil, 2)
	rec.Plan.ID, rec.Plan.Adaptive = "capacity-"+rec.Plan.ID, true
	rec.Plan.Search = &results.Search{Start: 300, Highest: 10_000, Width: 0.03, Steps: 60, Repeat: 2}
	_, err := capacity.Carry(context.Background(), &rec.Plan, func(_ context.Context, p results.PlannedTrial) (results.Trial, error) {
		p.Connections, p.Warmup, p.Duration, p.Driver = 64, 1e9, 2e9, "native/precise"
		t := arms[p.Arm].trial(p, uint64(p.Order), p.Order)
		rec.Trials = append(rec.Trials, t)
		return t, nil
	}, func(string, float64, string) {})
	if err != nil {
		panic(err)
	}
	return rec
}

// TestASearchIsReportedFromItsRecords: brackets hold the limits that were built in, and a search that lacks its last trial is partial.
func TestASearchIsReportedFromItsRecords(t *testing.T) {
	rec, r := scenes["searched"]()
	require.Equal(t, reports.Valid, r.Header.Status, r.Header.Reasons)
	require.Len(t, r.Costs.Rows, 2)
	require.Equal(t, "direct", r.Costs.Rows[0].Cells[0].Text)
	require.Regexp(t, `^79\d to 81\d$|^80\d to 81\d$|^80\d to 82\d$`, r.Costs.Rows[0].Cells[1].Text)
	require.Regexp(t, `^4[56]\d to 4[78]\d$`, r.Costs.Rows[1].Cells[1].Text)
	require.NotEmpty(t, r.Findings)

	rec.Trials = rec.Trials[:len(rec.Trials)-1]
	part, err := reports.FromRecords(rec)
	require.NoError(t, err)
	require.Equal(t, reports.Partial, part.Header.Status)
	rec.Trials[3].Rate++
	_, err = reports.FromRecords(rec)
	require.ErrorContains(t, err, "the records are of another search")
}
