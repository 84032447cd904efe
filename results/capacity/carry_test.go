package capacity

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/results"
)

var planned = results.Plan{
	ID:         "capacity-x",
	Arms:       []results.ArmInfo{{Name: "direct"}, {Name: "mesh"}},
	Objectives: []results.Objective{{Text: "errors < 0.1%", Metric: "errors", Op: "<", Value: 0.001}},
	Search:     &results.Search{Start: 100, Highest: 1e6, Width: 0.03, Steps: 100, Repeat: 3},
}

// limited answers as targets of known limits would whose knee is not quite steady, and spoils every ninth trial.
func limited(limits map[string]float64, seed uint64) Try {
	random := rand.New(rand.NewPCG(seed, 1))
	n := 0
	return func(_ context.Context, p results.PlannedTrial) (results.Trial, error) {
		t := results.Trial{PlannedTrial: p, Outcome: results.Valid, Counts: results.Counts{Planned: 1000, Done: 1000}}
		if n++; n%9 == 0 {
			t.Outcome, t.Reasons = results.Invalid, []results.Reason{{Rule: results.RuleSteal, Text: "the hypervisor took 9% of the CPU time"}}
		} else if p.Rate > limits[p.Arm]*(1+0.001*random.NormFloat64()) {
			t.Outcome, t.Reasons = results.Saturated, []results.Reason{{Rule: results.RuleBusy, Text: "every connection was busy"}}
		}
		return t, nil
	}
}

func quietly(string, float64, string) {}

func TestCarryFindsKnownLimitsAgainAndAgain(t *testing.T) {
	limits := map[string]float64{"direct": 8123, "mesh": 1777}
	for seed := range uint64(20) {
		found, err := Carry(t.Context(), &planned, limited(limits, seed), quietly)
		require.NoError(t, err)
		require.Len(t, found, 2)
		for _, arm := range found {
			require.Len(t, arm.Repetitions, 3)
			require.Less(t, arm.Spread, 0.05, "stable over three repetitions")
			for i, r := range arm.Repetitions {
				require.NotContains(t, r.Note, "no evidence", "spoilt trials are repeated and end nothing")
				require.InEpsilon(t, limits[arm.Name], r.Low, 0.05)
				require.InEpsilon(t, limits[arm.Name], r.High, 0.05)
				require.True(t, r.Width < 0.031 || r.Note != "", "%+v", r.Bracket)
				require.Len(t, r.Below, 2)
				require.NotEqual(t, results.Invalid, r.Below[0].Outcome)
				if i > 0 {
					require.Less(t, r.Steps, arm.Repetitions[0].Steps, "a later repetition need not find the way again")
				}
			}
		}
	}
}

// TestArmsAreSearchedInTurn: of two arms that both have steps to make, neither makes two in a row.
func TestArmsAreSearchedInTurn(t *testing.T) {
	one := planned
	one.Search = &results.Search{Start: 100, Highest: 1e6, Width: 0.03, Steps: 100, Repeat: 2}
	var order []results.PlannedTrial
	last := map[string]int{}
	try := limited(map[string]float64{"direct": 8123, "mesh": 1777}, 3)
	_, err := Carry(t.Context(), &one, func(ctx context.Context, p results.PlannedTrial) (results.Trial, error) {
		require.Len(t, order, p.Order-1)
		order = append(order, p)
		last[fmt.Sprint(p.Round, p.Arm)] = p.Order
		return try(ctx, p)
	}, quietly)
	require.NoError(t, err)
	for i, p := range order[1:] {
		before := order[i]
		if p.Round != before.Round {
			require.Equal(t, before.Round+1, p.Round)
			continue
		}
		other := map[string]string{"direct": "mesh", "mesh": "direct"}[p.Arm]
		require.True(t, p.Arm != before.Arm || last[fmt.Sprint(p.Round, other)] < p.Order, "trial %d is another of %s", p.Order, p.Arm)
	}
}

