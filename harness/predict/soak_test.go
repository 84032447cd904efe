//go:build soak

package predict

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// pair is a second graph to learn from: calls at once, without a wait.
const pair = `
version: 1
name: pair
application:
  entry: a
  services:
    a: {script: [[{call: b}, {call: c}]]}
    b: {}
    c: {}
topologies:
  direct: {}
  mesh: {mesh: {}}
load: {rates: [200]}
`

// TestSoakALearntModelPredicts: numbers that a machine of known wake-ups would give are learnt, and a graph that was not among them is
// predicted within the aims: p50 within 10%, p99 within 25%, CPU within 10%.
func TestSoakALearntModelPredicts(t *testing.T) {
	truth := &Model{CPUs: 2, Seed: 3, Wake: wake{OnPath: 0.5, Workload: 40e3, Proxy: 22e3, Sigma: 0.6, Rare: 0.01, Long: 900e3, Client: 45e3}}
	truth.Prices = map[string]prices{workload: {Of: map[string]float64{partVisit: 45e3, partCall: 35e3, partFurther: 30e3, partWait: 8e3, partDriven: 20e3, partRelayed: 10e3}, Slope: 0.1}, gateway: {Of: map[string]float64{}}, sidecar: {Of: map[string]float64{}, Slope: 0.1}, control: {Of: map[string]float64{partSecond: 2e6, partSidecars: 2e5}}}
	var cells []cell
	for _, at := range [][2]string{{line, "direct"}, {line, "gateway"}, {line, "mesh"}, {pair, "direct"}, {pair, "mesh"}} {
		arm, p := at[1], plans(t, at[0], at[1])
		for _, kind := range []string{gateway, sidecar} {
			for part := range counts(p, kind) {
				truth.Prices[kind].Of[part] = 70e3
			}
		}
		for _, rate := range []float64{150, 600} {
			c := cell{name: arm, plan: p, rate: rate, cpu: map[string]float64{}}
			at := truth.simulate(c, 8000)
			c.p50, c.p99 = at[0], at[1]
			for kind := range truth.Prices {
				c.cpu[kind] = truth.cpu(kind, p, rate)
			}
			cells = append(cells, c)
		}
	}
	learnt := &Model{CPUs: 2, Seed: 11, Prices: map[string]prices{}}
	require.NoError(t, learnt.learn(cells, stages))
	require.Less(t, learnt.Spread.CPU, 0.02*unfitted(len(cells), learnt.priced()))

	for _, arm := range []string{"direct", "mesh"} {
		unseen, known := parse(t, fan).Arm(arm)
		require.True(t, known)
		got, err := learnt.Predict(unseen, 300)
		require.NoError(t, err)
		due, err := truth.Predict(unseen, 300)
		require.NoError(t, err)
		near(t, due.P50.Value, got.P50.Value, 0.10, arm+" p50")
		near(t, due.P99.Value, got.P99.Value, 0.25, arm+" p99")
		near(t, due.CPU.Value, got.CPU.Value, 0.10, arm+" CPU")
	}
}

func near(t *testing.T, due, got, by float64, what string) {
	t.Helper()
	require.Less(t, math.Abs(math.Log(got/due)), math.Log(1+by), "%s: %g where %g is due", what, got, due)
}
