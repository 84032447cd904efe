package stats

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// ExactUpTo is the largest number of differences for which SignedRank uses the exact distribution; beyond it the normal
// approximation is off by at most one rank.
const ExactUpTo = 20

// HodgesLehmann estimates the centre of symmetry of differences d: the median of the averages of all pairs, each value with itself
// included (Hodges and Lehmann 1963). It is nearly as efficient as the mean for normal data and bounded where some values are wild.
// Of nothing it is NaN.
func HodgesLehmann(d []float64) float64 { return medianSorted(walsh(d)) }

// walsh returns the n(n+1)/2 averages of pairs, sorted.
func walsh(d []float64) []float64 {
	w := make([]float64, 0, len(d)*(len(d)+1)/2)
	for i, a := range d {
		for _, b := range d[i:] {
			w = append(w, a+(b-a)/2)
		}
	}
	slices.Sort(w)
	return w
}

// SignedRank is the two-sided interval for the centre of symmetry of differences d that belongs to the Wilcoxon signed-rank test
// (Hollander and Wolfe, Nonparametric Statistical Methods, 3.3): the sorted pair averages from rank k+1 on either side, where k is
// the largest value of the statistic whose lower tail is at most (1-confidence)/2. That tail is exact up to n = 20 and the normal
// approximation with continuity correction beyond.
//
// At 95% there is no interval below n = 6: even the smallest value of the statistic has a tail of 1/32 at n = 5.
//
// Zeros and ties need no correction. A zero is an observation like any other and its pair averages count; both ends belong to the
// interval, and with them its coverage is at least that of the continuous case (Pratt and Gibbons, Concepts of Nonparametric
// Theory, 3.7).
func SignedRank(d []float64, confidence float64) Interval {
	n := len(d)
	tail := (1 - confidence) / 2
	k, level, method := -1, confidence, Exact
	if n <= ExactUpTo {
		k, level = signedRankTail(n, tail)
	} else {
		mean := float64(n) * float64(n+1) / 4
		sd := math.Sqrt(mean * float64(2*n+1) / 6)
		k = int(math.Floor(mean + distuv.UnitNormal.Quantile(tail)*sd - 0.5))
		method = Normal
	}
	if k < 0 {
		return Interval{N: n}
	}
	w := walsh(d)
	return Interval{Low: w[k], High: w[len(w)-1-k], Level: level, N: n, Method: method}
}

// signedRankTail returns the largest k with P(T <= k) <= tail, -1 for none, and the two-sided confidence 1-2P(T <= k). The number
// of subsets of the ranks 1..n with a given sum is built up rank by rank.
func signedRankTail(n int, tail float64) (k int, level float64) {
	top := n * (n + 1) / 2
	subsets := make([]float64, top+1)
	subsets[0] = 1
	for rank := 1; rank <= n; rank++ {
		for sum := top; sum >= rank; sum-- {
			subsets[sum] += subsets[sum-rank]
		}
	}
	all := math.Exp2(float64(n))
	k = -1
	below := 0.0
	for k < top && (below+subsets[k+1])/all <= tail {
		k++
		below += subsets[k]
	}
	return k, 1 - 2*below/all
}
