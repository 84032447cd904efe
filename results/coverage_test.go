package results_test

import (
	"encoding/json"
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/results"
	"crossroads/results/stats"
)

var noiseOf = flag.String("noise", "", "write testdata/noise.json anew: the pairs are taken from this self-test's run directory")

// noise is what this project's runs measured where nothing changed, by metric: differences between an arm and direct about their centre,
// in units of their cell's median deviation, and log ratios of the pairs of a duet about the centre of their arm: 0 where a version ran
// beside itself.
type noise struct {
	Overheads      map[string][]float64 `json:"overheads"`
	OverheadsFrom  string               `json:"overheads_from"`
	LogRatios      map[string][]float64 `json:"log_ratios"`
	LogRatiosFrom  string               `json:"log_ratios_from"`
	LogRatiosPairs int                  `json:"log_ratios_pairs"`
}

const noiseFile = "testdata/noise.json"

// TestIntervalsHoldWhatWasInjected draws runs from the measured noise, adds a known effect, and counts how often the 95% interval holds it.
// The signed-rank distribution is discrete, so an interval reaches the next level above 95%: 96.9% of 6 rounds, 95.8% of 12. What is
// asked is therefore a coverage within two points of the level that the interval says it has; of 20 rounds on that is 93 to 97%.
//
// The noise is resampled as it is, skew included: the effect sits on its centre of symmetry as the estimate defines it (the
// pseudomedian). Log ratios change their signs at random, as the sides of a duet change their places.
func TestIntervalsHoldWhatWasInjected(t *testing.T) {
	if *noiseOf != "" {
		writeNoise(t, *noiseOf)
	}
	intervalsHold(t, 1000, []int{6, 12, 20}, []int{12, 24})
}

func intervalsHold(t *testing.T, draws int, rounds, pairs []int) {
	t.Helper()
	var n noise
	text, err := os.ReadFile(noiseFile)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &n))
	require.Len(t, n.Overheads, 3)
	require.Len(t, n.LogRatios, 3)
	for metric, pool := range n.Overheads {
		for _, rounds := range rounds {
			held(t, metric+" overhead", pool, draws, rounds, false)
		}
	}
	for metric, pool := range n.LogRatios {
		for _, pairs := range pairs {
			held(t, metric+" log ratio", pool, draws, pairs, true)
		}
	}
}

func held(t *testing.T, what string, pool []float64, draws, n int, flip bool) {
	t.Helper()
	const effect = 0.37
	centre := 0.0
	if !flip {
		centre = stats.HodgesLehmann(pool)
	}
	random := rand.New(rand.NewPCG(uint64(n), 21))
	d := make([]float64, n)
	count, level := 0, 0.0
	for range draws {
		for i := range d {
			v := pool[random.IntN(len(pool))]
			if flip && random.IntN(2) == 0 {
				v = -v
			}
			d[i] = v - centre + effect
		}
		interval := stats.SignedRank(d, results.Confidence)
		require.True(t, interval.OK())
		if level = interval.Level; interval.Contains(effect) {
			count++
		}
	}
	coverage := float64(count) / float64(draws)
	t.Logf("%-28s n = %2d: %.1f%% of %d, level %.1f%%", what, n, 100*coverage, draws, 100*level)
	require.InDelta(t, level, coverage, 0.02, "%s, n = %d", what, n)
}

func writeNoise(t *testing.T, selfTest string) {
	t.Helper()
	n := noise{Overheads: map[string][]float64{}, LogRatios: map[string][]float64{},
		OverheadsFrom: "reports/sample/run", LogRatiosFrom: filepath.Base(selfTest)}
	sample := trialsOf(t, filepath.Join("..", "reports", "sample", "run"))
	for _, m := range []results.Metric{results.TimeQuantile(results.Response, 0.5), results.TimeQuantile(results.Response, 0.99), results.CPUPerRequest("")} {
		for _, arm := range []string{"gateway", "mesh", "gateway+mesh"} {
			for _, rate := range []float64{250, 500, 1000} {
				n.Overheads[m.Name] = append(n.Overheads[m.Name], residuals(sample, arm, rate, m)...)
			}
		}
	}
	pairs := trialsOf(t, selfTest)
	for _, m := range []results.Metric{results.TimeQuantile(results.Service, 0.5), results.TimeQuantile(results.Service, 0.99), results.CPUPerRequest("gateway")} {
		n.LogRatios[m.Name] = logRatios(pairs, m)
		n.LogRatiosPairs = max(n.LogRatiosPairs, len(n.LogRatios[m.Name]))
	}
	text, err := json.MarshalIndent(n, "", " ")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(noiseFile, append(text, '\n'), 0o644))
}

func trialsOf(t *testing.T, dir string) []results.Trial {
	t.Helper()
	run, err := results.Open(dir)
	require.NoError(t, err)
	defer run.Close()
	trials, _, err := run.Trials()
	require.NoError(t, err)
	return trials
}

// residuals are the differences to direct, round by round, about their centre.
func residuals(trials []results.Trial, arm string, rate float64, m results.Metric) []float64 {
	direct, other := byRound(trials, "direct", rate, m), byRound(trials, arm, rate, m)
	var d []float64
	for round, v := range other {
		if at, ok := direct[round]; ok {
			d = append(d, v-at)
		}
	}
	slices.Sort(d)
	centre, scale := stats.HodgesLehmann(d), stats.MAD(d)
	if len(d) < 5 || scale == 0 {
		return nil
	}
	for i := range d {
		d[i] = rounded((d[i] - centre) / scale)
	}
	return d
}

// byRound is a metric of an arm's valid trials at a rate; 0 is every rate.
func byRound(trials []results.Trial, arm string, rate float64, m results.Metric) map[int]float64 {
	of := map[int]float64{}
	for i := range trials {
		t := &trials[i]
		if v, ok := m.Of(t); ok && t.Arm == arm && (rate == 0 || t.Rate == rate) && t.Outcome == results.Valid {
			of[t.Round] = v
		}
	}
	return of
}

// logRatios are what is left of the pairs' log ratios without their arm's change.
func logRatios(trials []results.Trial, m results.Metric) []float64 {
	left := byRound(trials, "baseline", 0, m)
	by := map[string][]float64{}
	for i := range trials {
		t := &trials[i]
		if v, ok := m.Of(t); ok && t.Arm != "baseline" && t.Outcome == results.Valid && left[t.Round] > 0 {
			by[t.Arm] = append(by[t.Arm], math.Log(v/left[t.Round]))
		}
	}
	var d []float64
	for arm, ratios := range by {
		centre := 0.0
		if arm != "baseline-again" {
			centre = stats.HodgesLehmann(ratios)
		}
		for _, r := range ratios {
			d = append(d, rounded(r-centre))
		}
	}
	slices.Sort(d)
	return d
}

// rounded keeps six digits: no noise is finer.
func rounded(v float64) float64 { return math.Round(1e6*v) / 1e6 }
