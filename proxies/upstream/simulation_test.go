package upstream

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
)

// server is how a simulated endpoint answers.
type server struct {
	takes time.Duration
	fails float64                  // share
	sick  func(time.Duration) bool // where given, it fails whenever this says so
}

func (s *server) failing(at time.Duration, r float64) bool {
	if s.sick != nil {
		return s.sick(at)
	}
	return r < s.fails
}

// outcome is what callers of a simulation saw.
type outcome struct {
	calls  []int           // by endpoint
	fails  []time.Duration // when
	failed int
	times  []time.Duration // of all, sorted
}

func (o *outcome) quantile(q float64) time.Duration { return o.times[int(q*float64(len(o.times)-1))] }

func (o *outcome) share(i int) float64 { return float64(o.calls[i]) / float64(len(o.times)) }

// event is the end of a call.
type event struct {
	at         time.Time
	e          *endpoint
	generation uint64
	v          verdict
	took       time.Duration
}

type events []event

func (h events) Len() int           { return len(h) }
func (h events) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h events) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *events) Push(x any)        { *h = append(*h, x.(event)) }
func (h *events) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}

// simulate sends n Poisson arrivals at a rate through the real upstream, on a clock of its own: nothing is timed, and the same seed
// gives the same outcome. A failure takes a tenth of a millisecond.
func simulate(t testing.TB, c config.Upstream, servers []server, rate float64, n int) *outcome {
	t.Helper()
	for i := range servers {
		c.Endpoints = append(c.Endpoints, config.Endpoint{Address: string(rune('a' + i)), Weight: 1})
	}
	now := t0
	u, err := New(Options{Name: "sim", Config: c, Seed: 11, Now: func() time.Time { return now }})
	require.NoError(t, err)
	t.Cleanup(u.Close)
	f := u.fleet.Load()
	r := rand.New(rand.NewPCG(12, 13))
	o := &outcome{calls: make([]int, len(servers))}
	var ends events
	for range n {
		next := now.Add(time.Duration(r.ExpFloat64() / rate * float64(time.Second)))
		for len(ends) > 0 && !ends[0].at.After(next) {
			end := heap.Pop(&ends).(event)
			now = end.at
			end.e.settle(end.generation, end.v, end.took)
		}
		now = next
		e, generation := f.choose(choice{endpoints: f.endpoints, now: now, sick: f.sick.Load()})
		require.NotNil(t, e)
		i := slices.Index(f.endpoints, e)
		took, v := time.Duration(float64(servers[i].takes)*(0.9+0.2*r.Float64())), success
		if servers[i].failing(now.Sub(t0), r.Float64()) {
			took, v = 100*time.Microsecond, failure
			o.failed++
			o.fails = append(o.fails, now.Sub(t0))
		}
		o.calls[i]++
		o.times = append(o.times, took)
		heap.Push(&ends, event{now.Add(took), e, generation, v, took})
	}
	slices.Sort(o.times)
	return o
}

const ms = time.Millisecond

func noBreaker(balance string) config.Upstream {
	return config.Upstream{Balance: balance, Breaker: config.Breaker{Mode: config.Off}}
}

func TestPeakEWMAAvoidsTheSlow(t *testing.T) {
	servers := []server{{takes: 10 * ms}, {takes: 10 * ms}, {takes: 100 * ms}, {takes: 10 * ms}}
	robin := simulate(t, noBreaker("round_robin"), servers, 300, 20_000)
	peak := simulate(t, noBreaker("peak_ewma"), servers, 300, 20_000)
	t.Logf("p99: round robin %s, peak EWMA %s; share of the slow one: %.1f%%, %.2f%%",
		robin.quantile(0.99), peak.quantile(0.99), 100*robin.share(2), 100*peak.share(2))
	require.Greater(t, robin.quantile(0.99), 90*ms)
	require.Less(t, peak.quantile(0.99), 12*ms)
	require.Less(t, peak.share(2), 0.01)
	require.NotZero(t, peak.calls[2], "it is asked again some day")
}

func TestPeakEWMADoesNotFallForFastFailures(t *testing.T) {
	servers := []server{{takes: 10 * ms}, {takes: 10 * ms}, {takes: 10 * ms, fails: 1}, {takes: 10 * ms}}
	least := simulate(t, noBreaker("least_request"), servers, 300, 20_000)
	peak := simulate(t, noBreaker("peak_ewma"), servers, 300, 20_000)
	t.Logf("share of the failing one: least request %.1f%%, peak EWMA %.2f%%", 100*least.share(2), 100*peak.share(2))
	require.Greater(t, least.share(2), 0.25, "who counts requests in flight alone is drawn to it")
	require.Less(t, peak.share(2), 0.01)
}

func TestPeakEWMAIsFairAmongEquals(t *testing.T) {
	servers := []server{{takes: 10 * ms, fails: 0.02}, {takes: 10 * ms, fails: 0.02}, {takes: 10 * ms, fails: 0.02}, {takes: 10 * ms, fails: 0.02}}
	o := simulate(t, noBreaker("peak_ewma"), servers, 300, 40_000)
	for i := range servers {
		require.InDelta(t, 0.25, o.share(i), 0.06, "a few failures are everybody's")
	}
}

