package predict

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"

	"crossroads/results"
)

// gauge is how slow the machine was in each block, as the driver's own CPU time per request tells (results.Gauge), and what that does to
// the numbers of the block. Cells are compared, and predicted, at the machine's usual speed: half of what two blocks of a
// cell differ by, and more, is nothing else (an analysis of covariance, with one slope for all cells of a metric).
type gauge struct {
	Usual   float64            `json:"usual_ns"` // of the driver, for a request at referenceRate
	Slope   float64            `json:"slope"`    // of its logarithm, over that of the rate: more at a time are cheaper
	Effects map[string]float64 `json:"effects"`  // by metric: of the logarithm, over that of the slowness
}

// What is predicted.
var (
	medianTime = results.TimeQuantile(results.Response, 0.50)
	tailTime   = results.TimeQuantile(results.Response, 0.99)
	wholeCPU   = results.CPUPerRequest("")
)

// corrected are the metrics that cells are made of.
func corrected() []results.Metric {
	all := []results.Metric{medianTime, tailTime, wholeCPU}
	for _, kind := range kinds {
		all = append(all, results.CPUPerRequest(kind))
	}
	return all
}

// leastBlocks is how many blocks beyond the cells' own means a slope has to rest on.
const leastBlocks = 20

// gaugeOf fits the gauge to the blocks of all cells, and then each metric's slope within cells: what cells have in common with the gauge
// between them is theirs.
func gaugeOf(cells [][]*results.Trial) gauge {
	g := gauge{Effects: map[string]float64{}}
	var rates, costs []float64
	for _, trials := range cells {
		for _, t := range trials {
			if ns, ok := results.Gauge(t); ok {
				rates, costs = append(rates, math.Log(t.Rate/referenceRate)), append(costs, math.Log(ns))
			}
		}
	}
	if len(costs) == 0 {
		return g
	}
	height := stat.Mean(costs, nil)
	if slices.Min(rates) < slices.Max(rates) {
		height, g.Slope = stat.LinearRegression(rates, costs, nil, false)
	}
	g.Usual = math.Exp(height)
	for _, m := range corrected() {
		over, under, free := 0.0, 0.0, 0
		for _, trials := range cells {
			var slow, values []float64
			for _, t := range trials {
				v, ok := m.Of(t)
				if s, known := g.slow(t); ok && known && v > 0 {
					slow, values = append(slow, s), append(values, math.Log(v))
				}
			}
			if len(slow) < 2 {
				continue
			}
			n := len(slow) - 1
			over += float64(n) * stat.Covariance(slow, values, nil)
			under += float64(n) * stat.Variance(slow, nil)
			free += n
		}
		if free >= leastBlocks && under > 0 {
			g.Effects[m.Name] = max(0, over/under)
		}
	}
	return g
}

// slow is by how much the driver was dearer than usual in a block, of the logarithm.
func (g *gauge) slow(t *results.Trial) (float64, bool) {
	ns, ok := results.Gauge(t)
	if !ok || g.Usual == 0 {
		return 0, false
	}
	return math.Log(ns/g.Usual) - g.Slope*math.Log(t.Rate/referenceRate), true
}

// of is a metric of a block as it would be at the machine's usual speed.
func (g *gauge) of(m results.Metric, t *results.Trial) (float64, bool) {
	v, ok := m.Of(t)
	slow, _ := g.slow(t)
	return v * math.Exp(-g.Effects[m.Name]*slow), ok
}

// all is that of several blocks; those without evidence for it are left out.
func (g *gauge) all(m results.Metric, trials []*results.Trial) []float64 {
	var all []float64
	for _, t := range trials {
		if v, ok := g.of(m, t); ok && v > 0 {
			all = append(all, v)
		}
	}
	return all
}

// middle is the median, 0 of nothing.
func middle(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	return median(all)
}

// Facts are medians over blocks: seconds, and ns of CPU time per request. Zero: too few samples.
type Facts struct {
	P50    float64 `json:"p50"`
	P99    float64 `json:"p99"`
	CPU    float64 `json:"cpu_ns"`
	Trials int     `json:"trials"`
}

// Facts are what the valid trials of a cell measured: at the usual speed of the machine that the model was learnt on, which is what it predicts,
// and as they were.
func (m *Model) Facts(trials []*results.Trial) (usual, plain Facts) {
	return m.Gauge.facts(trials), (&gauge{}).facts(trials)
}

func (g *gauge) facts(trials []*results.Trial) (f Facts) {
	over := func(m results.Metric) float64 {
		all := g.all(m, trials)
		f.Trials = max(f.Trials, len(all))
		return middle(all)
	}
	f.P50, f.P99, f.CPU = over(medianTime), over(tailTime), over(wholeCPU)
	return f
}
