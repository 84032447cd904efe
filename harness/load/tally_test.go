package load

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/results"
)

const ms = time.Millisecond

// answered is a success: due, taken up 1 ms later, sent 2 ms after that, done 4 ms after that.
func answered(seq int, due time.Duration) Sample {
	return Sample{Seq: seq, Due: due, Ready: due + ms, Sent: due + 3*ms, Done: due + 7*ms, Waited: true, Status: 200, Bytes: 10}
}

func TestTally(t *testing.T) {
	s := Schedule{{Due: 50 * ms}, {Due: 100 * ms}, {Due: 150 * ms}, {Due: 250 * ms}, {Due: 299 * ms}, {Due: 300 * ms}}
	b := Block{From: 100 * ms, To: 300 * ms}
	tallies := NewTallies(2, s, b)
	tallies[0].Record(answered(0, 50*ms)) // warm-up
	tallies[1].Record(answered(1, 100*ms))
	tallies[0].Record(Sample{Seq: 2, Due: 150 * ms, Ready: 150 * ms, Sent: 150 * ms, Done: 160 * ms, Status: 500, Declared: true, Err: ErrStatus})
	tallies[1].Record(Sample{Seq: 3, Due: 250 * ms, Ready: 320 * ms, Sent: 330 * ms, Done: 330 * ms, Err: ErrTimeout}) // too late to count as sent
	tallies[1].Record(answered(5, 300*ms))                                                                             // after the block
	// Sample 4 was lost: it must be missed.
	r, err := merge(tallies, s)
	require.NoError(t, err)
	require.Equal(t, results.Counts{Planned: 4, Ready: 2, Done: 1, Errors: 2, Declared: 1, Waited: 1, Bytes: 10}, r.Counts)
	require.Equal(t, map[string]int64{"timeout": 1, "status": 1}, r.Errors)
	require.Equal(t, map[string]int64{"200": 1, "500": 1}, r.Statuses)
	for name, want := range map[string]struct {
		count int64
		max   time.Duration
	}{results.Response: {1, 7 * ms}, results.Service: {1, 4 * ms}, results.WaitTime: {1, 2 * ms}, results.Slip: {3, 70 * ms}} {
		h, err := r.Times[name].Decode()
		require.NoError(t, err)
		require.Equal(t, want.count, h.TotalCount(), name)
		require.Equal(t, want.count, r.Times[name].Count, name)
		require.InEpsilon(t, float64(want.max), float64(h.Max()), 0.001, name)
	}
}

func TestTallyLosesNoValue(t *testing.T) {
	s := every(ms, 3)
	tally := NewTallies(1, s, Block{To: time.Second})[0]
	for i, d := range []time.Duration{0, time.Hour, 60 * time.Second} {
		tally.Record(Sample{Seq: i, Due: s[i].Due, Ready: s[i].Due, Sent: s[i].Due, Done: s[i].Due + d, Status: 200})
	}
	require.Equal(t, int64(3), tally.response.TotalCount())
	require.InEpsilon(t, float64(60*time.Second), float64(tally.response.Max()), 0.001)
}

// In flight is what is due and not done, averaged over a quarter: here four samples of 100 ms each within 100 ms, and none later.
func TestInFlight(t *testing.T) {
	s := Schedule{{Due: 0}, {Due: 0}, {Due: 200 * ms}, {Due: 200 * ms}, {Due: 200 * ms}, {Due: 200 * ms}}
	tallies := NewTallies(1, s, Block{To: 400 * ms})
	for i, a := range s {
		tallies[0].Record(Sample{Seq: i, Due: a.Due, Ready: a.Due, Sent: a.Due, Done: a.Due + 150*ms, Status: 200})
	}
	r, err := merge(tallies, s)
	require.NoError(t, err)
	require.Equal(t, int64(4), r.Driver.InFlightMid)
	require.Equal(t, int64(2), r.Driver.InFlightEnd)
}

