package load

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/results"
)

func TestTollsAndMoments(t *testing.T) {
	const ms = time.Millisecond
	job := Job{
		Target: Target{Entries: []string{"http://a", "http://b"}}, Warmup: 100 * ms, Duration: 200 * ms, Slow: 20 * ms,
		Stretches: []Block{{From: 50 * ms, To: 100 * ms}, {From: 100 * ms, To: 200 * ms}, {From: 200 * ms, To: 200 * ms}},
	}
	s := Schedule{{Due: 20 * ms}, {Due: 120 * ms}, {Due: 150 * ms}, {Due: 160 * ms}, {Due: 199 * ms}, {Due: 200 * ms}, {Due: 270 * ms}, {Due: 299 * ms}}
	fast, slow, failed := point{response: int64(ms), state: success}, point{response: int64(21 * ms), state: success}, point{state: failure}
	points := []point{failed, slow, fast, failed, slow, {state: declared}, {}, fast}
	var r Result
	require.NoError(t, job.toll(&r, s, points))
	require.Len(t, r.Tolls, 3)
	during := r.Tolls[0]
	require.Equal(t, int64(2), during.Times.Count)
	during.Times = nil
	require.Equal(t, results.Toll{Count: results.Count{Due: 3, Done: 2, Errors: 1, Slow: 1}, Entries: []results.EntryToll{
		{Entry: "0", Count: results.Count{Due: 2, Done: 2, Slow: 1}}, {Entry: "1", Count: results.Count{Due: 1, Errors: 1}},
	}}, during)
	require.InDelta(t, 2.0/3, during.Share(), 1e-9)
	require.Equal(t, int64(3), r.Tolls[1].Due, "the one that nobody recorded is due, and neither done nor failed; a declared error affects nobody")
	require.InDelta(t, 1.0/3, r.Tolls[1].Share(), 1e-9)
	require.Zero(t, r.Tolls[2].Due)
	require.Equal(t, &results.Moments{Length: int64(50 * ms), Slow: int64(20 * ms), Series: []results.Moment{
		{Count: results.Count{Due: 1, Done: 1, Slow: 1}, First: int64(20 * ms), Last: int64(20 * ms)},
		{Count: results.Count{Due: 3, Done: 2, Errors: 1, Slow: 1}, First: int64(60 * ms), Last: int64(99 * ms)},
		{Count: results.Count{Due: 1, Errors: 1, Declared: 1}},
		{Count: results.Count{Due: 2, Done: 1}, First: int64(170 * ms), Last: int64(170 * ms)},
	}}, r.Moments)

	var none Result
	job.Stretches = nil
	require.NoError(t, job.toll(&none, s, points))
	require.Equal(t, Result{}, none, "a trial without faults has neither")
}

func TestMomentsAreBounded(t *testing.T) {
	for _, block := range []time.Duration{time.Millisecond, 20 * time.Second, time.Hour, 7*time.Hour + 1} {
		length := results.MomentLength(int64(block))
		require.LessOrEqual(t, (int64(block)+length-1)/length, int64(results.MaxMoments))
	}
}
