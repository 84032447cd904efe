package upstream

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func rateBreaker() *breaker {
	return &breaker{threshold: 100, rate: 0.8, least: 5, slowCall: time.Second, slowRate: 0.5, first: time.Second, longest: time.Minute}
}

// TestBreakerOpensOnRates feeds one call every step and notes which one asks to open: s success, f failure, x 429, a abandoned,
// l a success that is slow.
func TestBreakerOpensOnRates(t *testing.T) {
	for _, c := range []struct {
		name, calls string
		step        time.Duration
		opens       int // the number of the call; 0: never
	}{
		{"too few calls to judge", "ffff", 0, 0},
		{"the fifth call completes the sample", "sfsff", 0, 5},
		{"exactly the rate is enough", "ssssf", 0, 0},
		{"below the rate", "sssssssff", 0, 9},
		{"429 lowers the rate", "sssxx", 0, 5},
		{"who leaves says nothing", "aaaaafa", 0, 0},
		{"a success never opens on the rate", "ffffsssss", 0, 0},
		{"what is older than ten seconds is forgotten", "ffssssssssss", 3 * time.Second, 0},
		{"within ten seconds it is not", "ffsss", 2 * time.Second, 0},
		{"many failures far apart", "sffff", 3 * time.Second, 0},
		{"slow calls", "lllll", 0, 5},
		{"exactly half of them slow", "slslsl", 0, 0},
		{"more than half", "sslll", 0, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := rateBreaker()
			opened := 0
			for i, kind := range c.calls {
				now := t0.Add(time.Duration(i) * c.step)
				g, ok := b.admit(now)
				require.True(t, ok)
				took := time.Millisecond
				v := map[rune]verdict{'s': success, 'f': failure, 'x': shed, 'a': abandoned, 'l': success}[kind]
				if kind == 'l' {
					took = time.Second
				}
				if b.settle(g, v, took, now) && opened == 0 {
					opened = i + 1
				}
			}
			require.Equal(t, c.opens, opened)
		})
	}
}

func TestBreakerForgetsTheWindowWhenItCloses(t *testing.T) {
	b := rateBreaker()
	for range 5 {
		g, _ := b.admit(t0)
		b.settle(g, failure, 0, t0)
	}
	b.open(t0, 0.5)
	now := b.until
	g, _ := b.admit(now)
	require.False(t, b.settle(g, success, 0, now))
	require.Equal(t, closed, b.state)
	for range 4 {
		g, _ = b.admit(now)
		require.False(t, b.settle(g, failure, 0, now), "five calls are needed again")
	}
}

func TestBreakerSlowProbeFails(t *testing.T) {
	b := rateBreaker()
	b.open(t0, 0.5)
	g, _ := b.admit(b.until)
	require.True(t, b.settle(g, success, time.Second, b.until))
}

// TestBreakerJitterIsNeverConstant: what trips many breakers at once must not make them probe at once.
func TestBreakerJitterIsNeverConstant(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	pauses := map[time.Duration]bool{}
	least, most := time.Hour, time.Duration(0)
	for range 1000 {
		b := rateBreaker()
		b.open(t0, r.Float64())
		pause := b.until.Sub(t0)
		pauses[pause] = true
		least, most = min(least, pause), max(most, pause)
	}
	require.Greater(t, len(pauses), 990, "floating point, not steps")
	require.GreaterOrEqual(t, least, 800*time.Millisecond)
	require.LessOrEqual(t, most, 1200*time.Millisecond)
	require.Greater(t, most-least, 390*time.Millisecond, "the whole span is used")
}

// TestBreakerRateNeverOpensWithoutReason: whenever it asks to open on its rates, the calls of the last ten seconds say so.
func TestBreakerRateNeverOpensWithoutReason(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 200 {
		b := rateBreaker()
		now := t0
		health := r.Float64()
		for range 200 {
			now = now.Add(time.Duration(r.IntN(400)) * time.Millisecond)
			g, _ := b.admit(now)
			v := success
			if r.Float64() > health {
				v = failure
			}
			trip := b.settle(g, v, 0, now)
			s := b.window.sum
			enough := s.calls >= 5 && float64(s.calls-s.bad)/float64(s.calls) < 0.8
			require.Equal(t, v == failure && (enough || b.failures >= b.threshold), trip)
		}
	}
}

// BenchmarkBreakerRates is a call through a breaker that looks at its rates, with a second between every thousand.
func BenchmarkBreakerRates(b *testing.B) {
	k := rateBreaker()
	now := t0
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%1000 == 0 {
			now = now.Add(time.Second)
		}
		g, _ := k.admit(now)
		k.settle(g, success, time.Millisecond, now)
	}
}
