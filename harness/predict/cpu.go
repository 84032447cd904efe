package predict

import (
	"maps"
	"math"
	"slices"
)

// prices is what the parts of one kind of process cost, in ns of CPU time in a process that is visited referenceRate times a second.
// Busier processes are cheaper by the request, because a wake-up then serves more than one: the price falls by the share Slope, the same for
// all kinds, with every e-fold of the visits.
type prices struct {
	Of    map[string]float64 `json:"of"`
	Slope float64            `json:"slope"`
	Seen  [2]float64         `json:"seen"` // lowest and highest visits per second that were learnt from: beyond them nothing is known of Slope
}

// referenceRate is where Slope has no effect, per second.
const referenceRate = 300

// at is the factor of a rate of visits. It stays what it is at the ends of what was learnt from: that a part grows ever dearer the rarer it
// is visited was never seen.
func (p prices) at(rate float64) float64 {
	if p.Seen[1] > 0 {
		rate = min(max(rate, p.Seen[0]), p.Seen[1])
	}
	return min(2, max(0.25, 1-p.Slope*math.Log(rate/referenceRate)))
}

// seen is the lowest and highest visits per second of a process in the rows.
func seen(rows []row) (ends [2]float64) {
	for _, r := range rows {
		for _, w := range r.passes {
			if w.idle {
				continue
			}
			visits := r.rate * w.visits
			if ends[1] == 0 {
				ends[0] = visits
			}
			ends = [2]float64{min(ends[0], visits), max(ends[1], visits)}
		}
	}
	return ends
}

// weight is how often a pass counts for the price of its part, at an offered rate.
func (p prices) weight(w pass, rate float64) float64 {
	if w.idle {
		return w.n / rate
	}
	return w.n * p.at(rate*w.visits)
}

// cpu is the CPU time of a kind of process for one request, in ns.
func (m *Model) cpu(kind string, p *plan, rate float64) float64 {
	sum, of := 0.0, m.Prices[kind]
	for _, w := range p.passes[kind] {
		sum += of.weight(w, rate) * of.Of[w.part]
	}
	if kind == workload {
		sum += p.declared
	}
	return sum
}

// row is one measured cell as the prices of one kind see it.
type row struct {
	passes []pass
	rate   float64
	cpu    float64 // ns per request, without what was declared
}

// weighed is a row at one slope: each part's weight as a share of what was measured.
type weighed map[string]float64

func (p prices) weigh(rows []row) []weighed {
	all := make([]weighed, len(rows))
	for i, r := range rows {
		all[i] = weighed{}
		for _, w := range r.passes {
			all[i][w.part] += p.weight(w, r.rate) / r.cpu
		}
	}
	return all
}

// price finds the prices of every kind of process: the slope, one for all kinds, by a search over a grid, the prices at each slope by least
// squares of relative errors under the condition that no part costs less than nothing (Lawson and Hanson, Solving Least Squares Problems,
// chapter 23; here by cyclic coordinate descent, which on such small convex problems ends at the same point). A slope of its own is badly
// known where a kind has parts that cost by the second: two rates cannot tell the one from the other.
func price(rows map[string][]row) map[string]prices {
	var best map[string]prices
	least := math.Inf(1)
	for slope := 0.0; slope <= 0.3001; slope += 0.01 {
		all, left := map[string]prices{}, 0.0
		for _, kind := range sortedKeys(rows) {
			of := rows[kind]
			p := prices{Slope: slope, Seen: seen(of)}
			left += p.solve(p.weigh(of))
			all[kind] = p
		}
		if left < least {
			best, least = all, left
		}
	}
	return best
}

// solve sets the prices for the slope that p has and returns the sum of squares that is left.
func (p *prices) solve(rows []weighed) float64 {
	p.Of = map[string]float64{}
	for _, r := range rows {
		for part := range r {
			p.Of[part] = 0
		}
	}
	names := sortedKeys(p.Of)
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
		e := 1 - p.of(r)
		left += e * e
	}
	return left
}

func (p *prices) of(r weighed) float64 {
	sum := 0.0
	for part, x := range r {
		sum += x * p.Of[part]
	}
	return sum
}

// descend moves one price to where it is best while the others stand, and says how far it moved.
func (p *prices) descend(rows []weighed, part string) float64 {
	over, under := 0.0, 0.0
	for _, r := range rows {
		x := r[part]
		over += x * (1 - p.of(r) + x*p.Of[part])
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
