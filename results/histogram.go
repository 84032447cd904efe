package results

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"crossroads/results/stats"
)

// What every histogram of times can hold, in nanoseconds, and how exactly.
const (
	LowestTime  = int64(100 * time.Nanosecond)
	HighestTime = int64(60 * time.Second)
	TimeDigits  = 3 // significant decimal digits
)

// Confidence of every interval in a record or a report.
const Confidence = 0.95

// NewTimes returns an empty histogram of times.
func NewTimes() *hdrhistogram.Histogram { return hdrhistogram.New(LowestTime, HighestTime, TimeDigits) }

// Encode puts a whole histogram into a record.
func Encode(h *hdrhistogram.Histogram) (Histogram, error) {
	v2, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return Histogram{}, fmt.Errorf("encoding a histogram: %w", err)
	}
	return Histogram{Count: h.TotalCount(), V2: string(v2)}, nil
}

// Decode takes it out again. A histogram whose range or count is not what the record says is an error.
func (h Histogram) Decode() (*hdrhistogram.Histogram, error) {
	d, err := hdrhistogram.Decode([]byte(h.V2))
	if err != nil {
		return nil, fmt.Errorf("decoding a histogram: %w", err)
	}
	if d.LowestTrackableValue() != LowestTime || d.HighestTrackableValue() != HighestTime || d.SignificantFigures() != TimeDigits {
		return nil, fmt.Errorf("decoding a histogram: its range is %d..%d ns with %d digits, not %d..%d ns with %d",
			d.LowestTrackableValue(), d.HighestTrackableValue(), d.SignificantFigures(), LowestTime, HighestTime, TimeDigits)
	}
	if d.TotalCount() != h.Count {
		return nil, fmt.Errorf("decoding a histogram: it holds %d values, the record says %d", d.TotalCount(), h.Count)
	}
	return d, nil
}

// Merge adds histograms up: the way to a quantile over several trials, since quantiles are never averaged. A value that does not
// fit is an error.
func Merge(all ...*hdrhistogram.Histogram) (*hdrhistogram.Histogram, error) {
	sum := NewTimes()
	for _, h := range all {
		if dropped := sum.Merge(h); dropped != 0 {
			return nil, fmt.Errorf("merging histograms: %d values do not fit %d..%d ns", dropped, LowestTime, HighestTime)
		}
	}
	return sum, nil
}

// MergeRecords decodes and merges.
func MergeRecords(all ...Histogram) (*hdrhistogram.Histogram, error) {
	decoded := make([]*hdrhistogram.Histogram, len(all))
	for i, h := range all {
		d, err := h.Decode()
		if err != nil {
			return nil, err
		}
		decoded[i] = d
	}
	return Merge(decoded...)
}

// Quantile is the q-quantile (0-1) in nanoseconds, 0 of an empty histogram. Ask Printable before showing it.
func Quantile(h *hdrhistogram.Histogram, q float64) int64 { return h.ValueAtPercentile(100 * q) }

// Printable says whether n samples suffice to show the q-quantile: whether its 95% interval is finite.
func Printable(q float64, n int64) bool { return n >= stats.MinSamples(q, Confidence) }

// QuantileInterval is the binomial 95% interval of the q-quantile within one histogram, in nanoseconds. It tells how well the
// samples of one trial fix the quantile of that trial, and nothing about another trial.
func QuantileInterval(h *hdrhistogram.Histogram, q float64) stats.Interval {
	n := h.TotalCount()
	low, high, ok := stats.QuantileRanks(n, q, Confidence)
	if !ok {
		return stats.Interval{N: int(n)}
	}
	at := func(rank int64) float64 { return float64(Quantile(h, float64(rank)/float64(n))) }
	return stats.Interval{Low: at(low), High: at(high), Level: Confidence, N: int(n), Method: stats.Exact}
}