// TestBreakerRestoresService counts what fails before the trip, and while probes find out that nothing has changed.
func TestBreakerRestoresService(t *testing.T) {
	c := config.Upstream{}
	c.SetDefaults()
	c.Breaker.Mode = config.On
	servers := []server{{takes: 10 * ms}, {takes: 10 * ms, fails: 1}, {takes: 10 * ms}}
	without := simulate(t, noBreaker("round_robin"), servers, 300, 9000)
	with := simulate(t, c, servers, 300, 9000)
	t.Logf("failed of 9,000 in 30 s with one of three endpoints failing: %d without a breaker, %d with", without.failed, with.failed)
	require.InDelta(t, 3000, without.failed, 1)
	// Five calls complete the sample, then one probe a pause: 1, 2, 4, 8, 16 s and so on, each a fifth longer or shorter.
	require.LessOrEqual(t, with.failed, 5+6)
	require.GreaterOrEqual(t, with.failed, 5+3)
}

// TestBreakerTripsAndRecovers fails one of three endpoints from the tenth second to the twentieth.
func TestBreakerTripsAndRecovers(t *testing.T) {
	c := config.Upstream{}
	c.SetDefaults()
	c.Breaker.Mode = config.On
	const from, to = 10 * time.Second, 20 * time.Second
	back := time.Duration(0)
	ill := server{takes: 10 * ms, sick: func(at time.Duration) bool {
		if at >= to && back == 0 {
			back = at
		}
		return at >= from && at < to
	}}
	o := simulate(t, c, []server{{takes: 10 * ms}, ill, {takes: 10 * ms}}, 300, 12_000)
	trip := 0
	for trip+1 < len(o.fails) && o.fails[trip+1]-o.fails[trip] < 500*ms {
		trip++
	}
	t.Logf("at 300/s: %d requests failed before the trip, %s after the first; %d failed probes in 10 s; used again %s after it was well",
		trip+1, o.fails[trip]-o.fails[0], len(o.fails)-trip-1, back-to)
	require.LessOrEqual(t, trip+1, 7, "its run of failures opens it, if the rate does not before")
	require.LessOrEqual(t, len(o.fails)-trip-1, 4, "one probe a pause: after 1, 3, 7 s, a fifth sooner or later")
	require.Greater(t, back, to)
	require.Less(t, back-to, 10*time.Second, "no longer than the pause that was running")
}

func TestBreakerTripsASlowEndpoint(t *testing.T) {
	c := config.Upstream{}
	c.SetDefaults()
	c.Breaker.Mode, c.Breaker.SlowCall = config.On, 50_000_000
	o := simulate(t, c, []server{{takes: 10 * ms}, {takes: 200 * ms}, {takes: 10 * ms}}, 300, 9000)
	t.Logf("calls to the slow one: %d of 9,000", o.calls[1])
	require.Less(t, o.calls[1], 60, "those on their way until the first five are back, and probes")
	require.Less(t, o.quantile(0.99), 12*ms)
}

func TestEWMA(t *testing.T) {
	var e ewma
	s := time.Second
	e.observe(0, 100*ms, tau)
	require.InDelta(t, 0.1, e.at(0, tau), 1e-12, "a larger sample replaces")
	require.InDelta(t, 0.1/2.718281828, e.at(10*s, tau), 1e-9, "silence decays")
	e.observe(10*s, 10*ms, tau)
	require.InDelta(t, 0.1/2.718281828+0.01*(1-1/2.718281828), e.at(10*s, tau), 1e-9, "a smaller one is weighted by the time since")
	e.observe(10*s, 500*ms, tau)
	require.InDelta(t, 0.5, e.at(10*s, tau), 1e-12)
	e.observe(10*s, 1*ms, tau)
	require.InDelta(t, 0.5, e.at(10*s, tau), 1e-12, "no time has passed: nothing is forgotten")
	require.InDelta(t, 0.5, e.at(9*s, tau), 1e-12, "a clock that steps back")
}

// TestEWMAStaysWithinItsSamples: the estimate is never above the largest sample, and never below the last.
func TestEWMAStaysWithinItsSamples(t *testing.T) {
	r := rand.New(rand.NewPCG(14, 15))
	for range 200 {
		var e ewma
		now, most := time.Duration(0), 0.0
		for range 200 {
			now += time.Duration(r.IntN(2000)) * ms
			sample := time.Duration(r.IntN(1000)+1) * ms
			e.observe(now, sample, tau)
			most = max(most, sample.Seconds())
			require.LessOrEqual(t, e.at(now, tau), most+1e-12)
			require.GreaterOrEqual(t, e.at(now, tau), sample.Seconds()-1e-12, "a sample above the estimate is the estimate")
		}
	}
}

func TestAnEndpointThatRecoversStartsAnew(t *testing.T) {
	c := config.Upstream{Balance: "peak_ewma", Endpoints: []config.Endpoint{{Address: "a"}, {Address: "b"}}, Breaker: config.Breaker{ConsecutiveFailures: 1}}
	now := t0
	u, err := New(Options{Name: "sim", Config: c, Now: func() time.Time { return now }})
	require.NoError(t, err)
	e := u.fleet.Load().endpoints[0]
	g, _ := e.admit(now)
	e.settle(g, failure, ms)
	require.True(t, e.tripped.Load())
	require.InDelta(t, 1, e.rtt.at(0, tau), 1e-9, "the penalty")
	now = now.Add(2 * time.Second)
	g, ok := e.admit(now)
	require.True(t, ok)
	e.settle(g, success, 10*ms)
	require.InDelta(t, 0.01, e.rtt.at(2*time.Second, tau), 1e-9)
}

func BenchmarkEWMA(b *testing.B) {
	var e ewma
	now := time.Duration(0)
	b.ReportAllocs()
	for b.Loop() {
		now += ms
		e.observe(now, ms, tau)
	}
}
