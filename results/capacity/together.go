package capacity

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"crossroads/results/stats"
)

// answered is a step that answered: its search, its turn, which is the same for all that were made at about the same time, its rate, and how slow
// the machine was.
type answered struct {
	search, turn int
	logRate      float64
	met          bool
	gauge        float64 // logarithm of results.Gauge; NaN: not known
	slow         float64 // by how much that is above the arm's median
}

// slowness tells from the driver's own CPU time how slow the machine was in each step, against the middle of all steps of the arm in all
// its searches: at another rate, or before another arm, the driver's requests cost something else. It returns the variance of that
// middle (of a median, by the median deviation), which is how far arms may have met another machine than each other.
func slowness(steps []*answered) (variance float64) {
	var known, away []float64
	for _, s := range steps {
		if !math.IsNaN(s.gauge) {
			known = append(known, s.gauge)
		}
	}
	if len(known) == 0 {
		return 0
	}
	middle := stats.Median(known)
	for _, g := range known {
		away = append(away, math.Abs(g-middle))
	}
	for _, s := range steps {
		if s.slow = 0; !math.IsNaN(s.gauge) {
			s.slow = s.gauge - middle
		}
	}
	return math.Pi / 2 * squared(1.4826*stats.Median(away)) / float64(len(known))
}

// together is all searches of a run as one model: the share of steps that meet is the logistic function of how far the knee lies above the
// rate, and a knee lies lower by so much, the same for all, in a step in which the machine was slow. A machine whose cores others use too changes
// its speed by a half from one step to the next, and that is most of what makes steps at one rate answer one way and the other. Besides, the
// knees of all searches rise and fall together from turn to turn. Steps up and down follow that, each search with a lag of its own, and the lags
// are what repetitions would differ by.
//
// The drift is a random walk over the turns whose mean is nought. How fast it moves, and how steep the shares are, are those of the
// largest marginal likelihood by Laplace's approximation (Tierney and Kadane 1986, JASA 81); knees, drift and the burden of slowness are
// found by Fisher scoring. Of the burden it is held beforehand that it is about nought, give or take one, which is what a limit that the CPUs set has.
type together struct {
	steps           []answered
	searches, turns int
	middles         []float64 // by search: the variance of the slowness that its arm's is counted from
	rung            float64   // between rates, of the logarithm
	spread, pace    float64   // of the share, and of a turn of the drift; relative

	at         []float64     // knees, then the drift of every turn, logarithms, and last the burden: how far a knee falls with the slowness
	covariance mat.SymDense  // of at
	marginal   float64       // log likelihood of spread and pace
	chol       mat.Cholesky  // of the information at at
	info       *mat.SymDense // its space
}

// What is tried for spread and pace, by going from the middle to whichever neighbour is better.
var (
	spreads = []float64{0.01, 0.014, 0.02, 0.028, 0.04, 0.057, 0.08, 0.113, 0.16}
	paces   = []float64{0.003, 0.006, 0.0125, 0.025, 0.05, 0.1}
)

const (
	scorings = 60
	settled  = 1e-7
	anchored = 1e6 // precision of the drift's mean about nought, which tells it from the knees
)

// fitTogether begins at the knees that the searches found alone. It needs a knee of each.
func fitTogether(steps []answered, knees, middles []float64, rung float64) *together {
	turns := 0
	for _, s := range steps {
		turns = max(turns, s.turn+1)
	}
	from := make([]float64, len(knees)+turns+1)
	for i, k := range knees {
		from[i] = math.Log(k)
	}
	var best *together
	tried := map[[2]int]bool{}
	for at, better := [2]int{len(spreads) / 2, len(paces) / 2}, true; better; {
		better = false
		for _, to := range [][2]int{at, {at[0] + 1, at[1]}, {at[0] - 1, at[1]}, {at[0], at[1] + 1}, {at[0], at[1] - 1}} {
			if tried[to] || min(to[0], to[1]) < 0 || to[0] >= len(spreads) || to[1] >= len(paces) {
				continue
			}
			tried[to] = true
			f := &together{steps: steps, searches: len(knees), turns: turns, middles: middles, rung: rung, spread: spreads[to[0]], pace: paces[to[1]], at: slices.Clone(from)}
			if f.score() && (best == nil || f.marginal > best.marginal) {
				best, from, at, better = f, f.at, to, true
			}
		}
	}
	if best == nil || best.chol.InverseTo(&best.covariance) != nil {
		return nil
	}
	return best
}

