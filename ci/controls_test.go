package ci

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/results"
)

// Mistakes that other gates let through. Each of them turns records that pass into records that do not, and says why. Those that the
// instrument must see are judged by results.Judge, as they are when they are recorded.
func TestNegativeControls(t *testing.T) {
	slip := histogram(t, 4000, func(int) time.Duration { return 5 * time.Millisecond })
	onTime := histogram(t, 4000, func(int) time.Duration { return 5 * time.Microsecond })
	response := histogram(t, 4000, func(i int) time.Duration { return time.Millisecond + time.Duration(i)*time.Microsecond })
	judged := func(change func(*results.Trial)) func(*duet) {
		return func(d *duet) {
			d.each("", func(t *results.Trial) {
				t.Times = map[string]results.Histogram{results.Slip: onTime, results.Response: response, results.Service: response}
				t.Driver = results.DriverUse{CPU: 1e9, Given: 8e9}
				t.Host.CalibrationMS = [2]float64{2, 2}
				change(t)
				results.Judge(t)
			})
		}
	}
	arm := func(d *duet, name string, change func(*results.ArmInfo)) {
		for i := range d.plan.Arms {
			if d.plan.Arms[i].Name == name {
				change(&d.plan.Arms[i])
			}
		}
	}
	for name, c := range map[string]struct {
		spoil func(*duet)
		why   string // in the reasons, the drops or the findings
	}{
		"a starved driver":                {judged(func(t *results.Trial) { t.Times[results.Slip] = slip }), "slip p50"},
		"a driver that is the bottleneck": {judged(func(t *results.Trial) { t.Driver.CPU = 75e8 }), "the driver used"},
		"10% errors":                      {judged(func(t *results.Trial) { t.Counts.Done, t.Counts.Errors = 3600, 400 }), "90.0% of what was due was answered"},
		"a neighbour on the machine":      {judged(func(t *results.Trial) { t.Host.Foreign = 0.3 }), "processes that are not ours"},
		"a load of 100/s that is really 404": {judged(func(t *results.Trial) {
			t.Rate = 100
			t.Counts.Planned, t.Counts.Done, t.Counts.Ready = 3232, 3232, 3232
		}), "3232 requests were due in the block, 800 were declared"},
		"one side at another rate": {func(d *duet) { d.each(Candidate, func(t *results.Trial) { t.Connections = 8 }) }, "not declared the same load"},
		"a busy machine":           {func(d *duet) { d.each("", func(t *results.Trial) { t.Host.Busy = int64(11 * time.Second) }) }, "69% busy"},
		"a forced order": {func(d *duet) {
			d.each("", func(t *results.Trial) {
				if t.Order = 2 * t.Round; t.Arm == Baseline {
					t.Order--
				}
			})
		}, "the baseline was started first in 60 of 60 rounds"},
		"one after the other, or the clock was set": {func(d *duet) {
			d.each(Candidate, func(t *results.Trial) { t.Started = t.Started.Add(time.Hour) })
		}, "began 1h0m0s apart"},
		"plaintext against TLS": {func(d *duet) {
			arm(d, Baseline, func(a *results.ArmInfo) { a.External = "http://a" })
			arm(d, Candidate, func(a *results.ArmInfo) { a.External = "https://b" })
		}, "that of TLS"},
		"mTLS on one side":        {func(d *duet) { arm(d, Candidate, func(a *results.ArmInfo) { a.MTLS, a.Encrypted = "strict", 1 }) }, "that of TLS"},
		"another topology":        {func(d *duet) { arm(d, Candidate, func(a *results.ArmInfo) { a.EntryHops = 2 }) }, "different topologies"},
		"a misspelt baseline key": {func(d *duet) { arm(d, Baseline, func(a *results.ArmInfo) { a.Name = "basline" }) }, "no baseline and candidate"},
		"a slowed origin in both arms": {func(d *duet) {
			d.each("", func(t *results.Trial) { t.Usage[0].CPU *= 20 })
			s, _ := d.rules.Scenarios.Get("forward")
			s.Metrics.Set("cpu-gateway", Margin{Margin: share(0.02), BaselineAtMost: 1_000_000})
			d.rules.Scenarios.Set("forward", s)
		}, "above the 1ms up to which a change can be seen"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDuet(lastLook, same, 77)
			judged(func(*results.Trial) {})(d)
			require.Equal(t, Pass, d.decide().Verdict, "what is spoilt passes unspoilt: %v", d.decide().Reasons)
			c.spoil(d)
			got := d.decide()
			require.Equal(t, Inconclusive, got.Verdict)
			text := ""
			for _, why := range got.Reasons {
				text += why + "\n"
			}
			if len(got.Dropped) > 0 {
				text += got.Dropped[0].Why
			}
			require.Contains(t, text, c.why)
		})
	}
}

func TestWastedCountsTheLatestRounds(t *testing.T) {
	d := newDuet(6, same, 1)
	require.Zero(t, Wasted(d.trials))
	for _, i := range []int{0, 9, 11} { // rounds 1, 5 and 6
		d.trials[i].Outcome = results.Invalid
	}
	require.Equal(t, 2, Wasted(d.trials))
	require.Zero(t, Wasted(nil))
}

func TestTheLastAttemptCounts(t *testing.T) {
	d := newDuet(1, same, 1)
	again := d.trials[1]
	again.Attempt, again.Outcome = 2, results.Invalid
	require.True(t, Pairs(d.trials)[0].Usable())
	require.False(t, Pairs(append(d.trials, again))[0].Usable())
	require.False(t, Pairs(append([]results.Trial{again}, d.trials...))[0].Usable())
}
