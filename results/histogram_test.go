package results

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/stretchr/testify/require"
)

// TestHistogramsAreKeptWhole encodes and decodes histograms of many shapes: no count may change anywhere.
func TestHistogramsAreKeptWhole(t *testing.T) {
	draw := rand.New(rand.NewPCG(3, 4))
	for i := range 40 {
		h := NewTimes()
		low := LowestTime << draw.IntN(20)
		spread := math.Exp(draw.Float64() * 10)
		for range draw.IntN(400) {
			v := min(HighestTime, low+int64(spread*float64(low)*draw.ExpFloat64()))
			require.NoError(t, h.RecordValues(v, 1+int64(draw.ExpFloat64()*50)))
		}
		if i%3 == 0 {
			require.NoError(t, h.RecordValue(0))
			require.NoError(t, h.RecordValue(HighestTime))
		}
		encoded, err := Encode(h)
		require.NoError(t, err)
		require.Equal(t, h.TotalCount(), encoded.Count)
		decoded, err := encoded.Decode()
		require.NoError(t, err)
		require.True(t, h.Equals(decoded))
		require.True(t, slices.Equal(h.Distribution(), decoded.Distribution()))
		again, err := Encode(decoded)
		require.NoError(t, err)
		require.Equal(t, encoded, again)
	}
}

func times(t testing.TB, values ...time.Duration) *hdrhistogram.Histogram {
	t.Helper()
	h := NewTimes()
	for _, v := range values {
		require.NoError(t, h.RecordValue(int64(v)))
	}
	return h
}

func TestMerge(t *testing.T) {
	a, b := times(t, time.Millisecond, 2*time.Millisecond), times(t, 3*time.Millisecond)
	sum, err := Merge(a, b)
	require.NoError(t, err)
	require.True(t, sum.Equals(times(t, time.Millisecond, 2*time.Millisecond, 3*time.Millisecond)))
	require.Equal(t, int64(2), a.TotalCount(), "what is merged stays as it was")

	ea, err := Encode(a)
	require.NoError(t, err)
	eb, err := Encode(b)
	require.NoError(t, err)
	records, err := MergeRecords(ea, eb)
	require.NoError(t, err)
	require.True(t, sum.Equals(records))
	none, err := Merge()
	require.NoError(t, err)
	require.Zero(t, none.TotalCount())
}

func TestMergeDropsNothingSilently(t *testing.T) {
	wide := hdrhistogram.New(1, int64(time.Hour), 3)
	require.NoError(t, wide.RecordValue(int64(10*time.Minute)))
	_, err := Merge(times(t, time.Millisecond), wide)
	require.ErrorContains(t, err, "1 values do not fit")
}

func TestDecodeRefuses(t *testing.T) {
	good, err := Encode(times(t, time.Millisecond))
	require.NoError(t, err)
	other := hdrhistogram.New(1, 1000, 2)
	require.NoError(t, other.RecordValue(1))
	strange, err := Encode(other)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		h    Histogram
		want string
	}{
		"absent":        {Histogram{}, "too short"},
		"cut":           {Histogram{1, good.V2[:len(good.V2)-8]}, "decoding"},
		"wrong count":   {Histogram{2, good.V2}, "holds 1 values, the record says 2"},
		"another range": {strange, "its range is 1..1000 ns with 2 digits"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.h.Decode()
			require.ErrorContains(t, err, c.want)
		})
	}
	_, err = MergeRecords(good, Histogram{})
	require.Error(t, err)
}

func TestQuantileWithinResolution(t *testing.T) {
	h := NewTimes()
	for i := int64(1); i <= 10_000; i++ {
		require.NoError(t, h.RecordValue(i*1000))
	}
	for _, q := range []float64{0.5, 0.9, 0.99, 0.999} {
		require.InEpsilon(t, q*1e7, Quantile(h, q), 0.001)
	}
	require.Zero(t, Quantile(NewTimes(), 0.5))
	i := QuantileInterval(h, 0.99)
	require.True(t, i.OK())
	require.True(t, i.Contains(0.99e7))
	// The 95% interval of the rank is about 9900 +- 1.96 sqrt(10000 * 0.99 * 0.01), and a thousandth for the histogram.
	require.InDelta(t, 9880.5e3, i.Low, 12e3)
	require.InDelta(t, 9919.5e3, i.High, 12e3)
}

func TestPrintable(t *testing.T) {
	for _, c := range []struct {
		q    float64
		n    int64
		want bool
	}{
		{0.5, 5, false}, {0.5, 6, true}, {0.99, 367, false}, {0.99, 368, true}, {0.999, 3687, false}, {0.999, 3688, true},
		{1, math.MaxInt64 - 1, false},
	} {
		require.Equal(t, c.want, Printable(c.q, c.n), "q %v n %d", c.q, c.n)
	}
	h := NewTimes()
	require.NoError(t, h.RecordValues(1000, 367))
	require.False(t, QuantileInterval(h, 0.99).OK())
	require.NoError(t, h.RecordValues(1000, 1))
	require.True(t, QuantileInterval(h, 0.99).OK())
}

func FuzzDecode(f *testing.F) {
	good, err := Encode(times(f, time.Microsecond, time.Second))
	require.NoError(f, err)
	f.Add(good.V2, good.Count)
	f.Add("", int64(0))
	f.Add("HISTFAAAAA==", int64(0))
	f.Fuzz(func(t *testing.T, v2 string, count int64) {
		h, err := Histogram{count, v2}.Decode()
		if err != nil {
			return
		}
		require.Equal(t, count, h.TotalCount())
		again, err := Encode(h)
		require.NoError(t, err)
		back, err := again.Decode()
		require.NoError(t, err)
		require.True(t, h.Equals(back))
	})
}
