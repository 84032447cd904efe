package capacity

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func find(t *testing.T, s Search, try func(rate float64) (Answer, error)) (Bracket, []Tally) {
	t.Helper()
	b, tallies, err := s.Find(t.Context(), func(_ context.Context, rate float64) (Answer, error) { return try(rate) })
	require.NoError(t, err)
	return b, tallies
}

func knee(at float64) func(float64) (Answer, error) {
	return func(rate float64) (Answer, error) {
		if rate <= at {
			return Meets, nil
		}
		return Misses, nil
	}
}

func TestSearchBracketsAKnownLimit(t *testing.T) {
	for _, limit := range []float64{37, 100, 999, 1000, 1001, 12345, 64000, 150} {
		for _, start := range []float64{100, 1000, 50000} {
			b, tallies := find(t, Search{Start: start, Highest: 1e6, Width: 0.03, Fine: 8, Steps: 100}, knee(limit))
			require.LessOrEqual(t, b.Low, limit)
			require.Greater(t, b.High, limit)
			require.LessOrEqual(t, b.Width, 0.031+1/b.Low, "limit %g, start %g", limit, start)
			if limit >= 999 {
				require.Empty(t, b.Note) // below, rates are whole and may be further apart
			}
			require.InEpsilon(t, math.Sqrt(b.Low*b.High), b.Knee, 0.004, "nothing is known of where between them")
			require.LessOrEqual(t, b.Range[0], b.Low)
			require.GreaterOrEqual(t, b.Range[1], b.High)
			for _, tally := range tallies {
				if tally.Rate == b.Low {
					require.GreaterOrEqual(t, tally.Met, 3)
				}
				if tally.Rate == b.High {
					require.GreaterOrEqual(t, tally.Missed, 3)
				}
			}
			require.Less(t, b.Steps, 35)
		}
	}
}

func TestSearchAtTheEnds(t *testing.T) {
	s := Search{Start: 100, Highest: 1000, Width: 0.03, Fine: 8, Steps: 50}
	b, _ := find(t, s, knee(1e9))
	require.Equal(t, 1000.0, b.Low)
	require.Zero(t, b.High, "an end that was not seen is not made up")
	require.Zero(t, b.Knee)
	require.Zero(t, b.Range[1])
	require.Contains(t, b.Note, "every step at 1000/s, the highest")
	b, _ = find(t, s, knee(0))
	require.Zero(t, b.Low)
	require.Zero(t, b.Range[0])
	require.Contains(t, b.Note, "even 1/s missed")
	b, _ = find(t, s, knee(5))
	require.Equal(t, [2]float64{5, 6}, [2]float64{b.Low, b.High})
	require.Contains(t, b.Note, "no rates within the bracket", "rates are whole")
	b, _ = find(t, Search{Start: 5000, Highest: 1000, Width: 0.03, Fine: 8, Steps: 50}, knee(700))
	require.Less(t, b.Low, 701.0)
	require.Greater(t, b.High, 700.0)
}

// unsteady answers for a target whose knee is another at every step, and which errs now and then.
func unsteady(limit, spread, errs float64, seed uint64) func(float64) (Answer, error) {
	random := rand.New(rand.NewPCG(seed, 9))
	return func(rate float64) (Answer, error) {
		answer, _ := knee(limit * math.Exp(spread*random.NormFloat64()))(rate)
		if random.Float64() < errs {
			answer = Misses
		}
		return answer, nil
	}
}

// TestSearchOfAnUnsteadyTarget: the interval holds the rate that is met half of the time, in 95 of 100 searches; more steps narrow it.
func TestSearchOfAnUnsteadyTarget(t *testing.T) {
	const searches = 150
	widths := map[int]float64{}
	for _, fine := range []int{16, 48} {
		held := 0
		for seed := range uint64(searches) {
			b, _ := find(t, Search{Start: 500, Highest: 1e5, Width: 0.03, Fine: fine, Steps: 120}, unsteady(4000, 0.05, 0.02, seed))
			require.InEpsilon(t, 4000, b.Knee, 0.15)
			require.LessOrEqual(t, b.Width, 0.031)
			if b.Range[0] <= 4000 && 4000 <= b.Range[1] {
				held++
			}
			widths[fine] += (b.Range[1]/b.Range[0] - 1) / searches
		}
		require.GreaterOrEqual(t, held, searches*90/100, "%d fine steps", fine)
		require.Less(t, held, searches, "an interval that always holds is too wide")
	}
	require.Less(t, widths[48], 0.7*widths[16])
	require.Less(t, widths[48], 0.06)
}

