package edges

import (
	"encoding/json"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBucketsCoverAllDurations(t *testing.T) {
	for i := range Buckets {
		require.Equal(t, i, bucketOf(floorOf(i)), "bucket %d begins at %v", i, floorOf(i))
		require.Equal(t, i, bucketOf(floorOf(i+1)-time.Microsecond))
	}
	require.Equal(t, 0, bucketOf(-time.Second))
	require.Equal(t, Buckets-1, bucketOf(time.Hour))
}

func TestQuantilesAreNear(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var whole, one, two Histogram
	var all []float64
	for i := range 20_000 {
		d := time.Duration(float64(time.Millisecond) * (0.05 + random.ExpFloat64()))
		all = append(all, d.Seconds())
		whole.Add(d, 1)
		if i%2 == 0 {
			one.Add(d, 1)
		} else {
			two.Add(d, 1)
		}
	}
	sort.Float64s(all)
	one.Merge(&two)
	require.Equal(t, whole, one)
	for _, q := range []float64{0.5, 0.9, 0.99} {
		require.InEpsilon(t, all[int(q*float64(len(all)))], whole.Quantile(q).Seconds(), 0.13, "q %g", q)
	}
	require.Zero(t, new(Histogram).Quantile(0.5))
	require.EqualValues(t, 20_000, whole.Count())
	require.InEpsilon(t, 20_000*0.292, float64(whole.Above(1050*time.Microsecond)), 0.05, "buckets wholly above: from 1.28 ms")
}

func TestRecorderTellsWhatIsNew(t *testing.T) {
	var r Recorder
	_, ok := r.Cut(time.Now())
	require.False(t, ok, "nothing to tell")
	r.Begin()
	r.Begin()
	r.Observe(Served, "", 1, 3*time.Millisecond, time.Millisecond)
	r.Observe(Made, "upstream_connect", 3, time.Millisecond, 0)
	r.Observe(Made, "news to us", 1, time.Millisecond, 0)
	r.Observe(Passed, "", 1, time.Millisecond, 0)
	r.Observe(Refused, "denied", 0, time.Millisecond, 0)
	r.End()
	w, ok := r.Cut(time.Now())
	require.True(t, ok)
	require.EqualValues(t, 5, w.Requests)
	require.EqualValues(t, 6, w.Attempts)
	require.EqualValues(t, 3, w.Failed())
	require.Equal(t, map[string]uint64{"upstream_connect": 1, "other": 1}, w.Made)
	require.EqualValues(t, 1, w.Refused)
	require.EqualValues(t, 1, w.InFlight)
	require.InDelta(t, 0.007, w.Total, 1e-9)
	require.InDelta(t, 0.001, w.Own, 1e-9)
	require.Positive(t, w.FirstFailure)
	require.InDelta(t, 1.2, r.Amplification(), 1e-9)
	w, ok = r.Cut(time.Now())
	require.True(t, ok, "one is still on its way")
	require.Zero(t, w.Requests)
	require.Zero(t, w.FirstFailure)
	r.End()
	_, ok = r.Cut(time.Now())
	require.False(t, ok)
}

func TestRecordingDoesNotAllocate(t *testing.T) {
	var r Recorder
	require.Zero(t, testing.AllocsPerRun(100, func() {
		r.Begin()
		r.Observe(Served, "", 1, time.Millisecond, time.Microsecond)
		r.Observe(Made, "upstream_reset", 1, time.Millisecond, time.Microsecond)
		r.End()
	}))
}

func BenchmarkRecorder(b *testing.B) {
	var r Recorder
	b.ReportAllocs()
	for b.Loop() {
		r.Begin()
		r.Observe(Served, "", 1, time.Millisecond, time.Microsecond)
		r.End()
	}
}

func TestReportsAreReadStrictly(t *testing.T) {
	var w Window
	w.Direction, w.Peer, w.Requests, w.Attempts = Outbound, "stock", 3, 3
	w.Latency.Add(time.Millisecond, 3)
	text, err := json.Marshal(Report{Format: Format, Service: "orders", Instance: "127.0.0.1:4143", Seconds: 1, Windows: []Window{w}})
	require.NoError(t, err)
	r, err := Decode(text)
	require.NoError(t, err)
	require.Equal(t, w, r.Windows[0])
	for name, change := range map[string][2]string{
		"an unknown field":        {`"service"`, `"sevice"`},
		"another format":          {`"format":1`, `"format":2`},
		"no time":                 {`"seconds":1`, `"seconds":0`},
		"a direction of its own":  {`"outbound"`, `"sideways"`},
		"nobody called":           {`"peer":"stock"`, `"peer":""`},
		"a control character":     {`"peer":"stock"`, `"peer":"st\u0007ck"`},
		"a bucket that is none":   {`"latency":"35:3"`, `"latency":"104:3"`},
		"a bucket without count":  {`"latency":"35:3"`, `"latency":"35"`},
		"a bucket of nothing":     {`"latency":"35:3"`, `"latency":"35:0"`},
		"buckets out of order":    {`"latency":"35:3"`, `"latency":"35:3 34:3"`},
		"a bucket too little":     {`"latency":"35:3"`, `"latency":"35:3 "`},
		"no histogram":            {`"latency":"35:3"`, `"latency":[]`},
		"less than nothing":       {`"in_flight":0`, `"in_flight":-1`},
		"more ejected than there": {`"endpoints":0`, `"endpoints":1,"ejected":2`},
		"a count beyond bounds":   {`"requests":3`, `"requests":18446744073709551615`},
	} {
		bad := strings.Replace(string(text), change[0], change[1], 1)
		require.NotEqual(t, string(text), bad, name)
		_, err := Decode([]byte(bad))
		require.Error(t, err, name)
	}
	_, err = Decode(append(text, text...))
	require.Error(t, err, "more than one value")
	many := Report{Format: Format, Seconds: 1, Windows: make([]Window, MaxWindows+1)}
	text, err = json.Marshal(many)
	require.NoError(t, err)
	_, err = Decode(text)
	require.ErrorContains(t, err, "at most")
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"format":1,"seconds":1,"windows":[{"direction":"inbound","peer":"","requests":1,"attempts":1,"in_flight":0,"total_seconds":0.1,"own_seconds":0,"latency":"4:1","first_failure":0,"endpoints":0}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := Decode(text)
		if err != nil {
			return
		}
		again, err := json.Marshal(r)
		require.NoError(t, err)
		_, err = Decode(again)
		require.NoError(t, err, "what was read can be written and read")
	})
}
