package load

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestScheduleProperties(t *testing.T) {
	recording := []float64{10, 10.001, 10.5, 10.5, 12}
	cases := []Arrivals{{Kind: Poisson}, {Kind: Constant}, {Kind: Ramp, From: 0}, {Kind: Ramp, From: 0.1}, {Kind: Ramp, From: 1}, {Kind: Recorded, Recorded: recording}}
	for _, a := range cases {
		for _, rate := range []float64{0.3, 7, 333.3, 1000, 20000} {
			for _, total := range []time.Duration{0, time.Millisecond, 1234567 * time.Microsecond} {
				for seed := range uint64(3) {
					s, err := NewSchedule(a, rate, total, []int{9, 1}, seed)
					require.NoError(t, err)
					again, err := NewSchedule(a, rate, total, []int{9, 1}, seed)
					require.NoError(t, err)
					require.True(t, slices.Equal(s, again), "the same seed gives the same schedule")
					last := time.Duration(0)
					for _, x := range s {
						if x.Due < last || x.Due >= total || x.Request > 1 {
							t.Fatalf("%+v after %v, in [0, %v)", x, last, total)
						}
						last = x.Due
					}
					if a.Kind == Poisson || a.Kind == Constant || a.From == 1 {
						require.Len(t, s, int(math.Round(rate*total.Seconds())))
					}
				}
			}
		}
	}
}

func TestSeedsDiffer(t *testing.T) {
	a, err := NewSchedule(Arrivals{Kind: Poisson}, 1000, time.Second, nil, 1)
	require.NoError(t, err)
	b, err := NewSchedule(Arrivals{Kind: Poisson}, 1000, time.Second, nil, 2)
	require.NoError(t, err)
	require.NotEqual(t, a, b)
}

func TestWeightsLeaveDueTimesAlone(t *testing.T) {
	due := func(s Schedule) (d []time.Duration) {
		for _, a := range s {
			d = append(d, a.Due)
		}
		return d
	}
	a, err := NewSchedule(Arrivals{}, 500, time.Second, []int{1}, 7)
	require.NoError(t, err)
	b, err := NewSchedule(Arrivals{}, 500, time.Second, []int{1, 5, 3}, 7)
	require.NoError(t, err)
	require.Equal(t, due(a), due(b))
}

func TestWeightsAreKept(t *testing.T) {
	s, err := NewSchedule(Arrivals{}, 30000, time.Second, []int{6, 0, 3, 1}, 3)
	require.NoError(t, err)
	var n [4]int
	for _, a := range s {
		n[a.Request]++
	}
	// Five standard deviations of a binomial share of 30,000.
	require.InDelta(t, 18000, n[0], 5*math.Sqrt(30000*0.6*0.4))
	require.Zero(t, n[1])
	require.InDelta(t, 9000, n[2], 5*math.Sqrt(30000*0.3*0.7))
	require.InDelta(t, 3000, n[3], 5*math.Sqrt(30000*0.1*0.9))
}

// The gaps of a Poisson process are exponential: their mean is 1/rate and so is their standard deviation.
func TestPoissonGaps(t *testing.T) {
	s, err := NewSchedule(Arrivals{Kind: Poisson}, 50000, time.Second, nil, 11)
	require.NoError(t, err)
	var sum, squares float64
	for i := 1; i < len(s); i++ {
		g := (s[i].Due - s[i-1].Due).Seconds()
		sum += g
		squares += g * g
	}
	n := float64(len(s) - 1)
	mean := sum / n
	require.InDelta(t, 1.0/50000, mean, 0.02/50000)
	require.InDelta(t, 1.0/50000, math.Sqrt(squares/n-mean*mean), 0.05/50000)
}

func TestConstantGaps(t *testing.T) {
	s, err := NewSchedule(Arrivals{Kind: Constant}, 1000, time.Second, nil, 1)
	require.NoError(t, err)
	for i, a := range s {
		require.Equal(t, time.Duration(i)*time.Millisecond, a.Due)
	}
}

func TestRampClimbs(t *testing.T) {
	s, err := NewSchedule(Arrivals{Kind: Ramp, From: 0.1}, 1000, 10*time.Second, nil, 1)
	require.NoError(t, err)
	require.Len(t, s, 5500)
	within := func(from, to time.Duration) (n int) {
		for _, a := range s {
			if a.Due >= from && a.Due < to {
				n++
			}
		}
		return n
	}
	for second := range 10 {
		middle := 100 + 900*(float64(second)+0.5)/10 // the rate in the middle of the second
		require.InDelta(t, middle, within(time.Duration(second)*time.Second, time.Duration(second+1)*time.Second), 1)
	}
}

