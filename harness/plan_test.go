package harness

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/topologies"
)

func storefront(t *testing.T) *topologies.Experiment {
	t.Helper()
	data, known := topologies.Ready("storefront")
	require.True(t, known)
	e, err := topologies.Parse("storefront.yaml", data)
	require.NoError(t, err)
	return e
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func TestPlanHoldsEveryCellOnceARound(t *testing.T) {
	e := storefront(t)
	p, err := NewPlan(e, noon)
	require.NoError(t, err)
	require.Len(t, p.Trials, e.Load.Rounds*e.Topologies.Len()*len(e.Load.Rates)*len(e.Load.Connections))
	cells := map[string]int{}
	for i, trial := range p.Trials {
		require.Equal(t, i+1, trial.Order)
		cells[trial.ID]++
		if i > 0 {
			require.GreaterOrEqual(t, trial.Round, p.Trials[i-1].Round, "rounds are outermost")
		}
	}
	for id, n := range cells {
		require.Equal(t, 1, n, id)
	}
	require.Len(t, visits(p.Trials), e.Load.Rounds*e.Topologies.Len(), "an arm's trials of a round stand together")
}

func TestArmsOfARoundShareTheirSchedule(t *testing.T) {
	p, err := NewPlan(storefront(t), noon)
	require.NoError(t, err)
	type cell struct {
		round int
		rate  float64
	}
	seeds := map[cell]uint64{}
	distinct := map[uint64]bool{}
	for _, trial := range p.Trials {
		c := cell{trial.Round, trial.Rate}
		if seed, known := seeds[c]; known {
			require.Equal(t, seed, trial.Seed)
		}
		seeds[c] = trial.Seed
		distinct[trial.Seed] = true
	}
	require.Len(t, distinct, len(seeds), "rounds and rates have schedules of their own")
}

func TestPlanIsAFunctionOfExperimentAndSeed(t *testing.T) {
	first, err := NewPlan(storefront(t), noon)
	require.NoError(t, err)
	again, err := NewPlan(storefront(t), noon.Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, first.Trials, again.Trials)
	e := storefront(t)
	e.Seed++
	other, err := NewPlan(e, noon)
	require.NoError(t, err)
	require.NotEqual(t, first.Trials, other.Trials)
	require.NotEqual(t, first.Experiment, other.Experiment)
}

func TestEveryRoundHasAnOrderOfItsOwn(t *testing.T) {
	p, err := NewPlan(storefront(t), noon)
	require.NoError(t, err)
	orders := map[string]bool{}
	for _, v := range visits(p.Trials) {
		key := ""
		for _, trial := range p.Trials {
			if trial.Round == v[0].Round {
				key += trial.Arm + "/"
			}
		}
		orders[key] = true
	}
	require.Greater(t, len(orders), 1, "arms come in a random order")
}

func TestDefaultExperimentEndsWithinThreeMinutes(t *testing.T) {
	p, err := NewPlan(storefront(t), noon)
	require.NoError(t, err)
	require.LessOrEqual(t, Length(p), 3*time.Minute)
	require.GreaterOrEqual(t, p.Rounds, 6)
	require.Len(t, p.Arms, 4)
}

func TestOverridesAreHeldToWhatAFileMaySay(t *testing.T) {
	e := storefront(t)
	require.NoError(t, Overrides{Rates: topologies.Rates{100, 300}, Rounds: 2, Only: []string{"mesh"}, Duration: time.Second}.Apply(e))
	require.Equal(t, []string{"mesh"}, e.Topologies.Keys())
	require.Equal(t, 300.0, e.Load.ReferenceRate.F(), "the reference rate is one of the rates")
	p, err := NewPlan(e, noon)
	require.NoError(t, err)
	require.Len(t, p.Trials, 4)

	vegeta := storefront(t)
	require.NoError(t, Overrides{Driver: "vegeta"}.Apply(vegeta), "pacing goes with its driver")
	require.Equal(t, "vegeta", driverName(vegeta.Load))

	require.ErrorContains(t, Overrides{Only: []string{"nowhere"}}.Apply(storefront(t)), "nowhere")
	require.ErrorContains(t, Overrides{Rates: topologies.Rates{200000}}.Apply(storefront(t)), "rate")
	require.ErrorContains(t, Overrides{Driver: "telepathy"}.Apply(storefront(t)), "telepathy")
}

func TestArmsAreDescribedByWhatTheyAre(t *testing.T) {
	p, err := NewPlan(storefront(t), noon)
	require.NoError(t, err)
	hops := map[string][3]int{}
	for _, a := range p.Arms {
		hops[a.Name] = [3]int{a.EntryHops, a.EdgeHops, a.Encrypted}
	}
	require.Equal(t, map[string][3]int{
		"direct": {0, 0, 0}, "gateway": {1, 0, 0}, "mesh": {1, 2, 3}, "gateway+mesh": {2, 2, 4},
	}, hops)
}
