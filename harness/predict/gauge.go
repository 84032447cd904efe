package predict

import (
	"math"

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

// corrected are the metrics that cells are made of.
func corrected() []results.Metric {
	all := []results.Metric{results.TimeQuantile(results.Response, 0.50), results.TimeQuantile(results.Response, 0.99), results.CPUPerRequest("")}
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
	height, slope := straight(rates, costs)
	g.Usual, g.Slope = math.Exp(height), slope
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
			o, u := products(slow, values)
			over, under, free = over+o, under+u, free+len(slow)-1
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

// straight is the least squares line through points: its height at x = 0, and its slope, 0 where all points have one x.
func straight(x, y []float64) (height, slope float64) {
	if over, under := products(x, y); under > 1e-12 {
		slope = over / under
	}
	return mean(y) - slope*mean(x), slope
}

// products are the sums of products about the means, of x with y and of x with itself.
func products(x, y []float64) (xy, xx float64) {
	mx, my := mean(x), mean(y)
	for i := range x {
		xy += (x[i] - mx) * (y[i] - my)
		xx += (x[i] - mx) * (x[i] - mx)
	}
	return xy, xx
}

func mean(all []float64) float64 {
	sum := 0.0
	for _, v := range all {
		sum += v
	}
	return sum / float64(len(all))
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
	middle := func(m results.Metric) float64 {
		all := g.all(m, trials)
		if len(all) == 0 {
			return 0
		}
		f.Trials = max(f.Trials, len(all))
		return median(all)
	}
	f.P50, f.P99 = middle(results.TimeQuantile(results.Response, 0.50)), middle(results.TimeQuantile(results.Response, 0.99))
	f.CPU = middle(results.CPUPerRequest(""))
	return f
}
