package predict

import (
	"maps"
	"math"
	"slices"
)

// prices is what the parts of one kind of process cost, in ns of CPU time at referenceRate. Busier processes are cheaper by the
// request, because a wake-up then serves more than one: the price falls by the share Slope with every e-fold of the rate.
type prices struct {
	Of    map[string]float64 `json:"of"`
	Slope float64            `json:"slope"`
}

// referenceRate is where Slope has no effect, per second.
const referenceRate = 300

// at is the factor of a rate; it never falls below a quarter, far beyond the rates that a fit has seen.
func (p prices) at(rate float64) float64 { return max(0.25, 1-p.Slope*math.Log(rate/referenceRate)) }

// cpu is the CPU time of a kind of process for one request, in ns.
func (m *Model) cpu(kind string, p *plan, rate float64) float64 {
	sum := 0.0
	for part, n := range p.count[kind] {
		sum += n * m.Prices[kind].Of[part]
	}
	sum *= m.Prices[kind].at(rate)
	if kind == workload {
		sum += p.declared
	}
	return sum
}

// row is one measured cell as the prices of one kind see it.
type row struct {
	count map[string]float64
	rate  float64
	cpu   float64 // ns per request, without what was declared
}

// price finds the prices of one kind: the slope by a search over a grid, the prices at each slope by least squares of relative errors
// under the condition that no part costs less than nothing (Lawson and Hanson, Solving Least Squares Problems, chapter 23; here by
// cyclic coordinate descent, which on such small convex problems ends at the same point).
func price(rows []row) prices {
	best, least := prices{Of: map[string]float64{}}, math.Inf(1)
	for slope := 0.0; slope <= 0.3001; slope += 0.01 {
		p := prices{Slope: slope}
		left := p.solve(rows)
		if left < least {
			best, least = p, left
		}
	}
	return best
}

// solve sets the prices for the slope that p has and returns the sum of squares that is left.
func (p *prices) solve(rows []row) float64 {
	parts := map[string]bool{}
	for _, r := range rows {
		for part, n := range r.count {
			if n > 0 {
				parts[part] = true
			}
		}
	}
	names := sortedKeys(parts)
	p.Of = map[string]float64{}
	for _, n := range names {
		p.Of[n] = 0
	}
	for range 2000 {
		moved := 0.0
		for _, n := range names {
			moved = max(moved, p.descend(rows, n))
		}
		if moved < 1e-3 { // a picosecond
			break
		}
	}
	left := 0.0
	for _, r := range rows {
		e := 1 - p.of(r)/r.cpu
		left += e * e
	}
	return left
}

func (p *prices) of(r row) float64 {
	sum := 0.0
	for part, n := range r.count {
		sum += n * p.Of[part]
	}
	return sum * p.at(r.rate)
}

// descend moves one price to where it is best while the others stand, and says how far it moved.
func (p *prices) descend(rows []row, part string) float64 {
	over, under := 0.0, 0.0
	for _, r := range rows {
		x := r.count[part] * p.at(r.rate) / r.cpu
		rest := 1 - p.of(r)/r.cpu + x*p.Of[part]
		over += x * rest
		under += x * x
	}
	if under == 0 {
		return 0
	}
	next := max(0, over/under)
	moved := math.Abs(next - p.Of[part])
	p.Of[part] = next
	return moved
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
