package ci

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/results"
	"crossroads/results/stats"
)

func TestTheZeroVerdictIsInconclusive(t *testing.T) {
	var v Verdict
	require.Equal(t, Inconclusive, v)
	require.Equal(t, "inconclusive", v.String())
	require.Equal(t, "inconclusive", Verdict(99).String())
	require.Equal(t, Inconclusive, Decision{}.Verdict)
	require.Equal(t, Inconclusive, Finding{}.Verdict)
	for _, v := range []Verdict{Inconclusive, Pass, Fail} {
		text, err := json.Marshal(v)
		require.NoError(t, err)
		var back Verdict
		require.NoError(t, json.Unmarshal(text, &back))
		require.Equal(t, v, back)
	}
	require.Error(t, new(Verdict).UnmarshalText([]byte("passed")))
}

func TestOverall(t *testing.T) {
	for _, c := range []struct {
		of   []Verdict
		want Verdict
	}{
		{nil, Inconclusive}, {[]Verdict{Pass}, Pass}, {[]Verdict{Pass, Inconclusive}, Inconclusive}, {[]Verdict{Pass, Pass}, Pass},
		{[]Verdict{Pass, Fail}, Fail}, {[]Verdict{Inconclusive, Fail}, Fail}, {[]Verdict{Inconclusive}, Inconclusive},
	} {
		require.Equal(t, c.want, Overall(c.of...), "%v", c.of)
	}
}

func TestDecisions(t *testing.T) {
	for name, c := range map[string]struct {
		rounds int
		change [3]float64
		want   Verdict
		look   int
	}{
		"nothing changed, all pairs":      {lastLook, same, Pass, 24},
		"CPU +5% falls at the first look": {lastLook, [3]float64{0.05, 0, 0}, Fail, 12},
		"p50 +4%":                         {lastLook, [3]float64{0, 0.04, 0}, Fail, 12},
		"p99 +25%":                        {lastLook, [3]float64{0, 0, 0.25}, Fail, 24},
		"better by 10%":                   {lastLook, [3]float64{-0.1, -0.1, -0.1}, Pass, 12},
		"too few pairs of a clear change": {firstLook - 1, [3]float64{0.5, 0.5, 0.5}, Inconclusive, 0},
		"neither shown nor ruled out":     {firstLook, [3]float64{0, 0, 0.03}, Inconclusive, 12},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDuet(c.rounds, c.change, 11).decide()
			require.Equal(t, c.want, d.Verdict, "%+v", d.Reasons)
			require.Equal(t, c.look, d.Look)
			require.Equal(t, c.want != Inconclusive, d.Final)
			if c.want != Pass {
				require.NotEmpty(t, d.Reasons, "whoever is stopped is told why")
			}
		})
	}
}

// A verdict at the first look does not change when more rounds follow: otherwise it would depend on when somebody asked.
func TestWhatFollowsAVerdictDoesNotChangeIt(t *testing.T) {
	worse := newDuet(lastLook, [3]float64{0.06, 0, 0}, 5)
	early := *worse
	early.trials = worse.trials[:2*firstLook]
	require.Equal(t, Fail, early.decide().Verdict)
	require.Equal(t, early.decide().Metrics, worse.decide().Metrics)
}

func TestTheOrderOfRecordsDoesNotMatter(t *testing.T) {
	for seed := range uint64(8) {
		d := newDuet(40, [3]float64{0.01 * float64(seed), 0, 0}, seed)
		want := d.decide()
		random := rand.New(rand.NewPCG(seed, 1))
		for range 4 {
			random.Shuffle(len(d.trials), func(i, j int) { d.trials[i], d.trials[j] = d.trials[j], d.trials[i] })
			require.Equal(t, want, d.decide())
		}
	}
}

