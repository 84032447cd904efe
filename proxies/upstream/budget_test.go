package upstream

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/config/units"
)

func newBudget(share units.Share, perSecond units.Count) *budget {
	b := &budget{}
	b.set(config.RetryBudget{Share: share, PerSecond: perSecond, Concurrent: 1, MinConcurrent: 1000}, t0)
	return b
}

func spendAll(b *budget, now time.Time) (n int) {
	for b.spend(now, 0) {
		b.done()
		n++
	}
	return n
}

func TestBudgetIsAShareOfTheLastTenSeconds(t *testing.T) {
	for _, c := range []struct {
		name     string
		share    units.Share
		second   units.Count
		requests int
		age      time.Duration
		want     int
	}{
		{"nothing asked, nothing allowed", 0.2, 0, 0, 0, 0},
		{"a fifth", 0.2, 0, 1000, 0, 200},
		{"less than one whole retry", 0.2, 0, 4, 0, 0},
		{"exactly one", 0.2, 0, 5, 0, 1},
		{"the minimum for a quiet upstream", 0.2, 10, 0, 0, 100},
		{"both", 0.2, 10, 1000, 0, 300},
		{"still in the window", 0.2, 0, 1000, 9 * time.Second, 200},
		{"no longer", 0.2, 0, 1000, 10 * time.Second, 0},
		{"none at all", 0, 0, 1000, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBudget(c.share, c.second)
			for range c.requests {
				b.request(t0)
			}
			require.Equal(t, c.want, spendAll(b, t0.Add(c.age)))
			require.Zero(t, spendAll(b, t0.Add(c.age)), "what is spent is gone")
		})
	}
}

func TestBudgetComesBackWhenRetriesGrowOld(t *testing.T) {
	b := newBudget(0, 1)
	require.Equal(t, 10, spendAll(b, t0))
	require.Zero(t, spendAll(b, t0.Add(9*time.Second)))
	require.Equal(t, 10, spendAll(b, t0.Add(10*time.Second)))
}

func TestBudgetBoundsRetriesInFlight(t *testing.T) {
	b := &budget{}
	b.set(config.RetryBudget{PerSecond: 1000, Concurrent: 0.2, MinConcurrent: 3}, t0)
	for range 3 {
		require.True(t, b.spend(t0, 0))
	}
	require.False(t, b.spend(t0, 19), "a fifth of 19 is 3")
	require.True(t, b.spend(t0, 20))
	require.False(t, b.spend(t0, 20))
	b.done()
	require.True(t, b.spend(t0, 20))
}

func TestBudgetDefaults(t *testing.T) {
	b := &budget{}
	b.set(config.RetryBudget{}, t0)
	require.Equal(t, []float64{0.2, 10, 0.2}, []float64{b.share, b.perSecond, b.concurrent})
	require.EqualValues(t, 3, b.least)
}

// TestBudgetBoundsAmplification lets every request fail and be retried as often as the budget allows, at random rates with bursts
// and pauses. However long it runs, tries stay below 1.2 x requests + 10/s x time, but for what one window may hold in advance.
func TestBudgetBoundsAmplification(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for range 20 {
		b := newBudget(0.2, 10)
		rate := 1 + r.Float64()*2000
		requests, retries := 0, 0
		now := t0
		for i := range 5_000 {
			now = now.Add(time.Duration(r.ExpFloat64() / rate * float64(time.Second)))
			if i%1000 == 999 {
				now = now.Add(time.Duration(r.IntN(30)) * time.Second)
			}
			requests++
			b.request(now)
			for range 9 {
				if !b.spend(now, 0) {
					break
				}
				b.done()
				retries++
			}
			bound := 0.2*float64(requests) + 10*(now.Sub(t0).Seconds()+10)
			require.LessOrEqual(t, float64(retries), bound)
		}
	}
}

func TestBudgetCountsUnderConcurrency(t *testing.T) {
	b := newBudget(0.5, 0)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				b.request(t0)
			}
		})
	}
	all.Wait()
	spent := make([]int, 8)
	for i := range spent {
		all.Go(func() { spent[i] = spendAll(b, t0) })
	}
	all.Wait()
	total := 0
	for _, n := range spent {
		total += n
	}
	require.Equal(t, 4000, total)
}

func BenchmarkBudget(b *testing.B) {
	k := newBudget(0.2, 10)
	b.Run("request", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			k.request(t0)
		}
	})
	b.Run("spend", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if k.spend(t0, 0) {
				k.done()
			}
		}
	})
}
