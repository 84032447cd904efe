package ci

import (
	"strings"
	"testing"

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
