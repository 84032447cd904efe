package ci

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config/units"
	"crossroads/results"
)

// duet makes the records of a duet whose levels are known.
type duet struct {
	rules  Rules
	plan   results.Plan
	trials []results.Trial
}

// threeMetrics are three numbers that need no histogram, with the margins of CPU, p50 and p99.
func threeMetrics() Rules {
	r := Rules{}
	r.SetDefaults()
	r.Version = 1
	s := Scenario{Experiment: "single", Topology: "gateway", Rate: 1000}
	s.SetDefaults()
	s.Metrics.Set("cpu-gateway", Margin{Margin: 0.02})
	s.Metrics.Set("cpu-sidecar", Margin{Margin: 0.02})
	s.Metrics.Set("cpu-workload", Margin{Margin: 0.06})
	r.Scenarios.Set("forward", s)
	return r
}

var (
	kinds = []string{"gateway", "sidecar", "workload"}
	noise = []float64{0.015, 0.015, 0.13} // standard deviation of the log ratio, as measured between identical proxies
)

// newDuet plays rounds with the changes (relative, by kind) and noise drawn from the seed.
func newDuet(rounds int, change [3]float64, seed uint64) *duet {
	d := &duet{rules: threeMetrics()}
	d.plan.Name = "forward"
	for _, arm := range []string{Baseline, Candidate, Again} {
		d.plan.Arms = append(d.plan.Arms, results.ArmInfo{Name: arm, Gateway: "reference", EntryHops: 1})
	}
	random := rand.New(rand.NewPCG(seed, 3))
	for round := 1; round <= rounds; round++ {
		right := Candidate
		if d.rules.AA(round) {
			right = Again
		}
		left, other := d.trial(round, Baseline), d.trial(round, right)
		if round%2 == 0 {
			left.Order, other.Order = other.Order, left.Order
		}
		for i := range kinds {
			ratio := noise[i] * random.NormFloat64()
			if right == Candidate {
				ratio += math.Log1p(change[i])
			}
			common := math.Exp(0.08 * random.NormFloat64()) // what disturbs both alike
			left.Usage[i].CPU = int64(1e9 * common)
			other.Usage[i].CPU = int64(1e9 * common * math.Exp(ratio))
		}
		d.trials = append(d.trials, left, other)
	}
	return d
}

func (d *duet) trial(round int, arm string) results.Trial {
	t := results.Trial{Schema: 1, Attempt: 1, Outcome: results.Valid, Elapsed: int64(8 * time.Second)}
	t.PlannedTrial = results.PlannedTrial{
		ID: fmt.Sprintf("r%03d-%s", round, arm), Round: round, Arm: arm, Rate: 500, Connections: 32, Duration: int64(8 * time.Second), Driver: "native/precise",
	}
	t.Order = 2 * round
	if arm == Baseline {
		t.Order--
	}
	t.Started = time.Date(2026, 1, 1, 0, 0, 10*round, 0, time.UTC)
	t.Counts = results.Counts{Planned: 4000, Ready: 4000, Done: 4000}
	t.Host = results.HostUse{CPUs: 2, Busy: int64(4 * time.Second)}
	for _, kind := range kinds {
		t.Usage = append(t.Usage, results.Usage{Process: kind + "-1", Kind: kind})
	}
	return t
}

// each changes every trial of an arm ("": of all).
func (d *duet) each(arm string, change func(t *results.Trial)) *duet {
	for i := range d.trials {
		if arm == "" || d.trials[i].Arm == arm {
			change(&d.trials[i])
		}
	}
	return d
}

func (d *duet) decide() Decision { return d.rules.Decide("forward", d.plan, d.trials) }

// enough rounds for 12 and for 60 pairs, and the A/A rounds between them.
const (
	firstLook = 14
	lastLook  = 74
)

func histogram(t *testing.T, n int, at func(i int) time.Duration) results.Histogram {
	t.Helper()
	h := results.NewTimes()
	for i := range n {
		require.NoError(t, h.RecordValue(int64(at(i))))
	}
	encoded, err := results.Encode(h)
	require.NoError(t, err)
	return encoded
}

// same is a change of nothing.
var same = [3]float64{}

func share(v float64) units.Share { return units.Share(v) }
