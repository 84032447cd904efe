package upstream

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
)

func endpoints(weights ...int) []*endpoint {
	u := &Upstream{observer: silent{}, now: time.Now, start: t0, maxEjected: 0.5}
	var list []*endpoint
	for i, w := range weights {
		list = append(list, newEndpoint(u, config.Endpoint{Address: string(rune('a' + i)), Weight: w}))
	}
	return list
}

func TestRoundRobinIsSmooth(t *testing.T) {
	b, list := &roundRobin{}, endpoints(5, 1, 1)
	var order strings.Builder
	for range 14 {
		order.WriteString(b.pick(choice{endpoints: list, now: t0}).address)
	}
	require.Equal(t, "aabacaaaabacaa", order.String())
}

func TestRoundRobinPassesOverWhatIsNotReady(t *testing.T) {
	b, list := &roundRobin{}, endpoints(1, 1, 1)
	list[1].breaker.open(t0, 0)
	list[1].tripped.Store(true)
	counts := map[string]int{}
	for range 10 {
		counts[b.pick(choice{endpoints: list, now: t0}).address]++
	}
	require.Equal(t, map[string]int{"a": 5, "c": 5}, counts)
	require.Equal(t, "c", b.pick(choice{endpoints: list, tried: list[:1], now: t0}).address, "nor what was tried")
	require.Nil(t, b.pick(choice{endpoints: list, tried: list, now: t0}))
	require.Nil(t, b.pick(choice{now: t0}))
}

func TestLeastRequestAvoidsTheBusy(t *testing.T) {
	list := endpoints(1, 1, 1, 1)
	b := seeded(7)
	list[0].inFlight.Store(1000)
	counts := map[string]int{}
	for range 4000 {
		counts[b.pick(choice{endpoints: list, now: t0}).address]++
	}
	require.Zero(t, counts["a"], "two different ones are drawn, and the busy one never has fewer")
	for _, free := range []string{"b", "c", "d"} {
		require.InDelta(t, 4000/3, counts[free], 250)
	}
}

func TestLeastRequestKeepsWeights(t *testing.T) {
	list := endpoints(3, 1)
	b := seeded(7)
	// Nothing ever ends, so that in-flight settles in proportion to the weights.
	for range 4000 {
		b.pick(choice{endpoints: list, now: t0}).inFlight.Add(1)
	}
	require.InDelta(t, 3, float64(list[0].inFlight.Load())/float64(list[1].inFlight.Load()), 0.1)
}

func TestLeastRequestPassesOverWhatIsNotReady(t *testing.T) {
	list := endpoints(1, 1, 1)
	b := seeded(7)
	for _, e := range list[:2] {
		e.breaker.open(t0, 0)
		e.tripped.Store(true)
	}
	for range 100 {
		require.Equal(t, "c", b.pick(choice{endpoints: list, now: t0}).address)
	}
	require.Nil(t, b.pick(choice{endpoints: list, tried: list[2:], now: t0}))
}

func seeded(seed uint64) *leastRequest {
	l := &leastRequest{}
	l.state.Store(seed)
	return l
}

func TestUnknownBalancer(t *testing.T) {
	_, err := New(Options{Name: "x", Config: config.Upstream{Balance: "luck"}})
	require.ErrorContains(t, err, "luck")
}

func TestFleetGuard(t *testing.T) {
	for n, want := range map[int]int{1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 10: 5} {
		require.Equal(t, want, mayEject(n, 0.5), n)
	}
}

func BenchmarkBalancers(b *testing.B) {
	for _, name := range []string{"round_robin", "least_request", "peak_ewma", "random", "hash"} {
		b.Run(name, func(b *testing.B) {
			list := endpoints(1, 1, 1, 1, 1, 1, 1, 1)
			k, err := newBalancer(name, 1)
			require.NoError(b, err)
			if r, ok := k.(*ringHash); ok {
				k = r.over(list)
			}
			b.ReportAllocs()
			for b.Loop() {
				k.pick(choice{endpoints: list, now: t0})
			}
		})
	}
}

func TestRandomFollowsWeights(t *testing.T) {
	list := endpoints(1, 2, 1)
	b, err := newBalancer("random", 3)
	require.NoError(t, err)
	counts := map[string]int{}
	for range 8000 {
		counts[b.pick(choice{endpoints: list, now: t0}).address]++
	}
	require.InDelta(t, 2000, counts["a"], 200)
	require.InDelta(t, 4000, counts["b"], 250)
	list[1].down.Store(true)
	for range 100 {
		require.NotEqual(t, "b", b.pick(choice{endpoints: list, now: t0}).address)
	}
	require.Nil(t, b.pick(choice{endpoints: list, tried: list, now: t0}))
	require.Nil(t, b.pick(choice{}))
}

// TestTwoChoicesFavourNobody: the neighbours of an endpoint that is not ready do not get its share on top of their own.
func TestTwoChoicesFavourNobody(t *testing.T) {
	list := endpoints(1, 1, 1, 1, 1, 1)
	for _, e := range list[2:4] {
		e.down.Store(true)
	}
	for _, name := range []string{"least_request", "peak_ewma", "random"} {
		b, err := newBalancer(name, 5)
		require.NoError(t, err)
		counts := map[string]int{}
		for range 8000 {
			counts[b.pick(choice{endpoints: list, now: t0}).address]++
		}
		for _, address := range []string{"a", "b", "e", "f"} {
			require.InDelta(t, 2000, counts[address], 300, "%s %v", name, counts)
		}
		d := dice{}
		for range 1000 {
			c := choice{endpoints: list, now: t0}
			first, second := c.two(&d)
			require.NotNil(t, second)
			require.NotSame(t, first, second)
		}
	}
}

func TestBalancersAllocateNothing(t *testing.T) {
	for _, name := range []string{"round_robin", "least_request", "peak_ewma", "random", "hash"} {
		b, err := newBalancer(name, 1)
		require.NoError(t, err)
		list := endpoints(1, 1, 1)
		if r, ok := b.(*ringHash); ok {
			b = r.over(list)
		}
		require.Zero(t, testing.AllocsPerRun(100, func() { b.pick(choice{endpoints: list, now: t0, key: 99}) }), name)
	}
}
