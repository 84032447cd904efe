package predict

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/results"
)

// block is a trial on a machine that is slower than usual by exp(slow): what the workload does costs 0.8 of that more, the driver all of it.
func block(rate, workload, slow float64) *results.Trial {
	return &results.Trial{
		PlannedTrial: results.PlannedTrial{Rate: rate}, Counts: results.Counts{Done: 1000},
		Usage:  []results.Usage{{Kind: "workload", CPU: int64(1000 * workload * math.Exp(0.8*slow))}},
		Driver: results.DriverUse{CPU: int64(1000*100e3*math.Pow(rate/referenceRate, -0.4)*math.Exp(slow)) + 3e7, Spin: 3e7},
	}
}

// TestCellsAreMeasuredAtOneSpeed: of two cells that cost the same, one had its blocks while the machine was slow by a fifth. The gauge takes
// that out, and leaves what is the cell's own.
func TestCellsAreMeasuredAtOneSpeed(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 0))
	var cells [][]*results.Trial
	cell := func(rate, workload, luck float64) []*results.Trial {
		var trials []*results.Trial
		for range 8 {
			trials = append(trials, block(rate, workload, luck+0.1*random.NormFloat64()))
		}
		cells = append(cells, trials)
		return trials
	}
	lucky, unlucky, dearer := cell(400, 500e3, -0.1), cell(400, 500e3, 0.1), cell(400, 700e3, 0.1)
	for _, rate := range []float64{200, 400} {
		for range 10 {
			cell(rate, 300e3, 0.05*random.NormFloat64())
		}
	}
	m := &Model{Gauge: gaugeOf(cells)}
	require.InDelta(t, -0.4, m.Gauge.Slope, 0.1)
	require.InDelta(t, 0.8, m.Gauge.Effects["cpu"], 0.02)
	require.NotContains(t, m.Gauge.Effects, "p50", "what no block measured has no slope")

	at, plain := m.Facts(lucky)
	than, unmended := m.Facts(unlucky)
	require.Greater(t, unmended.CPU/plain.CPU, 1.08)
	require.InEpsilon(t, at.CPU, than.CPU, 0.01)
	require.Equal(t, 8, at.Trials)
	own, _ := m.Facts(dearer)
	require.InEpsilon(t, 1.4*at.CPU, own.CPU, 0.01)
	require.Zero(t, at.P50)
}

// TestWithoutAGaugeNothingIsMended: records without the driver's CPU time, and too few blocks to find a slope by.
func TestWithoutAGaugeNothingIsMended(t *testing.T) {
	blind := block(400, 500e3, 0.2)
	blind.Driver = results.DriverUse{}
	few := [][]*results.Trial{{blind, block(400, 500e3, 0.3)}, {block(200, 500e3, 0), block(200, 500e3, 0.1)}}
	m := &Model{Gauge: gaugeOf(few)}
	require.Empty(t, m.Gauge.Effects)
	usual, plain := m.Facts(few[0])
	require.Equal(t, plain, usual)
	require.Equal(t, gauge{Effects: map[string]float64{}}, gaugeOf([][]*results.Trial{{blind}}))
}
