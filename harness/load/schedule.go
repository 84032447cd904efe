package load

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Every purpose draws from a stream of its own, so that changing the weights of the requests leaves the due times as they were.
const (
	streamDue   = 0x64756500
	streamKinds = 0x6b696e64
)

// maxArrivals bounds a schedule: it is held in memory whole, with the samples that come of it.
const maxArrivals = 1 << 27

// NewSchedule draws the arrivals of one stretch of time: total long, at rate per second. It is a pure function of its arguments.
//
// Poisson arrivals are drawn as exactly rate x total times, uniform over the stretch and sorted: given their number, the arrivals of
// a Poisson process are distributed just so, and the offered count is then not itself random. Request kinds are drawn by weight.
func NewSchedule(a Arrivals, rate float64, total time.Duration, weights []int, seed uint64) (Schedule, error) {
	if !(rate > 0) || math.IsInf(rate, 0) {
		return nil, fmt.Errorf("rate %v: must be a number above zero, per second", rate)
	}
	if total < 0 {
		return nil, fmt.Errorf("length %v: must not be negative", total)
	}
	if rate*total.Seconds() > maxArrivals {
		return nil, fmt.Errorf("%v/s for %v are %.0f arrivals: more than the %d that one trial may hold", rate, total, rate*total.Seconds(), maxArrivals)
	}
	kinds, err := newKinds(weights, seed)
	if err != nil {
		return nil, err
	}
	due, err := dueTimes(a, rate, total, seed)
	if err != nil {
		return nil, err
	}
	s := make(Schedule, len(due))
	for i, d := range due {
		s[i] = Arrival{Due: d, Request: kinds.draw()}
	}
	return s, nil
}

func dueTimes(a Arrivals, rate float64, total time.Duration, seed uint64) ([]time.Duration, error) {
	switch a.Kind {
	case Poisson, "":
		return uniformTimes(rate, total, seed), nil
	case Constant:
		return constantTimes(rate, total), nil
	case Ramp:
		return rampTimes(a.From, rate, total)
	case Recorded:
		return recordedTimes(a.Recorded, rate, total)
	}
	return nil, fmt.Errorf("arrivals %q: known are %s, %s, %s and %s", a.Kind, Poisson, Constant, Ramp, Recorded)
}

func uniformTimes(rate float64, total time.Duration, seed uint64) []time.Duration {
	rng := rand.New(rand.NewPCG(seed, streamDue))
	due := make([]time.Duration, count(rate, total))
	for i := range due {
		due[i] = time.Duration(rng.Int64N(int64(total)))
	}
	slices.Sort(due)
	return due
}

func constantTimes(rate float64, total time.Duration) []time.Duration {
	due := make([]time.Duration, count(rate, total))
	for i := range due {
		due[i] = min(time.Duration(float64(i)*1e9/rate), total-1)
	}
	return due
}

// rampTimes climbs linearly from from*rate to rate. The number of arrivals until t is N(t) = r0 t + (r1-r0) t^2 / 2T; arrival k is due
// where N(t) = k + 1/2, solved in the form that stays exact where r0 and r1 are close.
func rampTimes(from, rate float64, total time.Duration) ([]time.Duration, error) {
	if !(from >= 0 && from <= 1) {
		return nil, fmt.Errorf("ramp from %v: must be a share of the rate, 0 to 1", from)
	}
	r0, slope := from*rate, (1-from)*rate/total.Seconds()
	due := make([]time.Duration, count(rate*(1+from)/2, total))
	for i := range due {
		n := float64(i) + 0.5
		t := 2 * n / (r0 + math.Sqrt(r0*r0+2*slope*n))
		due[i] = min(time.Duration(t*1e9), total-1)
	}
	return due, nil
}

// recordedTimes stretches a recording so that its mean rate is rate, and repeats it until the stretch is full. One mean gap joins the
// end of the recording to its next beginning.
func recordedTimes(times []float64, rate float64, total time.Duration) ([]time.Duration, error) {
	n := len(times)
	if n < 2 || !slices.IsSorted(times) || times[n-1] == times[0] {
		return nil, errors.New("a recording needs at least two different times, ascending")
	}
	span := (times[n-1] - times[0]) / float64(n-1) * float64(n)
	if !(span > 0) || math.IsInf(span, 0) {
		return nil, fmt.Errorf("a recording from %v to %v seconds cannot be scaled", times[0], times[n-1])
	}
	period := float64(n) / rate // seconds, of one scaled recording
	var due []time.Duration
	for i := 0; ; i++ {
		t := float64(i/n)*period + (times[i%n]-times[0])/span*period
		if t >= total.Seconds() {
			return due, nil
		}
		if len(due) == maxArrivals {
			return nil, fmt.Errorf("the recording has more than %d arrivals within %v", maxArrivals, total)
		}
		due = append(due, time.Duration(t*1e9))
	}
}

func count(rate float64, total time.Duration) int { return int(math.Round(rate * total.Seconds())) }

// kinds draws which of the declared requests is due.
type kinds struct {
	rng   *rand.Rand
	bound []int // running sums of the weights
}

// newKinds takes one weight per request; all zero means all alike.
func newKinds(weights []int, seed uint64) (*kinds, error) {
	if len(weights) > math.MaxUint16 {
		return nil, fmt.Errorf("%d requests: at most %d can be told apart", len(weights), math.MaxUint16)
	}
	k := &kinds{rng: rand.New(rand.NewPCG(seed, streamKinds))}
	sum := 0
	for i, w := range weights {
		if w < 0 {
			return nil, fmt.Errorf("weight %d of request %d: must not be negative", w, i+1)
		}
		if sum > math.MaxInt32-w {
			return nil, fmt.Errorf("the weights of the requests add up to more than %d", math.MaxInt32)
		}
		sum += w
		k.bound = append(k.bound, sum)
	}
	if sum == 0 {
		for i := range k.bound {
			k.bound[i] = i + 1
		}
	}
	return k, nil
}

func (k *kinds) draw() uint16 {
	if len(k.bound) < 2 {
		return 0
	}
	x := k.rng.IntN(k.bound[len(k.bound)-1])
	i, _ := slices.BinarySearch(k.bound, x+1)
	return uint16(i)
}
