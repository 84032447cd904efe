package reports_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/reports"
	"crossroads/results"
)

func TestStatus(t *testing.T) {
	eight := synthetic(storefront(), []float64{1000}, 8)
	run := func(rounds int) reports.Records {
		rec := eight
		rec.Plan.Rounds = rounds
		rec.Plan.Trials = slices.DeleteFunc(slices.Clone(rec.Plan.Trials), func(p results.PlannedTrial) bool { return p.Round > rounds })
		rec.Trials = slices.DeleteFunc(slices.Clone(rec.Trials), func(tr results.Trial) bool { return tr.Round > rounds })
		return rec
	}
	outcome := func(rec reports.Records, o results.Outcome, match func(results.Trial) bool) reports.Records {
		change(&rec, match, func(tr *results.Trial) { tr.Outcome = o })
		return rec
	}
	part := run(6)
	part.Trials = part.Trials[:20]
	kept := run(6)
	kept.Plan.KeptAlive = true
	economical := run(6)
	for i := range economical.Plan.Trials {
		economical.Plan.Trials[i].Driver = "native/economical"
	}
	for _, c := range []struct {
		name   string
		rec    reports.Records
		want   reports.Status
		reason string
	}{
		{"all valid", run(6), reports.Valid, ""},
		{"one spoilt of many", outcome(run(8), results.Invalid, func(tr results.Trial) bool { return tr.ID == "r1-mesh-1000-c64" }), reports.Valid, ""},
		{"too few left", outcome(run(6), results.Invalid, func(tr results.Trial) bool { return tr.ID == "r1-mesh-1000-c64" }), reports.Degraded, "mesh has 5 valid trials"},
		{"few rounds", run(4), reports.Degraded, "4 rounds: no interval can be given below 6"},
		{"one failed", outcome(run(8), results.Failed, func(tr results.Trial) bool { return tr.ID == "r1-mesh-1000-c64" }), reports.Degraded, "1 of 32 trials failed"},
		{"most spoilt", outcome(run(6), results.Invalid, func(tr results.Trial) bool { return tr.Round > 2 }), reports.Invalid, "16 of 24 trials are invalid, more than half"},
		{"direct spoilt", outcome(run(6), results.Invalid, func(tr results.Trial) bool { return tr.Arm == "direct" }), reports.Invalid, "direct has no valid trial"},
		{"a part", part, reports.Partial, "4 of 24 planned trials are missing"},
		{"kept alive", kept, reports.Degraded, "quick look, not evidence"},
		{"economical", economical, reports.Degraded, "no evidence on response times"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := reports.FromRecords(c.rec)
			require.NoError(t, err)
			require.Equal(t, c.want, r.Header.Status, "%v", r.Header.Reasons)
			require.Contains(t, strings.Join(r.Header.Reasons, "\n"), c.reason)
		})
	}
}

func rule(t *testing.T, r *reports.Report, name string) reports.Finding {
	t.Helper()
	for _, f := range r.Findings {
		if f.Rule == name {
			return f
		}
	}
	require.FailNow(t, "no finding", "%s among %v", name, r.Findings)
	return reports.Finding{}
}

// A difference is claimed where the interval leaves the margin, and nowhere else.
func TestFindingsFollowTheirIntervals(t *testing.T) {
	for name := range scenes {
		for _, f := range scene(name).Findings {
			claimed := false
			for _, e := range f.Evidence {
				claimed = claimed || e.Value.Excludes(e.Margin.Value)
			}
			if len(f.Evidence) > 0 {
				require.Equal(t, claimed, f.Shown, f.Text)
			}
			require.NotContains(t, f.Text, "NaN")
			require.True(t, strings.HasSuffix(f.Text, "."), f.Text)
		}
		require.LessOrEqual(t, len(scene(name).Findings), 6)
	}
}

func TestSameArmShowsNoDifference(t *testing.T) {
	twin := direct()
	twin.info.Name, twin.info.Gateway, twin.info.EntryHops = "gateway", "reference", 1
	r, err := reports.FromRecords(synthetic([]shape{direct(), twin}, []float64{1000}, 6))
	require.NoError(t, err)
	f := rule(t, r, "added p50")
	require.False(t, f.Shown)
	require.Contains(t, f.Text, "no difference in p50 shown between direct and gateway (n = 6")
}

