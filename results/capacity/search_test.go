package capacity

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func find(t *testing.T, s Search, try func(rate float64) (Answer, error)) Bracket {
	t.Helper()
	b, err := s.Find(t.Context(), func(_ context.Context, rate float64) (Answer, error) { return try(rate) })
	require.NoError(t, err)
	return b
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
			tries := map[float64]int{}
			b := find(t, Search{Start: start, Highest: 1e6, Width: 0.03, Steps: 100}, func(rate float64) (Answer, error) {
				tries[rate]++
				return knee(limit)(rate)
			})
			require.LessOrEqual(t, b.Low, limit)
			require.Greater(t, b.High, limit)
			require.LessOrEqual(t, b.Width, 0.031, "limit %g, start %g", limit, start)
			require.Equal(t, 3, tries[b.Low], "3 of 3 meet")
			require.Equal(t, 2, tries[b.High], "2 of 3 miss")
		}
	}
}

func TestSearchAtTheEnds(t *testing.T) {
	s := Search{Start: 100, Highest: 1000, Width: 0.03, Steps: 50}
	b := find(t, s, knee(1e9))
	require.Equal(t, 1000.0, b.Low)
	require.Zero(t, b.High, "an end that was not seen is not made up")
	require.Contains(t, b.Note, "every rate up to 1000/s")
	b = find(t, s, knee(0))
	require.Zero(t, b.Low)
	require.Contains(t, b.Note, "even 1/s missed")
	b = find(t, s, knee(5))
	require.Equal(t, [2]float64{5, 6}, [2]float64{b.Low, b.High})
	require.Contains(t, b.Note, "too low to be told apart")
}

// A target that answers at random near its limit widens the bracket; it never ends it in a point, and never runs on for ever.
func TestSearchOfAnUnsteadyTarget(t *testing.T) {
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 9))
		b := find(t, Search{Start: 500, Highest: 1e5, Width: 0.03, Steps: 80}, func(rate float64) (Answer, error) {
			return knee(4000 * (1 + 0.05*random.NormFloat64()))(rate)
		})
		require.LessOrEqual(t, b.Steps, 80)
		require.Less(t, b.Low, b.High)
		require.Less(t, b.Low, 4000*1.12)
		require.Greater(t, b.High, 4000*0.88)
	}
}

func TestSearchWithoutEvidence(t *testing.T) {
	s := Search{Start: 100, Highest: 1e6, Width: 0.03, Steps: 50}
	b := find(t, s, func(rate float64) (Answer, error) {
		if rate > 800 {
			return Unknown, fmt.Errorf("%w at %g/s: the driver was the bottleneck", ErrNoEvidence, rate)
		}
		return Meets, nil
	})
	require.Equal(t, 800.0, b.Low)
	require.Zero(t, b.High)
	require.Contains(t, b.Note, "the driver was the bottleneck")

	// The lower end gives way when it is confirmed, and the rate below it cannot be tried.
	seen := map[float64]int{}
	b = find(t, s, func(rate float64) (Answer, error) {
		seen[rate]++
		if seen[rate] > 1 && rate < 1600 {
			return Misses, nil
		}
		if rate < 1500 && rate > 800 && len(seen) > 7 {
			return Unknown, ErrNoEvidence
		}
		return knee(1500)(rate)
	})
	require.Contains(t, b.Note, "not confirmed")
	require.Equal(t, 1, seen[b.Low], "the rate that could not be tried is no end")
	require.Positive(t, seen[b.High])
	broken := errors.New("disk full")
	_, err := s.Find(t.Context(), func(context.Context, float64) (Answer, error) { return Unknown, broken })
	require.ErrorIs(t, err, broken)
}

// TestOneUnluckyStepDoesNotTrapTheSearch: one step that misses far below the limit, because the machine stood still for a moment, or
// that meets far above it, costs a few steps and not the bracket.
func TestOneUnluckyStepDoesNotTrapTheSearch(t *testing.T) {
	for _, limit := range []float64{2200, 5000, 900} {
		for fluke := 1; fluke <= 12; fluke++ {
			n := 0
			b := find(t, Search{Start: 1500, Highest: 1e5, Width: 0.03, Steps: 60}, func(rate float64) (Answer, error) {
				answer, _ := knee(limit)(rate)
				if n++; n == fluke {
					answer = Meets + Misses - answer
				}
				return answer, nil
			})
			require.LessOrEqual(t, b.Low, limit, "fluke %d of limit %g: %+v", fluke, limit, b)
			require.Greater(t, b.High, limit, "fluke %d of limit %g: %+v", fluke, limit, b)
			require.LessOrEqual(t, b.Width, 0.07, "fluke %d of limit %g: %+v", fluke, limit, b)
			require.LessOrEqual(t, b.Steps, 40, "fluke %d of limit %g: %+v", fluke, limit, b)
		}
	}
}
