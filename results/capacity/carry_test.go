package capacity

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/results"
)

var planned = results.Plan{
	ID:         "capacity-x",
	Arms:       []results.ArmInfo{{Name: "direct"}, {Name: "mesh"}},
	Objectives: []results.Objective{{Text: "errors < 0.1%", Metric: "errors", Op: "<", Value: 0.001}},
	Search:     &results.Search{Start: 100, Highest: 1e6, Width: 0.03, Fine: 8, Steps: 100, Repeat: 3},
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
				require.Less(t, r.Width, 0.032)
				// All searches try the same rates in the same turns: what none of them met is the rate's doing, not the machine's.
				require.LessOrEqual(t, r.Range[0], limits[arm.Name])
				require.GreaterOrEqual(t, r.Range[1], limits[arm.Name])
				require.Less(t, r.Range[1]/r.Range[0], 1.07)
				require.Equal(t, i+1, r.Number)
				require.Len(t, r.Below, 2)
				require.NotEqual(t, results.Invalid, r.Below[0].Outcome)
			}
		}
	}
}

// TestAllSearchesTakeTurns: no search makes a step more than another that has one to make, so that none has a time of its own.
func TestAllSearchesTakeTurns(t *testing.T) {
	made, last := map[string]int{}, map[string]int{}
	var order []results.PlannedTrial
	try := limited(map[string]float64{"direct": 8123, "mesh": 1777}, 3)
	_, err := Carry(t.Context(), &planned, func(ctx context.Context, p results.PlannedTrial) (results.Trial, error) {
		order = append(order, p)
		require.Equal(t, len(order), p.Order)
		last[fmt.Sprint(p.Arm, p.Round)] = p.Order
		return try(ctx, p)
	}, quietly)
	require.NoError(t, err)
	require.Len(t, last, 6)
	for _, p := range order {
		one := fmt.Sprint(p.Arm, p.Round)
		made[one]++
		for other, ended := range last {
			require.True(t, made[one]-made[other] <= 1 || ended < p.Order, "trial %d is one too many of %s", p.Order, one)
		}
	}
}

// TestRepetitionsAgreeOnAMachineThatDrifts: the cores of a shared machine get more or less done for minutes at a time. Repetitions that take turns
// find the same knee, which lies in its interval; the ratio of two arms is that of their limits.
func TestRepetitionsAgreeOnAMachineThatDrifts(t *testing.T) {
	limits := map[string]float64{"direct": 6000, "mesh": 2500}
	p := planned
	p.Search = &results.Search{Start: 2000, Highest: 1e6, Width: 0.03, Fine: 48, Steps: 120, Repeat: 3}
	agree, arms, held := 0, 0, 0
	for seed := range uint64(6) {
		random, drift := rand.New(rand.NewPCG(seed, 2)), 0.0
		sum, n := 0.0, 0.0
		found, err := Carry(t.Context(), &p, func(_ context.Context, p results.PlannedTrial) (results.Trial, error) {
			const kept = 0.93 // of the drift, from one step to the next: a minute and a half
			drift = kept*drift + math.Sqrt(1-kept*kept)*0.08*random.NormFloat64()
			sum, n = sum+drift, n+1
			trial := results.Trial{PlannedTrial: p, Outcome: results.Valid, Counts: results.Counts{Planned: 1000, Done: 1000}}
			if p.Rate > limits[p.Arm]*math.Exp(drift+0.04*random.NormFloat64()) {
				trial.Outcome, trial.Reasons = results.Saturated, []results.Reason{{Text: "busy"}}
			}
			return trial, nil
		}, quietly)
		require.NoError(t, err)
		for _, a := range found {
			if arms++; a.Spread < 0.05 {
				agree++
			}
			require.Less(t, a.Spread, 0.12)
			limit := limits[a.Name] * math.Exp(sum/n)
			require.InEpsilon(t, limit, a.Knee, 0.05)
			for _, r := range a.Repetitions {
				if r.Range[0] <= limit && limit <= r.Range[1] {
					held++
				}
			}
		}
		require.InEpsilon(t, limits["mesh"]/limits["direct"], found[1].Knee/found[0].Knee, 0.04)
	}
	require.GreaterOrEqual(t, agree, arms*8/10)
	require.GreaterOrEqual(t, held, 3*arms*8/10)
}