// TestASearchIsAFunctionOfItsRecords cuts a search off after every trial and goes on with it: the same trials are made, none twice, and
// the records alone say what was found.
func TestASearchIsAFunctionOfItsRecords(t *testing.T) {
	limits := map[string]float64{"direct": 812, "mesh": 177}
	var whole []results.Trial
	keeping := func(into *[]results.Trial, try Try) Try {
		return func(ctx context.Context, p results.PlannedTrial) (results.Trial, error) {
			trial, err := try(ctx, p)
			if err == nil {
				*into = append(*into, trial)
			}
			return trial, err
		}
	}
	want, err := Carry(t.Context(), &planned, keeping(&whole, limited(limits, 5)), quietly)
	require.NoError(t, err)
	again, err := Carry(t.Context(), &planned, Recorded(whole), quietly)
	require.NoError(t, err)
	require.Equal(t, want, again)

	for cut := range whole {
		part, err := Carry(t.Context(), &planned, Recorded(whole[:cut]), quietly)
		require.ErrorIs(t, err, ErrEnd)
		require.LessOrEqual(t, len(part[0].Repetitions), 3)
		records, made := Recorded(whole[:cut]), 0
		resumed, err := Carry(t.Context(), &planned, func(ctx context.Context, p results.PlannedTrial) (results.Trial, error) {
			trial, err := records(ctx, p)
			if errors.Is(err, ErrEnd) {
				trial, err = whole[cut+made], nil
				made++
			}
			require.Equal(t, p.ID, trial.ID)
			return trial, err
		}, quietly)
		require.NoError(t, err)
		require.Equal(t, want, resumed)
		require.Equal(t, len(whole)-cut, made)
	}
}

func TestRecordsOfAnotherSearchAreRefused(t *testing.T) {
	other := planned
	other.Search = &results.Search{Start: 150, Highest: 1e6, Width: 0.03, Steps: 100, Repeat: 1}
	var made []results.Trial
	try := limited(map[string]float64{"direct": 900, "mesh": 900}, 1)
	_, err := Carry(t.Context(), &other, func(ctx context.Context, p results.PlannedTrial) (results.Trial, error) {
		trial, err := try(ctx, p)
		made = append(made, trial)
		return trial, err
	}, quietly)
	require.NoError(t, err)
	_, err = Carry(t.Context(), &planned, Recorded(made), quietly)
	require.ErrorContains(t, err, "the records are of another search")
	_, err = Carry(t.Context(), &results.Plan{ID: "storefront-1"}, Recorded(nil), quietly)
	require.ErrorContains(t, err, "is no search")
}

// TestNoEvidenceIsNoMiss: a rate at which the instrument fails again and again ends the search without blaming the target.
func TestNoEvidenceIsNoMiss(t *testing.T) {
	one := planned
	one.Arms, one.Search = planned.Arms[:1], &results.Search{Start: 100, Highest: 1e6, Width: 0.03, Steps: 100, Repeat: 1}
	tries := 0
	found, err := Carry(t.Context(), &one, func(_ context.Context, p results.PlannedTrial) (results.Trial, error) {
		trial := results.Trial{PlannedTrial: p, Outcome: results.Valid, Counts: results.Counts{Planned: 1000, Done: 1000}}
		if p.Rate > 1000 {
			tries++
			trial.Outcome, trial.Reasons = results.Invalid, []results.Reason{{Rule: results.RuleDriver, Text: "the driver used 90% of its CPU"}}
		}
		return trial, nil
	}, quietly)
	require.NoError(t, err)
	require.Equal(t, stepRepeats, tries)
	require.Equal(t, 800.0, found[0].Low)
	require.Zero(t, found[0].High)
	require.Contains(t, found[0].Repetitions[0].Note, "the driver used 90%")
}

func TestAsk(t *testing.T) {
	objectives := []results.Objective{{Text: "errors < 0.1%", Metric: "errors", Op: "<", Value: 0.001}, {Text: "achieved >= 99%", Metric: "achieved", Op: ">=", Value: 0.99}}
	for name, c := range map[string]struct {
		trial results.Trial
		want  Answer
		why   string
	}{
		"good":      {results.Trial{Outcome: results.Valid, Counts: results.Counts{Planned: 100, Done: 100}}, Meets, "meets"},
		"errors":    {results.Trial{Outcome: results.Valid, Counts: results.Counts{Planned: 1000, Done: 998, Errors: 2}}, Misses, "errors < 0.1%"},
		"saturated": {results.Trial{Outcome: results.Saturated, Reasons: []results.Reason{{Text: "busy"}}}, Misses, "saturated: busy"},
		"failed":    {results.Trial{Outcome: results.Failed, Reasons: []results.Reason{{Text: "died"}}}, Misses, "failed: died"},
		"invalid":   {results.Trial{Outcome: results.Invalid, Reasons: []results.Reason{{Text: "steal"}}}, Unknown, "no evidence: steal"},
	} {
		got, why := Ask(&c.trial, objectives)
		require.Equal(t, c.want, got, name)
		require.Contains(t, why, c.why, name)
	}
	few := results.Trial{Outcome: results.Valid, Counts: results.Counts{Planned: 1, Done: 1}}
	got, why := Ask(&few, []results.Objective{{Text: "p(99) < 1ms", Metric: "p", Quantile: 99, Op: "<", Value: 0.001}})
	require.Equal(t, Unknown, got, fmt.Sprint(why))
}
