// Package predict says what a call graph in a topology that was never measured would cost, from runs in which its parts were.
//
// Its one invariant: a part that no run measured is an error, never a guess. What it learns from runs is of two kinds. CPU per request is
// a sum over what a request passes (visits of services, waits, calls one by one and at once, crossings of proxies, each cheaper in a busier
// process), so each part's price is found by least squares. Response
// times come from a simulation of one machine: the CPU time found before is served by as many CPUs as the machine has, first come, first
// served, every wake-up of a process costs a latency, and the few numbers that describe wake-ups are fitted to the quantiles of the runs.
// Load, fan-out and depth then need no parameter of their own. All of it is at the usual speed of the machine, which is told by the driver's
// own CPU time per request.
//
// It deploys and loads nothing, and knows one machine only: that of the runs.
package predict

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"crossroads/results/stats"
	"crossroads/topologies"
)

// Prediction is one cell that was not measured. Times are in seconds, CPU in nanoseconds per request.
type Prediction struct {
	Arm  string  `json:"arm"`
	Rate float64 `json:"rate"`
	P50  Value   `json:"p50"`
	P99  Value   `json:"p99"`
	CPU  Value   `json:"cpu_ns"`
	Busy float64 `json:"busy"` // share of the machine's CPU time; near 1 nothing here holds
}

// Value is a number with the interval in which 95% of cells like those measured would lie: it covers what the model misses, not what
// another machine would do.
type Value struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// Model is what was learnt from runs of one machine.
type Model struct {
	CPUs    int               `json:"cpus"`
	Machine string            `json:"machine"` // fingerprint; another machine is another model
	Prices  map[string]prices `json:"prices"`  // by kind of process
	Wake    wake              `json:"wake"`
	Gauge   gauge             `json:"gauge"`
	Cells   int               `json:"cells"` // measured cells that it rests on
	Spread  struct {
		P50 float64 `json:"p50"` // standard error of ln(measured/predicted) over the cells, of the degrees of freedom that fitting left; at least that between their blocks
		P99 float64 `json:"p99"`
		CPU float64 `json:"cpu"`
	} `json:"spread"`
	Seed uint64 `json:"seed"`
}

// simulated is how many requests a prediction simulates; fitting takes fewer.
const (
	simulated = 20_000
	fitted    = 1_500
)

// Unmeasured lists parts of an arm that no run contains.
type Unmeasured struct {
	Arm   string
	Parts []string
}

func (u *Unmeasured) Error() string {
	return fmt.Sprintf("topology %s: no run measured %s", u.Arm, strings.Join(u.Parts, ", "))
}

// Untaught says, before anything is run, which parts of the wanted experiments' arms none of the lessons' arms has: *Unmeasured, an error
// for each arm, joined. Lessons that are not measured well enough in the end may still leave more of them unknown.
func Untaught(lessons, wanted []*topologies.Experiment) error {
	m := &Model{Prices: map[string]prices{}}
	for _, kind := range kinds {
		m.Prices[kind] = prices{Of: map[string]float64{}}
	}
	for _, e := range lessons {
		for _, arm := range e.Arms() {
			p, err := planOf(arm)
			if err != nil {
				return err
			}
			for kind, passes := range p.passes {
				for _, at := range passes {
					m.Prices[kind].Of[at.part] = 0
				}
			}
		}
	}
	var faults []error
	for _, e := range wanted {
		for _, arm := range e.Arms() {
			p, err := planOf(arm)
			if err != nil {
				faults = append(faults, err)
			} else if missing := m.missing(p); len(missing) > 0 {
				faults = append(faults, &Unmeasured{arm.Name, missing})
			}
		}
	}
	return errors.Join(faults...)
}

// Predict says what an arm would cost at a rate. The error is an *Unmeasured where a part of it was never seen.
func (m *Model) Predict(arm *topologies.Arm, rate float64) (Prediction, error) {
	p := Prediction{Arm: arm.Name, Rate: rate}
	plan, err := planOf(arm)
	if err != nil {
		return p, err
	}
	if missing := m.missing(plan); len(missing) > 0 {
		return p, &Unmeasured{arm.Name, missing}
	}
	cpu := 0.0
	for kind := range m.Prices {
		cpu += m.cpu(kind, plan, rate)
	}
	at := m.simulate(cell{plan: plan, rate: rate}, simulated)
	p.Busy = cpu * rate / 1e9 / float64(m.CPUs)
	p.CPU = spread(cpu, m.Spread.CPU)
	p.P50 = spread(at[0], m.Spread.P50)
	p.P99 = spread(at[1], m.Spread.P99)
	return p, nil
}

// spread makes the interval on the logarithmic scale, because errors of such models are factors.
func spread(v, sd float64) Value {
	return Value{Value: v, Low: v * math.Exp(-1.96*sd), High: v * math.Exp(1.96*sd)}
}

func quantile(sorted []float64, q float64) float64 {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// deviation is the root of the mean square of logarithms of ratios, about zero: a bias counts as error.
func deviation(ratios []float64) float64 {
	if len(ratios) == 0 {
		return 0
	}
	sum := 0.0
	for _, r := range ratios {
		sum += math.Log(r) * math.Log(r)
	}
	return math.Sqrt(sum / float64(len(ratios)))
}

var median = stats.Median
