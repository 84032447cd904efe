package stats

import (
	"math"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Plane fits y = c0 + c1 x1 + c2 x2 + ... by ordinary least squares: rows of x hold the regressors without the constant. It returns the
// coefficients, the constant first, and the t interval of each (Draper and Smith, Applied Regression Analysis, 5.1), which supposes
// independent errors of one size. ok is false where the data cannot tell the regressors apart, or are too few.
func Plane(x [][]float64, y []float64, confidence float64) (c []float64, within []Interval, ok bool) {
	n := len(y)
	if n == 0 || len(x) != n {
		return nil, nil, false
	}
	k := len(x[0]) + 1
	if n <= k {
		return nil, nil, false
	}
	a := mat.NewDense(n, k, nil)
	for i, row := range x {
		a.Set(i, 0, 1)
		for j, v := range row {
			a.Set(i, j+1, v)
		}
	}
	var square, inverse mat.Dense
	square.Mul(a.T(), a)
	if err := inverse.Inverse(&square); err != nil {
		return nil, nil, false // singular, or nearly so
	}
	var right, fit, at mat.VecDense
	right.MulVec(a.T(), mat.NewVecDense(n, y))
	fit.MulVec(&inverse, &right)
	at.MulVec(a, &fit)
	rest := 0.0
	for i := range y {
		rest += (y[i] - at.AtVec(i)) * (y[i] - at.AtVec(i))
	}
	free := float64(n - k)
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: free}.Quantile(1 - (1-confidence)/2)
	for j := range k {
		half := t * math.Sqrt(rest/free*inverse.At(j, j))
		c = append(c, fit.AtVec(j))
		within = append(within, Interval{Low: c[j] - half, High: c[j] + half, Level: confidence, N: n, Method: Normal})
	}
	return c, within, true
}
