package upstream

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
)

func ring(t testing.TB, weights ...int) (*ringHash, []*endpoint) {
	t.Helper()
	list := endpoints(weights...)
	return (&ringHash{}).over(list).(*ringHash), list
}

func TestHashKeepsAKeyAtItsEndpoint(t *testing.T) {
	r, list := ring(t, 1, 1, 1, 1)
	again, _ := ring(t, 1, 1, 1, 1)
	for key := range uint64(1000) {
		k := mix(key) | 1
		e := r.pick(choice{endpoints: list, now: t0, key: k})
		require.Same(t, e, r.pick(choice{endpoints: list, now: t0, key: k}))
		require.Equal(t, e.address, again.pick(choice{endpoints: list, now: t0, key: k}).address, "another proxy agrees")
	}
}

func TestHashSharesFollowWeights(t *testing.T) {
	r, list := ring(t, 1, 2, 1)
	counts := map[string]int{}
	const n = 40_000
	for key := range uint64(n) {
		counts[r.pick(choice{endpoints: list, now: t0, key: mix(key) | 1}).address]++
	}
	require.InDelta(t, 0.25, float64(counts["a"])/n, 0.05)
	require.InDelta(t, 0.50, float64(counts["b"])/n, 0.05)
	require.InDelta(t, 0.25, float64(counts["c"])/n, 0.05)
}

func TestHashMovesOnlyTheKeysOfWhatLeft(t *testing.T) {
	r, list := ring(t, 1, 1, 1, 1, 1)
	without := append(append([]*endpoint(nil), list[:2]...), list[3:]...)
	smaller := r.over(without).(*ringHash)
	moved := 0
	for key := range uint64(10_000) {
		k := mix(key) | 1
		before := r.pick(choice{endpoints: list, now: t0, key: k})
		after := smaller.pick(choice{endpoints: without, now: t0, key: k})
		if before == list[2] {
			moved++
			continue
		}
		require.Same(t, before, after)
	}
	require.InDelta(t, 2000, moved, 400)
}

func TestHashPassesOverWhatIsNotReady(t *testing.T) {
	r, list := ring(t, 1, 1, 1)
	for key := range uint64(100) {
		k := mix(key) | 1
		first := r.pick(choice{endpoints: list, now: t0, key: k})
		second := r.pick(choice{endpoints: list, tried: []*endpoint{first}, now: t0, key: k})
		require.NotSame(t, first, second)
		first.down.Store(true)
		require.Same(t, second, r.pick(choice{endpoints: list, now: t0, key: k}), "the next point's owner takes over")
		first.down.Store(false)
	}
	require.Nil(t, r.pick(choice{endpoints: list, tried: list, now: t0, key: 7}))
	require.Nil(t, (&ringHash{}).over(nil).pick(choice{key: 7}))
}

func TestHashKey(t *testing.T) {
	x := newExchange("GET", nil)
	require.Zero(t, hashKey(x, []string{"header:X-User", "consumer", "address"}), "nothing is known")
	x.Peer.Client = netip.MustParseAddr("192.0.2.1")
	byAddress := hashKey(x, []string{"consumer", "address"})
	require.NotZero(t, byAddress)
	x.Peer.Client = netip.MustParseAddr("::ffff:192.0.2.1")
	require.Equal(t, byAddress, hashKey(x, []string{"address"}), "the same address in another spelling")
	x.Consumer = exchange.Consumer{Name: "demo"}
	byConsumer := hashKey(x, []string{"consumer", "address"})
	require.NotEqual(t, byAddress, byConsumer)
	x.Request.Header.Set("X-User", "demo")
	require.Equal(t, byConsumer, hashKey(x, []string{"header:X-User"}), "the value counts")
	x.Request.Header.Set("X-User", "demp")
	require.NotEqual(t, byConsumer, hashKey(x, []string{"header:X-User"}))
	require.Zero(t, testing.AllocsPerRun(100, func() { hashKey(x, []string{"header:X-User", "address"}) }))
}

func TestHashOverSockets(t *testing.T) {
	a, b, c := startOrigin(t, say(ok)), startOrigin(t, say(ok)), startOrigin(t, say(ok))
	u := start(t, config.Upstream{Balance: "hash", HashBy: []string{"header:X-User"}}, a.address, b.address, c.address)
	at := map[string]string{}
	for i := range 60 {
		user := fmt.Sprint(i % 20)
		x := newExchange("GET", nil)
		x.Request.Header.Set("X-User", user)
		require.Equal(t, exchange.Continue, u.Forward(x))
		if before := at[user]; before != "" {
			require.Equal(t, before, x.Endpoint)
		}
		at[user] = x.Endpoint
		x.Release()
	}
	for _, o := range []*origin{a, b, c} {
		require.NotZero(t, o.requests.Load())
	}
}