func TestSeconds(t *testing.T) {
	s := Schedule{{Due: 0}, {Due: 400 * ms}, {Due: 600 * ms}, {Due: 1600 * ms}, {Due: 3500 * ms}}
	b := Block{From: 500 * ms, To: 4500 * ms}
	tallies := NewTallies(1, s, b)
	for i, a := range s {
		x := answered(i, a.Due)
		if i == 1 {
			x.Err = ErrReset
		}
		tallies[0].Record(x)
	}
	r, err := merge(tallies, s)
	require.NoError(t, err)
	one := results.Second{Done: 1, P50: int64(7 * ms), P99: int64(7 * ms), Slip99: int64(ms)}
	at := func(x results.Second, at int) results.Second { x.At = at; return x }
	withError := at(one, -1)
	withError.Errors = 1
	require.Equal(t, []results.Second{withError, at(one, 0), at(one, 1), {At: 2}, at(one, 3)}, r.Seconds)
}

func TestQuantile(t *testing.T) {
	v := []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	for q, want := range map[float64]int64{0: 1, 0.05: 1, 0.1: 1, 0.5: 5, 0.51: 6, 0.99: 10, 1: 10} {
		require.Equal(t, want, quantile(v, q), "%v", q)
	}
	require.Zero(t, quantile(nil, 0.5))
}

// The busy clock integrates what it is told, whenever it is read.
func TestBusyClock(t *testing.T) {
	var b busyClock
	require.Zero(t, b.read(int64(time.Hour)))
	b.set(100, 1)
	require.Equal(t, time.Duration(50), b.read(150))
	b.set(200, 0.5)
	require.Equal(t, time.Duration(150), b.read(300))
	b.set(300, 0)
	require.Equal(t, time.Duration(150), b.read(math.MaxInt32))
}

func TestPrecisePaceSpinsNoMoreThanItsShare(t *testing.T) {
	p := newPace(Precise, nil, 64)
	// A due time every 20 us leaves no time to sleep: an unbounded pace would spin for all of it.
	var now, spun int64
	const step = 1000
	for now < int64(time.Second) {
		sleep, spin := p.plan(now, 20_000-now%20_000)
		if spin {
			require.Zero(t, sleep)
			p.spent(step)
			spun += step
		}
		now += step
	}
	require.LessOrEqual(t, float64(spun), SpinShare*float64(now)+float64(spinReserve)+step)
	require.GreaterOrEqual(t, float64(spun), 0.9*(SpinShare*float64(now)+float64(spinReserve)), "and it uses the share that it has")
}

func TestPrecisePaceSleepsUntilTheWindow(t *testing.T) {
	p := newPace(Precise, nil, 64)
	sleep, spin := p.plan(0, int64(time.Second))
	require.False(t, spin)
	require.Equal(t, int64(time.Second-firstSpin), sleep)
	_, spin = p.plan(0, int64(firstSpin))
	require.True(t, spin)
}

// The window learns how late the machine wakes up, within its bounds.
func TestPrecisePaceLearns(t *testing.T) {
	late := func(p *pace, d time.Duration) time.Duration {
		for range 20_000 {
			p.woke(int64(d))
		}
		return time.Duration(p.window)
	}
	p := newPace(Precise, nil, 64)
	require.InDelta(t, float64(100*time.Microsecond), float64(late(&p, 100*time.Microsecond)), float64(windowUp+windowDown))
	require.InDelta(t, float64(30*time.Microsecond), float64(late(&p, 30*time.Microsecond)), float64(windowUp+windowDown))
	require.Equal(t, MaxSpin, late(&p, time.Second))
	require.Equal(t, minSpin, late(&p, 0))
}

func TestEconomicalPaceTicks(t *testing.T) {
	slow := newPace(Economical, every(10*time.Millisecond, 100), 64)
	require.Equal(t, int64(maxTick), slow.tick)
	// 10,000/s over 16 connections: a tick in which four of them are taken.
	fast := newPace(Economical, every(100*time.Microsecond, 10000), 16)
	require.InEpsilon(t, float64(400*time.Microsecond), float64(fast.tick), 0.01)
	require.Equal(t, 3*slow.tick, slow.tickAfter(3*slow.tick-1))
	require.Equal(t, 4*slow.tick, slow.tickAfter(3*slow.tick))
}
