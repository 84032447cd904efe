package stats

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// Trend is the result of a test for a monotone trend.
type Trend struct {
	S int     `json:"s"` // rises minus falls over all pairs
	P float64 `json:"p"` // two-sided; 1 where there is nothing to compare
}

// mannKendallExactUpTo bounds the exact distribution. Beyond it the normal approximation is good to three digits.
const mannKendallExactUpTo = 20

// MannKendall tests whether x rises or falls over its index (Mann 1945; Kendall 1975). Without ties and up to 20 values the
// p-value is exact, from the number of permutations with a given number of inversions; otherwise it is the normal approximation
// with the variance corrected for ties and a continuity correction of one.
func MannKendall(x []float64) Trend {
	n := len(x)
	s, ties := 0, false
	for i := range x {
		for j := i + 1; j < n; j++ {
			switch {
			case x[j] > x[i]:
				s++
			case x[j] < x[i]:
				s--
			default:
				ties = true
			}
		}
	}
	t := Trend{S: s, P: 1}
	switch {
	case s == 0:
	case !ties && n <= mannKendallExactUpTo:
		t.P = kendallExact(n, s)
	default:
		z := (math.Abs(float64(s)) - 1) / math.Sqrt(kendallVariance(x))
		t.P = min(1, 2*distuv.UnitNormal.Survival(z))
	}
	return t
}

// kendallExact is P(|S| >= |s|) over all orders of n distinct values. With d falls among the n(n-1)/2 pairs S = pairs - 2d, and
// the orders with d falls are counted by adding one value at a time: the k-th can add 0 to k-1 falls.
func kendallExact(n, s int) float64 {
	pairs := n * (n - 1) / 2
	orders := make([]float64, pairs+1) // by falls, as shares of all orders
	orders[0] = 1
	for k := 2; k <= n; k++ {
		next := make([]float64, pairs+1)
		for d, share := range orders {
			for add := 0; share > 0 && add < k && d+add <= pairs; add++ {
				next[d+add] += share / float64(k)
			}
		}
		orders = next
	}
	if s < 0 {
		s = -s
	}
	tail := 0.0
	for d := 0; pairs-2*d >= s; d++ {
		tail += orders[d]
	}
	return min(1, 2*tail)
}

func kendallVariance(x []float64) float64 {
	term := func(n int) float64 { return float64(n) * float64(n-1) * float64(2*n+5) }
	v := term(len(x))
	sorted := slices.Sorted(slices.Values(x))
	for i := 0; i < len(sorted); {
		j := i
		for j < len(sorted) && sorted[j] == sorted[i] {
			j++
		}
		v -= term(j - i)
		i = j
	}
	return v / 18
}
