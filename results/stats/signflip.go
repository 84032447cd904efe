package stats

import (
	"iter"
	"math"
	"math/rand/v2"
)

// SignFlips yields samples as likely as d if each difference is symmetric about zero: d with the signs of its values flipped. Where
// there are at most so many ways as draws, every way comes exactly once, d itself among them; otherwise draws of them are taken at
// random from the seed. The slice is reused from one to the next.
func SignFlips(d []float64, draws int, seed uint64) iter.Seq[[]float64] {
	return func(yield func([]float64) bool) {
		flipped := make([]float64, len(d))
		flip := func(next func(i int) bool) bool {
			for i, v := range d {
				flipped[i] = v
				if next(i) {
					flipped[i] = -v
				}
			}
			return yield(flipped)
		}
		if exhaustive(len(d), draws) {
			for ways := range 1 << len(d) {
				if !flip(func(i int) bool { return ways>>i&1 == 1 }) {
					return
				}
			}
			return
		}
		source := rand.New(rand.NewPCG(seed, 0x5169))
		var bits uint64
		for range draws {
			if !flip(func(i int) bool {
				if i%64 == 0 {
					bits = source.Uint64()
				}
				bit := bits & 1
				bits >>= 1
				return bit == 1
			}) {
				return
			}
		}
	}
}

func exhaustive(n, draws int) bool { return n < 31 && 1<<n <= draws }

// SignFlipP is the two-sided p-value of the statistic of d by sign flips: how often it is at least as far from zero. Random draws
// count d itself as one of them, so p is never 0 (Phipson and Smyth 2010). Of nothing it is 1.
func SignFlipP(d []float64, statistic func([]float64) float64, draws int, seed uint64) float64 {
	if len(d) == 0 {
		return 1
	}
	seen := math.Abs(statistic(d)) * (1 - 1e-12) // a sum in another order may differ in its last bits
	far, all := 0, 0
	for flipped := range SignFlips(d, draws, seed) {
		all++
		if math.Abs(statistic(flipped)) >= seen {
			far++
		}
	}
	if !exhaustive(len(d), draws) {
		far, all = far+1, all+1
	}
	return float64(far) / float64(all)
}
