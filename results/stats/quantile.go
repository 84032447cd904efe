package stats

import (
	"math"
	"sort"

	"gonum.org/v1/gonum/mathext"
	"gonum.org/v1/gonum/stat/distuv"
)

// MinSamples is how many samples the q-quantile needs for a finite two-sided interval at the confidence: the extreme order
// statistic has to lie beyond the quantile with probability at least 1-(1-confidence)/2, so that max(q, 1-q)^n <= (1-confidence)/2.
// At 95% that is 368 for p99 and 3,688 for p99.9.
func MinSamples(q, confidence float64) int64 {
	if !(q > 0 && q < 1) {
		return math.MaxInt64
	}
	tail := (1 - confidence) / 2
	p := max(q, 1-q)
	n := int64(math.Ceil(math.Log(tail) / math.Log(p)))
	for math.Pow(p, float64(n)) > tail { // the logarithms may round to one below
		n++
	}
	return n
}

// QuantileRanks returns the ranks, from 1, of the order statistics between which the q-quantile of n independent samples lies
// with the confidence; ok is false where n is too small for both ends to exist. The number of samples below the quantile is
// binomial, so each end leaves out at most half of 1-confidence exactly; nothing is approximated (David and Nagaraja, Order
// Statistics, 7.1).
func QuantileRanks(n int64, q, confidence float64) (low, high int64, ok bool) {
	if n < MinSamples(q, confidence) {
		return 0, 0, false
	}
	tail := (1 - confidence) / 2
	below := distuv.Binomial{N: float64(n), P: q}
	// The largest low with P(below <= low-1) <= tail, and the smallest high with P(below >= high) <= tail.
	low = int64(sort.Search(int(n), func(i int) bool { return below.CDF(float64(i)) > tail }))
	high = int64(sort.Search(int(n), func(i int) bool { return below.Survival(float64(i-1)) <= tail }))
	return low, high, low >= 1
}

// ClopperPearson is the exact interval of a share of which k of n were seen (Clopper and Pearson 1934). Without observations
// there is none.
func ClopperPearson(k, n int, confidence float64) Interval {
	if n <= 0 || k < 0 || k > n {
		return Interval{N: max(n, 0)}
	}
	tail := (1 - confidence) / 2
	i := Interval{Low: 0, High: 1, Level: confidence, N: n, Method: Exact}
	if k > 0 {
		i.Low = mathext.InvRegIncBeta(float64(k), float64(n-k+1), tail)
	}
	if k < n {
		i.High = mathext.InvRegIncBeta(float64(k+1), float64(n-k), 1-tail)
	}
	return i
}
