package stage_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
	"crossroads/proxies/stage"
	"crossroads/proxies/stage/stagetest"
)

func TestCallerRateSuite(t *testing.T) {
	terms := config.CallerLimits{Mode: config.On, Rate: 1000, Burst: 1000}
	stagetest.Run(t, stagetest.Suite{Free: true, Pass: []request{{PeerID: orders}, {PeerID: admin}, {}},
		New: func(testing.TB) exchange.Stage { return stage.NewCallerRate(terms, metrics()) },
		Shadow: func(testing.TB) exchange.Stage {
			return stage.NewCallerRate(config.CallerLimits{Mode: config.Shadow, Rate: 1, Burst: 1}, metrics())
		}})
}

// Every caller has a quota of its own, whoever it is; whoever proved none is known by the address.
func TestCallerRateIsEachCallersOwn(t *testing.T) {
	m := metrics()
	st := stage.NewCallerRate(config.CallerLimits{Mode: config.On, Rate: 1, Burst: 2}, m)
	ask := func(r request) *exchange.Exchange { return through(r, st) }
	for _, who := range []request{{PeerID: orders}, {PeerID: admin}, {Peer: "10.0.0.1:5"}, {Peer: "10.0.0.2:5"}} {
		require.Nil(t, ask(who).Fault)
		require.Nil(t, ask(who).Fault)
		x := ask(who)
		require.Equal(t, exchange.RateLimited, x.Fault)
		require.Equal(t, "1", string(x.Response.Header.Peek("Retry-After")))
	}
	require.Equal(t, exchange.RateLimited, ask(request{PeerID: orders, Peer: "10.0.0.3:5"}).Fault, "an identity is the same from everywhere")
	later := request{PeerID: orders, At: stagetest.Epoch.Add(time.Second)}
	require.Nil(t, ask(later).Fault)
	require.Equal(t, exchange.RateLimited, ask(later).Fault)
	require.Equal(t, 6.0, counted(t, m, "gateway_rate_limit_decisions_total", "denied"))

	open := stage.NewCallerRate(config.CallerLimits{Mode: config.On, Rate: 1, Burst: 2}, m).Connections()
	c := &exchange.Conn{Peer: exchange.Peer{ID: orders}}
	require.NoError(t, open.Admit(c))
	require.NoError(t, open.Admit(c))
	require.Equal(t, exchange.RateLimited, open.Admit(c))
}

func TestCallerConcurrencySuite(t *testing.T) {
	on, shadow := config.CallerLimits{Mode: config.On, Concurrent: 64}, config.CallerLimits{Mode: config.Shadow, Concurrent: 1}
	stagetest.Run(t, stagetest.Suite{Free: true, Pass: []request{{PeerID: orders}, {}},
		New:    func(testing.TB) exchange.Stage { return stage.NewCallerConcurrency(on, metrics()) },
		Shadow: func(testing.TB) exchange.Stage { return stage.NewCallerConcurrency(shadow, metrics()) }})
}

func TestCallerConcurrencyCountsWhatIsInFlight(t *testing.T) {
	st := stage.NewCallerConcurrency(config.CallerLimits{Mode: config.On, Concurrent: 2}, metrics())
	opaque := st.Connections()
	enter := func(id string) *exchange.Exchange {
		x := request{PeerID: id}.Exchange()
		st.Inward(x)
		return x
	}
	first := enter(orders)
	c := &exchange.Conn{Peer: exchange.Peer{ID: orders}}
	require.NoError(t, opaque.Admit(c), "both kinds share the places")
	refused := enter(orders)
	require.Equal(t, exchange.Overloaded.Reason, refused.Fault.Reason)
	require.Equal(t, 503, refused.Fault.Status)
	require.Error(t, opaque.Admit(c))
	require.Nil(t, enter(admin).Fault, "another caller has places of its own")
	st.Finish(refused, exchange.Complete)
	require.NotNil(t, enter(orders).Fault, "what was refused held no place")
	st.Finish(first, exchange.UpstreamCut)
	require.Nil(t, enter(orders).Fault)
	opaque.Finish(c, exchange.TunnelClosed)
	require.Nil(t, enter(orders).Fault)
}

// However many come at once, and however they end, no more than the limit are ever inside, and in the end everybody is out.
func TestCallerConcurrencyHolds(t *testing.T) {
	const limit = 3
	st := stage.NewCallerConcurrency(config.CallerLimits{Mode: config.On, Concurrent: limit}, metrics())
	var inside, passed, refused atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 500 {
				x := request{PeerID: orders}.Exchange()
				if st.Inward(x) == exchange.Continue {
					if n := inside.Add(1); n > limit {
						t.Errorf("%d inside", n)
					}
					passed.Add(1)
					time.Sleep(time.Microsecond)
					inside.Add(-1)
				} else {
					refused.Add(1)
				}
				st.Finish(x, exchange.Complete)
			}
		})
	}
	all.Wait()
	require.NotZero(t, passed.Load())
	require.NotZero(t, refused.Load())
	for range limit {
		require.Equal(t, exchange.Continue, st.Inward(request{PeerID: orders}.Exchange()))
	}
	require.Equal(t, exchange.Failed, st.Inward(request{PeerID: orders}.Exchange()), "nothing was given back twice")
}

func TestPlaces(t *testing.T) {
	p := stage.NewPlaces(1)
	require.NoError(t, p.Admit(nil))
	require.Error(t, p.Admit(nil))
	p.Finish(nil, exchange.TunnelClosed)
	require.NoError(t, p.Admit(nil))
}