// TestTheDriversOwnCostTellsASlowMachine: the speed of a machine jumps by a fifth from step to step, and each of the driver's requests costs it more
// where it is slow. What is known of a step's slowness is not held against its rate: repetitions agree, less than half as far apart as
// where the driver's cost is not known, and intervals hold the limit.
func TestTheDriversOwnCostTellsASlowMachine(t *testing.T) {
	limits := map[string]float64{"direct": 6000, "mesh": 2500}
	p := planned
	p.Search = &results.Search{Start: 2000, Highest: 1e6, Width: 0.03, Fine: 32, Steps: 120, Repeat: 3}
	search := func(seed uint64, told bool) []Arm {
		random := rand.New(rand.NewPCG(seed, 3))
		found, err := Carry(t.Context(), &p, func(_ context.Context, p results.PlannedTrial) (results.Trial, error) {
			slow := 0.2 * random.NormFloat64()
			trial := results.Trial{PlannedTrial: p, Outcome: results.Valid, Counts: results.Counts{Planned: 1000, Done: 1000}}
			if told { // at higher rates the driver is cheaper
				cost := 100e3 * math.Pow(p.Rate/1000, -0.3) * math.Exp(slow+0.03*random.NormFloat64())
				trial.Driver = results.DriverUse{CPU: int64(1000*cost) + 5e8, Spin: 5e8}
			}
			if p.Rate > limits[p.Arm]*math.Exp(-slow+0.02*random.NormFloat64()) {
				trial.Outcome, trial.Reasons = results.Saturated, []results.Reason{{Text: "busy"}}
			}
			return trial, nil
		}, quietly)
		require.NoError(t, err)
		return found
	}
	agree, held, arms := 0, 0, 0
	for seed := range uint64(20) {
		for _, a := range search(seed, true) {
			arms++
			if a.Spread < 0.05 {
				agree++
			}
			require.Less(t, a.Spread, 0.08)
			require.InEpsilon(t, limits[a.Name], a.Knee, 0.1, "at the middle of the speeds that this arm met")
			if a.Range[0] <= limits[a.Name] && limits[a.Name] <= a.Range[1] {
				held++
			}
		}
	}
	t.Logf("of %d arms %d agree, %d are held", arms, agree, held)
	require.GreaterOrEqual(t, agree, arms*9/10)
	require.GreaterOrEqual(t, held, arms*8/10)
	told, untold := 0.0, 0.0
	for seed := range uint64(8) {
		known, unknown := search(seed, true), search(seed, false)
		for i := range known {
			told, untold = told+known[i].Spread, untold+unknown[i].Spread
		}
	}
	require.Less(t, 2*told, untold, "repetitions are that much further apart where the driver's cost is not known")
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

	for cut := 0; cut < len(whole); cut += 7 {
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
	other.Search = &results.Search{Start: 150, Highest: 1e6, Width: 0.03, Fine: 8, Steps: 100, Repeat: 1}
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
	earlier := planned
	earlier.Search = &results.Search{Start: 100, Highest: 1e6, Width: 0.03, Steps: 60, Repeat: 3}
	_, err = Carry(t.Context(), &earlier, Recorded(nil), quietly)
	require.ErrorContains(t, err, "by an earlier version")
}

// TestNoEvidenceIsNoMiss: a rate at which the instrument fails again and again ends the search without blaming the target.
func TestNoEvidenceIsNoMiss(t *testing.T) {
	one := planned
	one.Arms, one.Search = planned.Arms[:1], &results.Search{Start: 100, Highest: 1e6, Width: 0.03, Fine: 8, Steps: 100, Repeat: 1}
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
	require.InDelta(t, 900, found[0].Low, 100, "the highest rate that was tried with evidence")
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
