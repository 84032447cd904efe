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
	all[0].limit, all[2].limit = 810, 470
	return search([]shape{all[0], all[2]}, results.Search{Start: 300, Highest: 10_000, Width: 0.03, Fine: 12, Steps: 60, Repeat: 2})
}

// search carries a search out over made-up arms with limits.
func search(shapes []shape, how results.Search) reports.Records {
	arms := map[string]shape{}
	for _, s := range shapes {
		arms[s.info.Name] = s
	}
	rec := synthetic(shapes, nil, how.Repeat)
	rec.Plan.ID, rec.Plan.Adaptive = "capacity-"+rec.Plan.ID, true
	rec.Plan.Search = &how
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

// TestCapacityBesideOthers: higher or lower is said of brackets that do not meet, among arms of one work.
func TestCapacityBesideOthers(t *testing.T) {
	var shapes []shape
	for _, a := range []struct {
		name, use string
		limit     float64
	}{{"gateway", "reference", 400}, {"quick", "nginx", 600}, {"slow", "caddy", 250}, {"like", "haproxy", 400}, {"relay", "relay", 800}} {
		shapes = append(shapes, shape{info: results.ArmInfo{Name: a.name, Gateway: a.use, EntryHops: 1, Edges: 2}, p50: 1, spread: 0.2, limit: a.limit})
	}
	r, err := reports.FromRecords(search(shapes, results.Search{Start: 200, Highest: 10_000, Width: 0.1, Fine: 12, Steps: 60, Repeat: 1}))
	require.NoError(t, err)
	require.Len(t, r.Findings, 2)
	require.Equal(t, "Beside the capacity of gateway, higher is that of quick; lower is that of slow.", r.Findings[1].Text)
}

// TestASearchIsReportedFromItsRecords: brackets hold the limits that were built in, and a search that lacks its last trial is partial.
func TestASearchIsReportedFromItsRecords(t *testing.T) {
	rec, r := scenes["searched"]()
	require.Equal(t, reports.Valid, r.Header.Status, r.Header.Reasons)
	require.Len(t, r.Costs.Rows, 2)
	require.Equal(t, "direct", r.Costs.Rows[0].Cells[0].Text)
	require.Regexp(t, `^(79\d|80\d) to 8[12]\d$`, r.Costs.Rows[0].Cells[1].Text)
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
