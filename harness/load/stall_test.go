package load

import (
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/stretchr/testify/require"

	"crossroads/results"
)

// An origin with a known service time stalls for 100 ms. Whatever is due during the stall, sent then or waiting for a connection,
// shows all that was left of the stall: a driver that stops sending while it waits would leave those samples out or time them from
// when they were sent, and the stall would all but vanish from the percentiles (coordinated omission).
func TestStallIsInEverySample(t *testing.T) {
	const (
		service = 2 * time.Millisecond
		from    = 300 * time.Millisecond
		to      = 400 * time.Millisecond
	)
	for name, make := range drivers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			started := newMoment()
			url := answers(t, func(c net.Conn, _ *http.Request) bool {
				start := started.wait()
				if at := time.Since(start); at >= from && at < to {
					time.Sleep(to - at)
				}
				time.Sleep(service)
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
				return true
			})
			s, err := NewSchedule(Arrivals{}, 500, 600*time.Millisecond, nil, 5)
			require.NoError(t, err)
			samples := driveWith(t, make(started.set), target(url, 8), s)
			during := 0
			for _, x := range samples {
				require.NoError(t, x.Err)
				require.GreaterOrEqual(t, x.Service(), service)
				require.GreaterOrEqual(t, x.Slip(), time.Duration(0))
				require.Equal(t, x.Response(), x.Slip()+x.Wait()+x.Service())
				if x.Due >= from && x.Due < to {
					during++
					require.GreaterOrEqual(t, x.Response(), to-x.Due+service, "sample %d, due at %v", x.Seq, x.Due)
				}
			}
			require.Greater(t, during, 8, "more were due than there are connections")
		})
	}
}

// moment is a time that one goroutine sets and others wait for.
type moment struct {
	once sync.Once
	done chan struct{}
	at   time.Time
}

func newMoment() *moment { return &moment{done: make(chan struct{})} }

func (m *moment) set(at time.Time) { m.once.Do(func() { m.at = at; close(m.done) }) }
func (m *moment) wait() time.Time  { <-m.done; return m.at }

// Against service times that are known for every request, both drivers find the same quantiles: no less than the truth, and no more
// above it than the resolution of the histogram and what the samples themselves show of slip, waits and the way there and back.
func TestDriversAgree(t *testing.T) {
	const n = 400
	truth := func(seq int) time.Duration {
		return 2*time.Millisecond + time.Duration(seq*7919%40)*500*time.Microsecond
	}
	s := make(Schedule, n)
	for i := range s {
		s[i].Due = time.Duration(i) * 2 * time.Millisecond
	}
	var known []int64
	for i := range s {
		known = append(known, int64(truth(i)))
	}
	slices.Sort(known)
	for name, make := range drivers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			took := map[int]time.Duration{}
			url := answers(t, func(c net.Conn, r *http.Request) bool {
				start := time.Now()
				seq, _ := strconv.Atoi(r.Header.Get(SeqHeader))
				time.Sleep(truth(seq))
				mu.Lock()
				took[seq] = time.Since(start)
				mu.Unlock()
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
				return true
			})
			tally := NewTallies(1, s, Block{To: time.Hour})[0]
			kept := keepSamples([]Recorder{tally}, n)[0]
			samples := driveRecording(t, make(nil), target(url, 64), s, kept)
			mu.Lock()
			defer mu.Unlock()
			var beyond time.Duration // the most that any response time was above its truth
			for _, x := range samples {
				require.GreaterOrEqual(t, x.Service(), took[x.Seq], "the driver's clock runs around the origin's")
				beyond = max(beyond, x.Response()-truth(x.Seq))
			}
			require.Len(t, took, n)
			for _, h := range []*hdrhistogram.Histogram{tally.response, tally.service} {
				require.Equal(t, int64(n), h.TotalCount())
				for _, q := range []float64{0.1, 0.5, 0.9, 0.99} {
					exact, got := quantile(known, q), h.ValueAtQuantile(100*q)
					require.GreaterOrEqual(t, float64(got), float64(exact)*0.999, "quantile %v", q)
					require.LessOrEqual(t, float64(got), float64(exact+int64(beyond))*1.001, "quantile %v", q)
				}
			}
			if strings.HasSuffix(name, "precise") {
				t.Logf("p50 %v of %v, p99 %v of %v, slip p99 %v", time.Duration(tally.response.ValueAtQuantile(50)), time.Duration(quantile(known, 0.5)),
					time.Duration(tally.response.ValueAtQuantile(99)), time.Duration(quantile(known, 0.99)), time.Duration(tally.slip.ValueAtQuantile(99)))
			}
			r, err := merge([]*Tally{tally}, s)
			require.NoError(t, err)
			require.Equal(t, results.Counts{Planned: n, Ready: n, Done: n, Waited: r.Counts.Waited, Requests: n, Bytes: n}, r.Counts)
		})
	}
}

func driveRecording(t *testing.T, d Driver, to Target, s Schedule, k *keeper) []Sample {
	t.Helper()
	require.NoError(t, d.Drive(t.Context(), to, s, []Recorder{k}))
	require.Len(t, k.samples, len(s))
	return k.samples
}