func TestRecordedIsScaledAndRepeated(t *testing.T) {
	// Four arrivals with gaps 1:2:3 and one mean gap of 2 to the next beginning: eight parts for four arrivals.
	s, err := NewSchedule(Arrivals{Kind: Recorded, Recorded: []float64{5, 6, 8, 11}}, 4, 2*time.Second, nil, 1)
	require.NoError(t, err)
	var parts []float64
	for _, a := range s {
		parts = append(parts, math.Round(a.Due.Seconds()*8*1e6)/1e6)
	}
	require.Equal(t, []float64{0, 1, 3, 6, 8, 9, 11, 14}, parts)
}

func TestBadSchedules(t *testing.T) {
	for name, c := range map[string]struct {
		a       Arrivals
		rate    float64
		total   time.Duration
		weights []int
		want    string
	}{
		"no rate":        {Arrivals{}, 0, time.Second, nil, "rate 0"},
		"not a rate":     {Arrivals{}, math.NaN(), time.Second, nil, "rate NaN"},
		"endless rate":   {Arrivals{}, math.Inf(1), time.Second, nil, "rate +Inf"},
		"negative":       {Arrivals{}, 1, -time.Second, nil, "must not be negative"},
		"too many":       {Arrivals{}, 1e9, time.Hour, nil, "more than"},
		"kind":           {Arrivals{Kind: "gauss"}, 1, time.Second, nil, "gauss"},
		"weight":         {Arrivals{}, 1, time.Second, []int{1, -1}, "weight -1 of request 2"},
		"heavy":          {Arrivals{}, 1, time.Second, []int{math.MaxInt32, 1}, "add up"},
		"ramp":           {Arrivals{Kind: Ramp, From: 1.5}, 1, time.Second, nil, "ramp from 1.5"},
		"recording":      {Arrivals{Kind: Recorded}, 1, time.Second, nil, "at least two"},
		"unsorted":       {Arrivals{Kind: Recorded, Recorded: []float64{2, 1}}, 1, time.Second, nil, "ascending"},
		"all the same":   {Arrivals{Kind: Recorded, Recorded: []float64{2, 2}}, 1, time.Second, nil, "two different"},
		"no end":         {Arrivals{Kind: Recorded, Recorded: []float64{-math.MaxFloat64, math.MaxFloat64}}, 1, time.Second, nil, "cannot be scaled"},
		"too many kinds": {Arrivals{}, 1, time.Second, make([]int, 70000), "70000 requests"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewSchedule(c.a, c.rate, c.total, c.weights, 1)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestReadRecorded(t *testing.T) {
	times, err := ReadRecorded(strings.NewReader("# seconds\n0.5\n\n 0.75 \n2e0\n"))
	require.NoError(t, err)
	require.Equal(t, []float64{0.5, 0.75, 2}, times)
	for text, want := range map[string]string{
		"1\nx\n":   `2: "x" is not a time`,
		"1\n0.5\n": "2: 0.5 comes before",
		"1\n":      "at least two",
		"NaN\n":    "1: ",
		"1\n1\n":   "two different",
	} {
		_, err := ReadRecorded(strings.NewReader(text))
		require.ErrorContains(t, err, want)
	}
}

// FuzzReadRecorded holds that whatever is read as a recording can be scheduled, with as many arrivals as the rate asks for, give or
// take what one round of the recording holds.
func FuzzReadRecorded(f *testing.F) {
	for _, seed := range []string{"0\n1\n", "# a\n1e-3\n\n 2\n2\n7.5\n", "-1\n1e300\n", "1\n0\n", "x\n", "-1.7e308\n1.7e308\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		times, err := ReadRecorded(strings.NewReader(string(in)))
		if err != nil {
			return
		}
		s, err := NewSchedule(Arrivals{Kind: Recorded, Recorded: times}, 100, time.Second, nil, 1)
		if err != nil {
			require.ErrorContains(t, err, "cannot be scaled")
			return
		}
		require.InDelta(t, 100, len(s), float64(len(times)))
		require.True(t, slices.IsSortedFunc(s, func(a, b Arrival) int { return int(a.Due - b.Due) }))
	})
}
