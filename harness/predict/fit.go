package predict

import (
	"fmt"
	"math"
	"sync"

	"gonum.org/v1/gonum/optimize"
)

// A step of the search must explain so much of an error in p50 and in p99, of logarithms, to count alike: what quantiles are good for.
const (
	worthP50 = 0.05
	worthP99 = 0.12
)

// The search goes in two stages: so often it may simulate all cells, first with few requests each, then from where that ended with more.
// A hundred million events take a minute.
var stages = []stage{{160, 500}, {60, fitted}}

type stage struct{ evaluations, requests int }

// fit finds the wake-ups that bring simulated quantiles nearest to the measured ones, by the simplex method (Nelder and Mead 1965): the
// simulation has no derivative. Its draws are the same at every step, so that two steps differ by their parameters only.
func (m *Model) fit(cells []cell, stages []stage) error {
	m.Wake = wake{OnPath: 0.6, Workload: 25e3, Proxy: 15e3, Sigma: 0.4, Rare: 0.02, Long: 400e3, Client: 30e3}
	for i, s := range stages {
		if err := m.search(cells, s, 0.4/float64(i+1)); err != nil {
			return err
		}
	}
	return nil
}

// search is one stage: it goes on from m.Wake.
func (m *Model) search(cells []cell, s stage, step float64) error {
	problem := optimize.Problem{Func: func(x []float64) float64 {
		trial := *m
		trial.Wake = unpack(x)
		sum := 0.0
		for _, at := range parallel(cells, func(c cell) [2]float64 { return trial.simulate(c, s.requests) }) {
			sum += squared(math.Log(at.of.p50/at.is[0])/worthP50) + squared(math.Log(at.of.p99/at.is[1])/worthP99)
		}
		return sum
	}}
	found, err := optimize.Minimize(problem, pack(m.Wake), &optimize.Settings{FuncEvaluations: s.evaluations}, &optimize.NelderMead{SimplexSize: step})
	if found == nil {
		return fmt.Errorf("fitting wake-ups: %w", err)
	}
	m.Wake = unpack(found.X)
	return nil
}

func squared(x float64) float64 { return x * x }

// pack maps parameters to the whole line: shares by the logit, the rest by the logarithm.
func pack(w wake) []float64 {
	logit := func(p float64) float64 { return math.Log(p / (1 - p)) }
	return []float64{logit(w.OnPath), math.Log(w.Workload), math.Log(w.Proxy), math.Log(w.Sigma), logit(w.Rare), math.Log(w.Long), math.Log(w.Client)}
}

func unpack(x []float64) wake {
	share := func(v float64) float64 { return 1 / (1 + math.Exp(-v)) }
	// Bounds keep a wandering step from simulating for ever: a wake-up takes at most 10 ms.
	ns := func(v float64) float64 { return math.Exp(min(v, math.Log(10e6))) }
	return wake{OnPath: share(x[0]), Workload: ns(x[1]), Proxy: ns(x[2]), Sigma: math.Exp(min(x[3], math.Log(1.5))), Rare: share(x[4]), Long: ns(x[5]), Client: ns(x[6])}
}

type outcome struct {
	of cell
	is [2]float64
}

// parallel simulates every cell, as many at a time as there are; the order of the answer is that of the cells.
func parallel(cells []cell, simulate func(cell) [2]float64) []outcome {
	all := make([]outcome, len(cells))
	var running sync.WaitGroup
	for i, c := range cells {
		running.Go(func() { all[i] = outcome{c, simulate(c)} })
	}
	running.Wait()
	return all
}
