package upstream

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var t0 = time.Unix(1_000_000, 0)

func newBreaker() *breaker {
	return &breaker{threshold: 3, first: time.Second, longest: 8 * time.Second}
}

// fail lets one exchange through and fails it; it reports whether the breaker opened.
func fail(t *testing.T, b *breaker, now time.Time) bool {
	t.Helper()
	g, ok := b.admit(now)
	require.True(t, ok)
	if b.settle(g, failure, 0, now) {
		b.open(now, 0.5) // the middle of the jitter: exactly the pause
		return true
	}
	return false
}

func TestBreakerOpensOnARunOfFailures(t *testing.T) {
	b := newBreaker()
	require.False(t, fail(t, b, t0))
	require.False(t, fail(t, b, t0))
	g, _ := b.admit(t0)
	b.settle(g, success, 0, t0)
	require.False(t, fail(t, b, t0), "a success ends the run")
	require.False(t, fail(t, b, t0))
	g, _ = b.admit(t0)
	b.settle(g, shed, 0, t0)
	require.True(t, fail(t, b, t0), "429 neither adds to the run nor ends it")
	require.False(t, b.ready(t0.Add(999*time.Millisecond)))
	require.True(t, b.ready(t0.Add(time.Second)))
}

func TestBreakerLetsExactlyOneProbeThrough(t *testing.T) {
	b := newBreaker()
	for !fail(t, b, t0) {
	}
	later := t0.Add(time.Second)
	g, ok := b.admit(later)
	require.True(t, ok)
	_, ok = b.admit(later)
	require.False(t, ok, "a second probe")
	b.settle(g, success, 0, later)
	require.Equal(t, closed, b.state)
	_, ok = b.admit(later)
	require.True(t, ok)
}

func TestBreakerPausesDoubleUpToTheLongest(t *testing.T) {
	b := newBreaker()
	for !fail(t, b, t0) {
	}
	now := t0
	for _, want := range []time.Duration{1, 2, 4, 8, 8} {
		require.Equal(t, want*time.Second, b.until.Sub(now))
		now = b.until
		require.True(t, fail(t, b, now), "a failed probe reopens at once")
	}
	g, _ := b.admit(b.until)
	b.settle(g, success, 0, now)
	for !fail(t, b, now) {
	}
	require.Equal(t, time.Second, b.until.Sub(now), "after it closed, pauses begin anew")
}

func TestBreakerJitterSpreadsThePause(t *testing.T) {
	for _, c := range []struct {
		jitter float64
		want   time.Duration
	}{{0, 800 * time.Millisecond}, {0.25, 900 * time.Millisecond}, {0.999999999, 1200 * time.Millisecond}} {
		b := newBreaker()
		b.open(t0, c.jitter)
		require.InDelta(t, float64(c.want), float64(b.until.Sub(t0)), 10)
	}
}

func TestBreakerIgnoresVerdictsOfAnEarlierGeneration(t *testing.T) {
	b := newBreaker()
	late, _ := b.admit(t0)
	for !fail(t, b, t0) {
	}
	require.False(t, b.settle(late, failure, 0, t0))
	probe, _ := b.admit(b.until)
	b.settle(late, success, 0, t0)
	require.Equal(t, halfOpen, b.state, "a success from before the trip is no verdict on the probe")
	require.False(t, b.settle(late, failure, 0, t0))
	b.settle(probe, success, 0, t0)
	require.Equal(t, closed, b.state)
	b.settle(late, failure, 0, t0)
	require.Zero(t, b.failures)
}

func TestBreakerProbeThatSaysNothingLeavesRoomForTheNext(t *testing.T) {
	b := newBreaker()
	for !fail(t, b, t0) {
	}
	now := b.until
	g, _ := b.admit(now)
	require.False(t, b.settle(g, abandoned, 0, now))
	g, ok := b.admit(now)
	require.True(t, ok)
	require.True(t, b.settle(g, shed, 0, now), "429 fails a probe")
}

// TestBreakerProperties drives random histories and holds the rules that must hold in every one.
func TestBreakerProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		b := newBreaker()
		now := t0
		var flight []uint64
		for range 200 {
			now = now.Add(time.Duration(r.IntN(700)) * time.Millisecond)
			if r.IntN(2) == 0 {
				was := b.state
				g, ok := b.admit(now)
				require.Equal(t, ok, was == closed || was == open && !now.Before(b.until))
				if ok {
					flight = append(flight, g)
				}
			} else if len(flight) > 0 {
				i := r.IntN(len(flight))
				g := flight[i]
				flight = append(flight[:i], flight[i+1:]...)
				generation, state := b.generation, b.state
				if trip := b.settle(g, verdict(r.IntN(4)), 0, now); trip {
					b.open(now, r.Float64())
					require.LessOrEqual(t, b.until.Sub(now), 10*time.Second)
					require.GreaterOrEqual(t, b.until.Sub(now), 800*time.Millisecond)
				}
				if g != generation {
					require.Equal(t, state, b.state, "a late verdict changes nothing")
				}
			}
			probes := 0
			for _, g := range flight {
				if b.state == halfOpen && g == b.generation {
					probes++
				}
			}
			require.LessOrEqual(t, probes, 1)
		}
	}
}

func BenchmarkBreaker(b *testing.B) {
	k := newBreaker()
	b.ReportAllocs()
	for b.Loop() {
		g, _ := k.admit(t0)
		k.settle(g, success, 0, t0)
	}
}