// score goes up to the largest posterior, and says whether it came to a point that can be inverted.
func (f *together) score() bool {
	n := len(f.at)
	f.info = mat.NewSymDense(n, nil)
	gradient, step := mat.NewVecDense(n, nil), mat.NewVecDense(n, nil)
	value := f.posterior(f.at)
	next := make([]float64, n)
	for range scorings {
		f.inform(gradient)
		if !f.chol.Factorize(f.info) || f.chol.SolveVecTo(step, gradient) != nil {
			return false
		}
		size, moved := 1.0, false
		for ; size > 1e-4 && !moved; size /= 2 {
			for i := range next {
				next[i] = f.at[i] + size*step.AtVec(i)
			}
			if v := f.posterior(next); v >= value {
				value, moved = v, true
				copy(f.at, next)
			}
		}
		if !moved || mat.Norm(step, math.Inf(1)) < settled {
			break
		}
	}
	f.inform(gradient)
	if !f.chol.Factorize(f.info) {
		return false
	}
	f.marginal = value - float64(f.turns-1)*math.Log(f.pace) - f.chol.LogDet()/2
	return true
}

// posterior is the log likelihood of the steps, and that of the drift but for what depends on its pace alone.
func (f *together) posterior(at []float64) float64 {
	sum := 0.0
	for _, s := range f.steps {
		p, _ := f.share(s, at)
		if !s.met {
			p = 1 - p
		}
		sum += math.Log(p)
	}
	drift, burden := at[f.searches:f.searches+f.turns], at[f.searches+f.turns]
	sum -= squared(burden) / 2
	mean := drift[0]
	for i, d := range drift[1:] {
		mean += d
		sum -= squared(d-drift[i]) / (2 * f.pace * f.pace)
	}
	return sum - anchored*squared(mean/float64(f.turns))/2
}

// share is the chance that a step meets, and how it changes with its knee.
func (f *together) share(s answered, at []float64) (p, slope float64) {
	p, x := shareAbove(s.logRate-at[s.search]-at[f.searches+s.turn]+at[f.searches+f.turns]*s.slow, f.spread)
	return p, (1 - lapses) * x * (1 - x) / f.spread
}

// inform computes gradient and expected information of the posterior.
func (f *together) inform(gradient *mat.VecDense) {
	f.info.Zero()
	gradient.Zero()
	add := func(i, j int, v float64) { f.info.SetSym(i, j, f.info.At(i, j)+v) }
	up := func(i int, v float64) { gradient.SetVec(i, gradient.AtVec(i)+v) }
	burden := f.searches + f.turns
	for _, s := range f.steps {
		p, slope := f.share(s, f.at)
		y := 0.0
		if s.met {
			y = 1
		}
		g, w := (y-p)*slope/(p*(1-p)), slope*slope/(p*(1-p))
		knee, turn := s.search, f.searches+s.turn
		up(knee, g)
		up(turn, g)
		up(burden, -g*s.slow)
		add(knee, knee, w)
		add(turn, turn, w)
		add(knee, turn, w)
		add(knee, burden, -w*s.slow)
		add(turn, burden, -w*s.slow)
		add(burden, burden, w*s.slow*s.slow)
	}
	up(burden, -f.at[burden])
	add(burden, burden, 1)
	tight := 1 / (f.pace * f.pace)
	mean := 0.0
	for t := range f.turns {
		mean += f.at[f.searches+t] / float64(f.turns)
	}
	even := anchored / float64(f.turns)
	for t := range f.turns {
		i := f.searches + t
		up(i, -mean*even)
		for u := t; u < f.turns; u++ {
			add(i, f.searches+u, even/float64(f.turns))
		}
		if t == 0 {
			continue
		}
		up(i, -tight*(f.at[i]-f.at[i-1]))
		up(i-1, tight*(f.at[i]-f.at[i-1]))
		add(i, i, tight)
		add(i-1, i-1, tight)
		add(i-1, i, -tight)
	}
}

// knee is the mean of the knees of some searches of one arm, with its interval, which is no narrower than a rung: where between two rates that were tried a knee
// lies, no step says.
func (f *together) knee(searches ...int) (knee float64, interval [2]float64) {
	mean, variance, n := 0.0, 0.0, float64(len(searches))
	for _, i := range searches {
		mean += f.at[i] / n
		for _, j := range searches {
			variance += f.covariance.At(i, j) / (n * n)
		}
	}
	variance += squared(f.at[f.searches+f.turns]) * f.middles[searches[0]]
	steps := 0
	for _, s := range f.steps {
		if slices.Contains(searches, s.search) {
			steps++
		}
	}
	reach := max(student(steps)*math.Sqrt(variance), f.rung/2)
	return math.Exp(mean), [2]float64{math.Exp(mean - reach), math.Exp(mean + reach)}
}