func TestInteractionIsShownWhereThereIsOne(t *testing.T) {
	arms := storefront()
	arms[3].p50, arms[3].limit = 5.5, 0
	r, err := reports.FromRecords(synthetic(arms, []float64{1000}, 6))
	require.NoError(t, err)
	f := rule(t, r, "interaction")
	require.True(t, f.Shown)
	require.Contains(t, f.Text, "more to p99 than the sum of both")
	require.Contains(t, rule(t, scene("storefront"), "interaction").Text, "no interaction shown")
}

func TestEconomicalPacingMakesNoClaimOnResponseTimes(t *testing.T) {
	rec := synthetic(storefront(), []float64{1000}, 6)
	for i := range rec.Plan.Trials {
		rec.Plan.Trials[i].Driver = "native/economical"
	}
	r, err := reports.FromRecords(rec)
	require.NoError(t, err)
	for _, f := range r.Findings {
		require.NotContains(t, []string{"added p99", "added p50", "interaction"}, f.Rule)
	}
	require.True(t, rule(t, r, "added CPU").Shown)
	require.Equal(t, "no evidence: paced economically", find(t, r, "costs", "added_p99", "mesh").Main())
}

func TestFailedTrialIsShownWithItsLastWords(t *testing.T) {
	r := scene("troubled")
	require.Contains(t, rule(t, r, "trouble").Text, "mesh failed at 1,000/s in 1 of 7 trials")
	require.Contains(t, html(t, "troubled"), "too many open files")
	require.Equal(t, "failed", find(t, r, "trials-table", "outcome", "r2-mesh-1000-c64").Text)
	require.Equal(t, "800 of 14,000", find(t, r, "costs", "errors", "mesh").Sub(), "its errors count against it")
	require.Equal(t, "500", find(t, r, "costs", "highest_rate", "mesh").Main(), "a rate with a failed trial does not meet the objectives")
}

func TestResumedRunSaysWhereTheGapWas(t *testing.T) {
	warnings := strings.Join(scene("troubled").Header.Warnings, "\n")
	require.Contains(t, warnings, "resumed: nobody worked on the run for 1h59m4s")
	require.Contains(t, warnings, "after trial r5-gateway+mesh-1500-c64")
	require.Contains(t, warnings, "not committed")
}

func TestExclusionIsShown(t *testing.T) {
	require.Contains(t, html(t, "troubled"), "a plaintext peer was answered with 200")
	require.Contains(t, strings.Join(scene("troubled").Header.Reasons, "\n"), "parity kept out gateway+mesh of 1 round")
}

func TestSaturatedRateIsNotQuoted(t *testing.T) {
	r := scene("storefront")
	require.Equal(t, "saturated", find(t, r, "load-p99-table", "p99", "mesh", "1,500").Main())
	require.Equal(t, "1,500 misses", find(t, r, "costs", "highest_rate", "mesh").Sub())
}

func TestUnmeasuredSaysSo(t *testing.T) {
	for _, column := range []string{"success_under_fault", "p99_under_fault", "blast_radius", "round_trips"} {
		require.Equal(t, "not measured in this run", find(t, scene("storefront"), "benefits", column, "mesh").Main())
	}
	require.Equal(t, "not visible", find(t, scene("external"), "costs", "memory", "before").Main())
	require.Equal(t, "no direct arm in this run", find(t, scene("external"), "costs", "added_p99", "after").Main())
}

// Prose may not contradict the data: where nothing can be drawn or said, the sentence says that.
func TestNothingToDraw(t *testing.T) {
	for _, name := range []string{"zero", "spoilt"} {
		page := html(t, name)
		require.NotContains(t, page, "what was offered was achieved", name)
		require.NotContains(t, page, "adds most", name)
	}
	for _, s := range scene("zero").Sections {
		for _, p := range s.Parts {
			if p.Figure != nil {
				require.False(t, p.Figure.Empty(), p.Figure.ID)
			}
		}
	}
	require.Contains(t, html(t, "zero"), "No topology has a valid p99 at 1,000/s.")
}
