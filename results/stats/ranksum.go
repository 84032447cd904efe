package stats

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// Shift estimates by how much y lies above x where the two samples are not paired: the median of all differences y-x (Hodges and
// Lehmann 1963). Of nothing it is NaN.
func Shift(x, y []float64) float64 { return medianSorted(differences(x, y)) }

func differences(x, y []float64) []float64 {
	d := make([]float64, 0, len(x)*len(y))
	for _, a := range x {
		for _, b := range y {
			d = append(d, b-a)
		}
	}
	slices.Sort(d)
	return d
}

// ShiftInterval is the two-sided interval for Shift that belongs to the rank-sum test of Wilcoxon, Mann and Whitney (Moses; Hollander
// and Wolfe, Nonparametric Statistical Methods, 4.3): the sorted differences from rank k+1 on either side, where k is the largest
// value of the statistic whose lower tail is at most (1-confidence)/2. The tail is exact up to ExactUpTo observations on either side
// and the normal approximation with continuity correction beyond.
func ShiftInterval(x, y []float64, confidence float64) Interval {
	n, m := len(x), len(y)
	tail := (1 - confidence) / 2
	k, level, method := -1, confidence, Exact
	if n <= ExactUpTo && m <= ExactUpTo {
		k, level = rankSumTail(n, m, tail)
	} else {
		mean := float64(n) * float64(m) / 2
		sd := math.Sqrt(mean * float64(n+m+1) / 6)
		k = int(math.Floor(mean + distuv.UnitNormal.Quantile(tail)*sd - 0.5))
		method = Normal
	}
	if k < 0 || n == 0 || m == 0 {
		return Interval{N: n + m}
	}
	d := differences(x, y)
	return Interval{Low: d[k], High: d[len(d)-1-k], Level: level, N: n + m, Method: method}
}

// rankSumTail returns the largest k with P(U <= k) <= tail, -1 for none, and the two-sided confidence. The share of orders of n and
// m values with a given U follows from which sample the largest value belongs to: if to x, all m values of y lie below it.
func rankSumTail(n, m int, tail float64) (k int, level float64) {
	k = -1
	below := 0.0
	shares := rankSumShares(n, m)
	for k+1 < len(shares) && below+shares[k+1] <= tail {
		k++
		below += shares[k]
	}
	return k, 1 - 2*below
}

func rankSumShares(n, m int) []float64 {
	// rows[j] is the distribution of U for i values of x and j of y; i grows row by row.
	rows := make([][]float64, m+1)
	for j := range rows {
		rows[j] = []float64{1}
	}
	for i := 1; i <= n; i++ {
		next := make([][]float64, m+1)
		next[0] = []float64{1}
		for j := 1; j <= m; j++ {
			u := make([]float64, i*j+1)
			ofX, ofY := float64(i)/float64(i+j), float64(j)/float64(i+j)
			for v, share := range rows[j] {
				u[v+j] += ofX * share
			}
			for v, share := range next[j-1] {
				u[v] += ofY * share
			}
			next[j] = u
		}
		rows = next
	}
	return rows[m]
}
