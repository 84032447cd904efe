package predict

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"crossroads/results"
	"crossroads/topologies"
)

// Lesson is a ready experiment to learn from.
type Lesson struct {
	Experiment string
	Arms       []string // that teach something; none: all
}

// Lessons teach every part of plain gateways and meshes; one graph alone cannot tell a wait, a call and a visit apart.
var Lessons = []Lesson{
	{"chain", nil}, {"fanout", nil}, {"pauses", nil}, {"single", []string{"direct", "gateway"}}, {"storefront", []string{"direct", "mesh"}},
}

// cell is an arm at one rate as runs measured it: medians over valid trials, and how far trials were from each other.
type cell struct {
	name     string
	plan     *plan
	rate     float64
	p50, p99 float64            // seconds; 0: no trial has enough samples
	cpu      map[string]float64 // ns per request, by kind of process
	noise    [3]float64         // of p50, p99 and CPU: deviation between blocks, of logarithms
}

// Learn makes a model of runs of one machine. It is an error where runs are of different machines, where no trial is valid, or where
// nothing but direct was measured at a single rate.
func Learn(runs []*results.Run, seed uint64) (*Model, error) {
	if len(runs) == 0 {
		return nil, errors.New("nothing to learn from: name at least one run")
	}
	m := &Model{CPUs: runs[0].Environment.CPUs, Machine: runs[0].Environment.Machine, Seed: seed}
	var groups []group
	for _, run := range runs {
		if run.Environment.Machine != m.Machine {
			return nil, fmt.Errorf("run %s is of another machine than run %s: what parts cost there says nothing here", run.Plan.ID, runs[0].Plan.ID)
		}
		of, err := groupsOf(run)
		if err != nil {
			return nil, err
		}
		groups = append(groups, of...)
	}
	cells := m.cellsOf(groups)
	if len(cells) == 0 {
		return nil, errors.New("no run has a valid trial of an arm that was deployed here")
	}
	m.Cells = len(cells)
	return m, m.learn(cells, stages)
}

// group is the valid trials of an arm at one rate.
type group struct {
	name   string
	plan   *plan
	rate   float64
	trials []*results.Trial
}

func groupsOf(run *results.Run) ([]group, error) {
	e, err := topologies.Parse("experiment.yaml", run.Experiment)
	if err != nil {
		return nil, fmt.Errorf("reading the experiment of run %s: %w", run.Plan.ID, err)
	}
	trials, _, err := run.Trials()
	if err != nil {
		return nil, fmt.Errorf("reading the trials of run %s: %w", run.Plan.ID, err)
	}
	type key struct {
		arm  string
		rate float64
	}
	by := map[key][]*results.Trial{}
	for i, t := range trials {
		if t.Outcome == results.Valid {
			by[key{t.Arm, t.Rate}] = append(by[key{t.Arm, t.Rate}], &trials[i])
		}
	}
	var groups []group
	for _, k := range slices.SortedFunc(maps.Keys(by), func(a, b key) int {
		return cmp.Or(cmp.Compare(a.arm, b.arm), cmp.Compare(a.rate, b.rate))
	}) {
		arm, known := e.Arm(k.arm)
		if !known || arm.Topology.External != nil {
			continue
		}
		p, err := planOf(arm)
		if err != nil {
			return nil, err
		}
		groups = append(groups, group{fmt.Sprintf("%s of %s at %g/s", k.arm, run.Plan.ID, k.rate), p, k.rate, by[k]})
	}
	return groups, nil
}

// cellsOf learns the gauge, and measures every cell by it.
func (m *Model) cellsOf(groups []group) []cell {
	var trials [][]*results.Trial
	for _, g := range groups {
		trials = append(trials, g.trials)
	}
	m.Gauge = gaugeOf(trials)
	var cells []cell
	for _, g := range groups {
		cells = append(cells, m.measured(g))
	}
	return cells
}

