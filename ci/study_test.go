package ci

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/results"
)

// pool makes the records of a self-test whose noise and injected change are known.
func pool(aa, treated int, change [3]float64) []results.Trial {
	same := newDuet(aa, [3]float64{}, 31)
	for i := range same.trials {
		if same.trials[i].Arm == Candidate {
			same.trials[i].Arm = Again
		}
	}
	worse := newDuet(5*treated/4+2, change, 32)
	var trials []results.Trial
	trials = append(trials, same.trials...)
	for _, t := range worse.trials {
		if worse.rules.AA(t.Round) {
			continue
		}
		if t.Arm == Candidate {
			t.Arm = "injected-a"
		}
		t.Round += 10_000
		trials = append(trials, t)
	}
	return trials
}

func TestExamine(t *testing.T) {
	rules := threeMetrics()
	injected := []Injected{{Arm: "injected-a", Text: "a spin", Metric: "cpu-gateway", Size: "+5%", Pairs: 12}}
	study := rules.Examine("forward", pool(160, 60, [3]float64{0.05, 0, 0}), injected, 100, 1)
	require.Equal(t, 160, study.AA)
	require.Equal(t, 100, study.False.Of)
	require.LessOrEqual(t, study.False.Interval.Low, 0.01)
	require.Equal(t, 2, study.LiveFalse.Of, "160 pairs are two whole comparisons of 74")
	f := study.Found[0]
	require.GreaterOrEqual(t, f.Stored, 60)
	require.InDelta(t, 0.05, f.Change.Change, 0.01)
	require.Greater(t, f.Detected.Count, 90)
	require.GreaterOrEqual(t, f.Live.Of, 5)
	require.Len(t, f.Power, 3, "a power for each look that the pairs reach")
	require.Equal(t, []int{12, 14}, []int{f.Power[0].Pairs, f.Power[0].Rounds})
	require.Len(t, f.Curve, len(curveSteps))
	require.Zero(t, f.Curve[0].Change)
	require.LessOrEqual(t, f.Curve[0].Detected.Count, 2, "where nothing changed nothing is found")
	require.InDelta(t, 0.05, f.Curve[4].Change, 1e-12)
	require.Greater(t, f.Curve[4].Detected.Count, 90)
	require.Equal(t, study, rules.Examine("forward", pool(160, 60, [3]float64{0.05, 0, 0}), injected, 100, 1), "the seed decides")
	var b strings.Builder
	require.NoError(t, study.Text(&b))
	require.Contains(t, b.String(), "a spin    cpu-gateway +5%")
}

// A gate that cannot fail is found out: without an injected change there is nothing to detect.
func TestExamineFindsNothingWhereNothingIs(t *testing.T) {
	rules := threeMetrics()
	study := rules.Examine("forward", pool(90, 60, same), []Injected{{Arm: "injected-a", Metric: "cpu-gateway", Pairs: 60}}, 60, 1)
	require.LessOrEqual(t, study.Found[0].Detected.Count, 2)
	few := rules.Examine("forward", pool(20, 6, same), []Injected{{Arm: "injected-a", Metric: "cpu-gateway", Pairs: 12}}, 60, 1)
	require.Zero(t, few.False.Of, "too few pairs give no rate")
	require.Zero(t, few.Found[0].Detected.Of)
	require.Equal(t, "none yet", few.False.String())
}

func TestAFlippedPairIsItsOpposite(t *testing.T) {
	p := Pairs(newDuet(1, [3]float64{0.05, 0, 0}, 1).trials)[0]
	m, _ := MetricNamed("cpu-gateway")
	r, ok := p.Ratio(m)
	require.True(t, ok)
	flipped := p.flip()
	back, _ := flipped.Ratio(m)
	require.InDelta(t, -r, back, 1e-12)
	require.NotEqual(t, p.leftFirst(), flipped.leftFirst())
}

func TestAPairMadeWorseIsWorseByThat(t *testing.T) {
	for _, p := range Pairs(newDuet(3, [3]float64{0.05, 0, 0}, 1).trials) {
		for _, name := range []string{"cpu-gateway", "cpu-workload"} {
			m, _ := MetricNamed(name)
			for _, from := range []Pair{p, p.flip()} {
				was, _ := from.Ratio(m)
				worse := from.worse(m, 0.10)
				is, ok := worse.Ratio(m)
				require.True(t, ok)
				require.InDelta(t, was+math.Log1p(0.10), is, 1e-12)
				require.Equal(t, from.leftFirst(), worse.leftFirst())
			}
		}
	}
}

// TestTheLengthOfARound is the median from start to start: a pause between two sittings does not count.
func TestTheLengthOfARound(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var trials []results.Trial
	for round, at := range []time.Duration{0, 9 * time.Second, 19 * time.Second, 2 * time.Hour, 2*time.Hour + 10*time.Second} {
		for _, later := range []time.Duration{50 * time.Millisecond, 0} {
			trials = append(trials, results.Trial{PlannedTrial: results.PlannedTrial{Round: round + 1}, Started: began.Add(at + later)})
		}
	}
	require.InDelta(t, 10, roundLength(trials), 1e-9)
	require.Zero(t, roundLength(trials[:2]))
}

// TestResampledOrdersAreThoseOfAGate: a gate swaps the order every round, a self-test draws it; no comparison made from its pairs may be
// forbidden for what no gate does.
func TestResampledOrdersAreThoseOfAGate(t *testing.T) {
	rules := threeMetrics()
	e := &examination{rules: &rules, random: rand.New(rand.NewPCG(1, 2))}
	all := Pairs(newDuet(100, [3]float64{}, 1).trials)
	var lopsided []Pair // a quarter of them begin with the left side
	left := 0
	for _, p := range all {
		if p.leftFirst() {
			if left++; left%3 != 0 {
				continue
			}
		}
		lopsided = append(lopsided, p)
	}
	for range 100 {
		require.Empty(t, forced(e.draw(lopsided, 12, false)))
		flipped := e.draw(lopsided, 12, true)
		first := 0
		for i := range flipped {
			if flipped[i].leftFirst() {
				first++
			}
		}
		require.Equal(t, 6, first, "every second one")
	}
	taken := map[int]bool{}
	for rest := lopsided; len(rest) >= 12; {
		var one []Pair
		one, rest = lineUp(rest, 12)
		require.Empty(t, forced(one))
		for _, p := range one {
			require.False(t, taken[p.Round], "no pair is used twice")
			taken[p.Round] = true
		}
	}
	require.Equal(t, 12*(len(lopsided)/12), len(taken))
	few, rest := lineUp(lopsided[:5], 12)
	require.Len(t, few, 5)
	require.Empty(t, rest)
}
