package edges

import (
	"errors"
	"math/bits"
	"strconv"
	"time"
)

// Buckets is how many a Histogram has: four to a doubling, from one microsecond to about two minutes. A quantile read from it is
// within 13% of the true one.
const Buckets = 104

// Histogram counts durations by bucket. It is small, and two of them are merged by adding.
type Histogram [Buckets]uint64

// bucketOf returns where a duration is counted: by its highest bit in microseconds and the two bits below it.
func bucketOf(d time.Duration) int {
	v := uint64(max(d, 0) / time.Microsecond)
	if v < 4 {
		return int(v)
	}
	octave := bits.Len64(v) - 1
	return min((octave-1)*4+int(v>>(octave-2)&3), Buckets-1)
}

// floorOf is the least duration that a bucket counts.
func floorOf(bucket int) time.Duration {
	if bucket < 4 {
		return time.Duration(bucket) * time.Microsecond
	}
	octave, part := bucket/4+1, bucket%4
	return time.Duration((4+uint64(part))<<(octave-2)) * time.Microsecond
}

// middleOf is the duration that stands for a bucket.
func middleOf(bucket int) time.Duration { return (floorOf(bucket) + floorOf(bucket+1)) / 2 }

// Add counts n durations.
func (h *Histogram) Add(d time.Duration, n uint64) { h[bucketOf(d)] += n }

// Merge adds what another histogram counted.
func (h *Histogram) Merge(o *Histogram) {
	for i, n := range o {
		h[i] += n
	}
}

// Count is how many durations were counted.
func (h *Histogram) Count() (n uint64) {
	for _, c := range h {
		n += c
	}
	return n
}

// Above counts the durations of buckets that lie wholly above d.
func (h *Histogram) Above(d time.Duration) (n uint64) {
	for i := bucketOf(d) + 1; i < Buckets; i++ {
		n += h[i]
	}
	return n
}

// Quantile returns the middle of the bucket that holds the q-th part of what was counted; 0 of nothing.
func (h *Histogram) Quantile(q float64) time.Duration {
	total := h.Count()
	if total == 0 {
		return 0
	}
	want, seen := q*float64(total), uint64(0)
	last := 0
	for i, n := range h {
		if n == 0 {
			continue
		}
		last = i
		if seen += n; float64(seen) >= want {
			break
		}
	}
	return middleOf(last)
}

// MarshalJSON writes the buckets that are not empty as one text, such as "40:3 41:17": a control plane reads thousands a second.
func (h Histogram) MarshalJSON() ([]byte, error) {
	text := append(make([]byte, 0, 128), '"')
	for i, n := range h {
		if n == 0 {
			continue
		}
		if len(text) > 1 {
			text = append(text, ' ')
		}
		text = strconv.AppendInt(text, int64(i), 10)
		text = append(text, ':')
		text = strconv.AppendUint(text, n, 10)
	}
	return append(text, '"'), nil
}

// errHistogram is about a text that MarshalJSON would not write.
var errHistogram = errors.New(`a histogram is a text of buckets and counts, such as "40:3 41:17"`)

// UnmarshalJSON reads what MarshalJSON wrote, and refuses everything else.
func (h *Histogram) UnmarshalJSON(text []byte) error {
	*h = Histogram{}
	if len(text) < 2 || text[0] != '"' || text[len(text)-1] != '"' {
		return errHistogram
	}
	text = text[1 : len(text)-1]
	for last := -1; len(text) > 0; {
		bucket, rest, ok := digits(text)
		if !ok || len(rest) == 0 || rest[0] != ':' || bucket >= Buckets || int(bucket) <= last {
			return errHistogram
		}
		count, rest, ok := digits(rest[1:])
		if !ok || count == 0 || len(rest) == 1 || len(rest) > 0 && rest[0] != ' ' {
			return errHistogram
		}
		h[bucket], last = count, int(bucket)
		text = rest[min(len(rest), 1):]
	}
	return nil
}

// digits reads a number of at most MaxCount and returns what follows it.
func digits(text []byte) (n uint64, rest []byte, ok bool) {
	i := 0
	for ; i < len(text) && text[i] >= '0' && text[i] <= '9'; i++ {
		if n = n*10 + uint64(text[i]-'0'); n > MaxCount {
			return 0, nil, false
		}
	}
	return n, text[i:], i > 0
}