// measured takes the medians over trials.
func (m *Model) measured(g group) cell {
	c := cell{name: g.name, plan: g.plan, rate: g.rate, cpu: map[string]float64{}}
	over := func(i int, metric results.Metric) float64 {
		all := m.Gauge.all(metric, g.trials)
		mid := middle(all)
		ratios := make([]float64, len(all))
		for j, v := range all {
			ratios[j] = v / mid
		}
		c.noise[i] = deviation(ratios)
		return mid
	}
	c.p50, c.p99 = over(0, medianTime), over(1, tailTime)
	over(2, wholeCPU)
	for _, kind := range kinds {
		if used := middle(m.Gauge.all(results.CPUPerRequest(kind), g.trials)); used > 0 {
			c.cpu[kind] = used
		}
	}
	return c
}

// learn finds the prices first, then what wake-ups cost, and last how far the model is from what was measured.
func (m *Model) learn(cells []cell, stages []stage) error {
	rows := map[string][]row{}
	for _, kind := range kinds {
		for _, c := range cells {
			declared := 0.0
			if kind == workload {
				declared = c.plan.declared
			}
			if used := c.cpu[kind] - declared; used > 0 && len(c.plan.passes[kind]) > 0 {
				rows[kind] = append(rows[kind], row{c.plan.passes[kind], c.rate, used})
			}
		}
	}
	m.Prices = price(rows)
	if len(m.Prices[workload].Of) == 0 {
		return errors.New("no trial has the CPU time of the application's processes")
	}
	timed := slices.DeleteFunc(slices.Clone(cells), func(c cell) bool { return c.p50 == 0 || c.p99 == 0 })
	if len(timed) < 4 {
		return fmt.Errorf("%d measured cells have a p50 and a p99: at least 4 are needed; longer blocks or higher rates give them", len(timed))
	}
	if err := m.fit(timed, stages); err != nil {
		return err
	}
	m.measureSpread(cells, timed)
	return nil
}

// measureSpread compares the model with the cells that it rests on, and never claims to be better than blocks agree with each other.
func (m *Model) measureSpread(cells, timed []cell) {
	var p50, p99, cpu []float64
	noise := [3][]float64{}
	for _, at := range parallel(timed, func(c cell) [2]float64 { return m.simulate(c, simulated/4) }) {
		p50 = append(p50, at.of.p50/at.is[0])
		p99 = append(p99, at.of.p99/at.is[1])
		noise[0], noise[1] = append(noise[0], at.of.noise[0]), append(noise[1], at.of.noise[1])
	}
	for _, c := range cells {
		is, of := 0.0, 0.0
		for kind, used := range c.cpu {
			is += used
			of += m.cpu(kind, c.plan, c.rate)
		}
		if is > 0 && of > 0 {
			cpu = append(cpu, is/of)
			noise[2] = append(noise[2], c.noise[2])
		}
	}
	m.Spread.P50 = max(deviation(p50)*unfitted(len(p50), len(pack(m.Wake))), median(noise[0]))
	m.Spread.P99 = max(deviation(p99)*unfitted(len(p99), len(pack(m.Wake))), median(noise[1]))
	m.Spread.CPU = max(deviation(cpu)*unfitted(len(cpu), m.priced()), median(noise[2]))
}

// priced is how many numbers the CPU times were fitted with: the slope and every price that is not zero.
func (m *Model) priced() int {
	n := 1
	for _, p := range m.Prices {
		for _, ns := range p.Of {
			if ns > 0 {
				n++
			}
		}
	}
	return n
}

// unfitted is by what factor the residuals of n cells are smaller than errors would be elsewhere, because parameters were fitted to them: the
// residual standard error divides by the degrees of freedom that are left. Where hardly any are, nothing is known; then the factor is that of one.
func unfitted(n, parameters int) float64 {
	return math.Sqrt(float64(n) / float64(max(1, n-parameters)))
}

// simulate returns p50 and p99 of a cell in seconds.
func (m *Model) simulate(c cell, n int) [2]float64 {
	s := simulation{plan: c.plan, cost: m.costs(c.plan, c.rate), wake: m.Wake, cpus: m.CPUs, rate: c.rate, seed: m.Seed}
	times := s.run(n)
	return [2]float64{quantile(times, 0.50), quantile(times, 0.99)}
}