// Whatever is taken away from records that pass, what is left either still passes on whole evidence or does not pass: it never
// turns into a pass what did not pass, and no pair without a value is passed over.
func TestAbsentDataNeverPasses(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 2))
	for range 60 {
		d := newDuet(lastLook, same, random.Uint64())
		for i := range d.trials {
			if random.IntN(4) == 0 {
				d.trials[i].Usage = d.trials[i].Usage[:random.IntN(2)] // at least two metrics are lost
				if len(d.trials[i].Usage) == 0 {
					d.trials[i].Usage = nil
				}
			}
		}
		got := d.decide()
		for _, f := range got.Metrics {
			if f.N < got.Look || got.Look == 0 {
				require.NotEqual(t, Pass, f.Verdict, "%+v", f)
				require.NotEqual(t, Pass, got.Verdict)
			}
		}
	}
	for name, take := range map[string]func(d *duet){
		"no records":       func(d *duet) { d.trials = nil },
		"no candidate":     func(d *duet) { d.each(Candidate, func(t *results.Trial) { t.Arm = "candidat" }) },
		"no baseline":      func(d *duet) { d.each(Baseline, func(t *results.Trial) { t.Arm = "base" }) },
		"no plan":          func(d *duet) { d.plan = results.Plan{} },
		"no A/A":           func(d *duet) { d.each(Again, func(t *results.Trial) { t.Outcome = results.Invalid }) },
		"not judged":       func(d *duet) { d.each("", func(t *results.Trial) { t.Outcome = "" }) },
		"nothing answered": func(d *duet) { d.each("", func(t *results.Trial) { t.Counts.Done = 0 }) },
		"no usage":         func(d *duet) { d.each("", func(t *results.Trial) { t.Usage = nil }) },
		"no CPU at all":    func(d *duet) { d.each("", func(t *results.Trial) { t.Usage[0].CPU = 0 }) },
		"no host":          func(d *duet) { d.each("", func(t *results.Trial) { t.Host = results.HostUse{} }) },
		"a renamed metric": func(d *duet) { d.rename("cpu-gatewy") },
		"no scenario":      func(d *duet) { d.rules.Scenarios.Clear() },
		"no metric":        func(d *duet) { d.noMetrics() },
	} {
		d := newDuet(lastLook, same, 21)
		require.Equal(t, Pass, d.decide().Verdict)
		take(d)
		got := d.decide()
		require.Equal(t, Inconclusive, got.Verdict, name)
		require.NotEmpty(t, got.Reasons, name)
	}
}

func (d *duet) rename(to string) {
	s, _ := d.rules.Scenarios.Get("forward")
	margin, _ := s.Metrics.Get("cpu-gateway")
	s.Metrics.Clear()
	s.Metrics.Set(to, margin)
	d.rules.Scenarios.Set("forward", s)
}

func (d *duet) noMetrics() {
	s, _ := d.rules.Scenarios.Get("forward")
	s.Metrics.Clear()
	d.rules.Scenarios.Set("forward", s)
}

func TestNoiseForbidsAVerdict(t *testing.T) {
	d := newDuet(lastLook, [3]float64{0.05, 0, 0}, 3).each(Again, func(t *results.Trial) { t.Usage[0].CPU = t.Usage[0].CPU * 106 / 100 })
	got := d.decide()
	require.Equal(t, Inconclusive, got.Verdict)
	require.Contains(t, got.Metrics[0].Why, "noise: the baseline against itself differs by +")
	require.InDelta(t, 0.06, *got.Metrics[0].AAChange, 0.02)
}

func TestADeadCandidateFails(t *testing.T) {
	d := newDuet(5, same, 3)
	d.trials[6].Arm, d.trials[7].Arm = Baseline, Candidate
	d.trials[7].Outcome, d.trials[7].Failure = results.Failed, &results.Failure{Process: "gateway-1", Reason: "killed by signal 9"}
	got := d.decide()
	require.Equal(t, Fail, got.Verdict)
	require.Contains(t, got.Reasons[0], "gateway-1 killed by signal 9")
	d.trials[6].Outcome, d.trials[6].Failure = results.Failed, d.trials[7].Failure
	d.trials[7].Outcome, d.trials[7].Failure = results.Valid, nil
	require.Equal(t, Inconclusive, d.decide().Verdict, "a dead baseline is no fault of the candidate, and no merit")
}

// What the gate promises, by simulation with the noise that was measured between identical proxies: failures where nothing changed,
// and the power against the changes it is made for. The bounds are those of Clopper and Pearson, so that a right gate does not fail
// this test by the choice of a seed.
func TestRates(t *testing.T) {
	const runs = 200
	rate := func(rounds int, change [3]float64, is func(Decision) bool) stats.Interval {
		n := 0
		for seed := range uint64(runs) {
			if is(newDuet(rounds, change, 1000+seed).decide()) {
				n++
			}
		}
		return stats.ClopperPearson(n, runs, 0.99)
	}
	failed := func(d Decision) bool { return d.Verdict == Fail }
	require.LessOrEqual(t, rate(lastLook, same, failed).Low, 0.01, "false failures")
	require.GreaterOrEqual(t, rate(firstLook, [3]float64{0.05, 0, 0}, failed).High, 0.95, "+5% CPU at the first look")
	require.GreaterOrEqual(t, rate(29, [3]float64{0, 0.03, 0}, failed).High, 0.95, "+3% p50 at the second look")
	require.GreaterOrEqual(t, rate(lastLook, [3]float64{0, 0, 0.10}, failed).High, 0.95, "+10% p99 at the last look")
	open := func(d Decision) bool { return d.Verdict == Inconclusive }
	require.LessOrEqual(t, rate(lastLook, same, open).Low, 0.10, "inconclusive where nothing changed")
}