func TestSearchWithoutEvidence(t *testing.T) {
	s := Search{Start: 100, Highest: 1e6, Width: 0.03, Fine: 8, Steps: 50}
	b, tallies := find(t, s, func(rate float64) (Answer, error) {
		if rate > 800 {
			return Unknown, fmt.Errorf("%w at %g/s: the driver was the bottleneck", ErrNoEvidence, rate)
		}
		return Meets, nil
	})
	require.Equal(t, tallies[len(tallies)-1].Rate, b.Low)
	require.Zero(t, b.High)
	require.Contains(t, b.Note, "the driver was the bottleneck; the search is not finished")

	b, _ = find(t, Search{Start: 100, Highest: 1e6, Width: 0.03, Fine: 100, Steps: 50}, knee(800))
	require.Contains(t, b.Note, "given up after 50 steps")
	require.Equal(t, 50, b.Steps)

	broken := errors.New("disk full")
	_, _, err := s.Find(t.Context(), func(context.Context, float64) (Answer, error) { return Unknown, broken })
	require.ErrorIs(t, err, broken)
}

// TestOneUnluckyStepDoesNotTrapTheSearch: one step that misses far below the limit, because the machine stood still for a moment, or
// that meets far above it, costs a few steps and not the bracket.
func TestOneUnluckyStepDoesNotTrapTheSearch(t *testing.T) {
	for _, limit := range []float64{2200, 5000, 900} {
		for fluke := 1; fluke <= 12; fluke++ {
			n := 0
			b, _ := find(t, Search{Start: 1500, Highest: 1e5, Width: 0.03, Fine: 12, Steps: 60}, func(rate float64) (Answer, error) {
				answer, _ := knee(limit)(rate)
				if n++; n == fluke {
					answer = Meets + Misses - answer
				}
				return answer, nil
			})
			require.InEpsilon(t, limit, b.Knee, 0.03, "fluke %d of limit %g: %+v", fluke, limit, b)
			require.LessOrEqual(t, b.Width, 0.032, "fluke %d of limit %g: %+v", fluke, limit, b)
			require.LessOrEqual(t, b.Steps, 45, "fluke %d of limit %g: %+v", fluke, limit, b)
		}
	}
}

func TestEstimate(t *testing.T) {
	require.Equal(t, Bracket{}, Estimate(nil))

	all := Estimate([]Tally{{100, 3, 0}, {200, 2, 0}})
	require.Equal(t, 200.0, all.Low)
	require.Zero(t, all.High)
	require.Zero(t, all.Range[1], "it may be anywhere above")

	none := Estimate([]Tally{{100, 0, 3}})
	require.Zero(t, none.Low)
	require.Equal(t, 100.0, none.High)
	require.Zero(t, none.Range[0])

	// Symmetrical about 1,000/s on a logarithmic scale: 30 of 40 met at one rung below it, 10 of 40 at one above.
	up := 1000 * 1.03
	b := Estimate([]Tally{{1000 / 1.03, 30, 10}, {up, 10, 30}})
	require.InEpsilon(t, 1000, b.Knee, 0.003)
	require.InEpsilon(t, b.Knee/b.Range[0], b.Range[1]/b.Knee, 0.01)
	require.Equal(t, up, b.High)

	// Twice the steps are surer of the same.
	single, both := Estimate([]Tally{{970, 8, 2}, {1000, 5, 6}, {1030, 2, 7}}), Estimate([]Tally{{970, 16, 4}, {1000, 10, 12}, {1030, 4, 14}})
	require.InEpsilon(t, single.Knee, both.Knee, 0.003)
	require.Less(t, both.Range[1]/both.Range[0], single.Range[1]/single.Range[0])
}
