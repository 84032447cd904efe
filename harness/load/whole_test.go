package load

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const okay = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// calling is a target whose one request is made of a call to each of the entries.
func calling(inOrder bool, connections int, urls ...string) Target {
	r := Request{Method: "GET", Path: "/page", InOrder: inOrder}
	for i, url := range urls {
		r.Calls = append(r.Calls, Call{Entries: []string{url}, Path: fmt.Sprintf("/%d", i), Headers: [][2]string{{"Host", fmt.Sprintf("s%d", i)}}})
	}
	return Target{Entries: urls[:1], Requests: []Request{r}, Connections: connections, Timeout: 10 * time.Second}
}

// Three calls are on their way at the same time: nobody is answered before all three are there. Two are sent for by one entry.
func TestCallsAtOnce(t *testing.T) {
	const samples = 20
	var mu sync.Mutex
	seen := map[string]int{}
	there := make([]sync.WaitGroup, samples)
	for i := range there {
		there[i].Add(3)
	}
	origin := func() string {
		return answers(t, func(c net.Conn, r *http.Request) bool {
			var seq int
			_, _ = fmt.Sscan(r.Header.Get(SeqHeader), &seq)
			mu.Lock()
			seen[r.Host+r.URL.Path]++
			mu.Unlock()
			there[seq].Done()
			there[seq].Wait()
			_, _ = io.WriteString(c, okay)
			return true
		})
	}
	one, two := origin(), origin()
	for _, s := range driveWith(t, &Native{Pacing: Precise}, calling(false, 8, one, two, two), every(5*time.Millisecond, samples)) {
		require.NoError(t, s.Err)
		require.Equal(t, 200, s.Status)
		require.EqualValues(t, 6, s.Bytes)
		require.Equal(t, 3, s.Requests)
		require.LessOrEqual(t, s.Due, s.Ready)
		require.LessOrEqual(t, s.Ready, s.Sent)
		require.Less(t, s.Sent, s.Done)
	}
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, map[string]int{"s0/0": samples, "s1/1": samples, "s2/2": samples}, seen)
}

// A call that takes long holds up its own sample, which is done with its last answer, and no other.
func TestDoneWithTheLastAnswer(t *testing.T) {
	const hold = 80 * time.Millisecond
	quick := answers(t, func(c net.Conn, _ *http.Request) bool { _, _ = io.WriteString(c, okay); return true })
	slow := answers(t, func(c net.Conn, r *http.Request) bool {
		if r.Header.Get(SeqHeader) == "0" {
			time.Sleep(hold)
		}
		_, _ = io.WriteString(c, okay)
		return true
	})
	for _, inOrder := range []bool{false, true} {
		samples := driveWith(t, &Native{Pacing: Precise}, calling(inOrder, 8, slow, quick), every(time.Millisecond, 3))
		require.GreaterOrEqual(t, samples[0].Service(), hold)
		require.Less(t, samples[1].Ready, hold, "due times do not look at answers")
	}
}

// In order, a call is not sent before the one before is answered, and the sample is sent with the first.
func TestCallsInOrder(t *testing.T) {
	var mu sync.Mutex
	var order []string
	var inside, most atomic.Int64
	origin := answers(t, func(c net.Conn, r *http.Request) bool {
		most.Store(max(most.Load(), inside.Add(1)))
		mu.Lock()
		order = append(order, r.Header.Get(SeqHeader)+r.URL.Path)
		mu.Unlock()
		time.Sleep(5 * time.Millisecond)
		inside.Add(-1)
		_, _ = io.WriteString(c, okay)
		return true
	})
	for _, s := range driveWith(t, &Native{Pacing: Precise}, calling(true, 4, origin, origin, origin), every(0, 1)) {
		require.NoError(t, s.Err)
		require.Equal(t, 3, s.Requests)
		require.GreaterOrEqual(t, s.Service(), 15*time.Millisecond)
	}
	require.EqualValues(t, 1, most.Load())
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, []string{"0/0", "0/1", "0/2"}, order)
}

// One call that fails fails the sample; the others are waited for at once, and not made in order.
func TestAFailedCallFailsTheSample(t *testing.T) {
	var asked atomic.Int64
	good := answers(t, func(c net.Conn, _ *http.Request) bool { asked.Add(1); _, _ = io.WriteString(c, okay); return true })
	says := func(text string, keep bool) string {
		return answers(t, func(c net.Conn, _ *http.Request) bool { _, _ = io.WriteString(c, text); return keep })
	}
	mute := answers(t, func(net.Conn, *http.Request) bool { return true })
	declared := says("HTTP/1.1 500 Oops\r\nX-Crossroads-Declared: 1\r\nContent-Length: 0\r\n\r\n", true)
	broken := says("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", true)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	for name, c := range map[string]struct {
		first, third    string
		want            error
		status          int
		declared        bool
		atOnce, ordered int // requests written
	}{
		"declared":            {declared, good, ErrStatus, 500, true, 3, 1},
		"declared and not":    {declared, broken, ErrStatus, 0, false, 3, 1},
		"refused":             {"http://" + closed.Addr().String(), good, ErrRefused, 0, false, 2, 0},
		"reset":               {says("", false), good, ErrReset, 0, false, 3, 1},
		"never answered":      {mute, good, ErrTimeout, 0, false, 3, 1},
		"the last is refused": {good, "http://" + closed.Addr().String(), ErrRefused, 0, false, 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			for _, inOrder := range []bool{false, true} {
				asked.Store(0)
				to := calling(inOrder, 12, c.first, good, c.third)
				if c.want == ErrTimeout {
					to.Timeout = 100 * time.Millisecond
				}
				for _, s := range driveWith(t, &Native{Pacing: Precise}, to, every(2*time.Millisecond, 3)) {
					require.Same(t, c.want, s.Err)
					if c.status > 0 {
						require.Equal(t, c.status, s.Status)
					}
					want := c.atOnce
					if inOrder {
						want = c.ordered
					}
					require.Equal(t, want, s.Requests)
					require.Equal(t, c.declared || inOrder && name == "declared and not", s.Declared)
					require.LessOrEqual(t, s.Sent, s.Done)
				}
				if inOrder && c.first != good {
					require.Zero(t, asked.Load(), "nothing follows a failure")
				}
			}
		})
	}
}

// The limit of connections holds for calls too: those that find none wait, which counts once for the sample.
func TestCallsWaitForConnections(t *testing.T) {
	var inside, most atomic.Int64
	origin := answers(t, func(c net.Conn, _ *http.Request) bool {
		most.Store(max(most.Load(), inside.Add(1)))
		time.Sleep(20 * time.Millisecond)
		inside.Add(-1)
		_, _ = io.WriteString(c, okay)
		return true
	})
	samples := driveWith(t, &Native{Pacing: Precise}, calling(false, 2, origin, origin, origin), every(0, 2))
	require.EqualValues(t, 2, most.Load())
	for _, s := range samples {
		require.NoError(t, s.Err)
		require.True(t, s.Waited, "one of its calls found no free connection")
		require.GreaterOrEqual(t, s.Done, 40*time.Millisecond)
	}
	tallies := NewTallies(1, every(0, 2), Block{To: time.Second})
	for _, s := range samples {
		tallies[0].Record(s)
	}
	r, err := merge(tallies, every(0, 2))
	require.NoError(t, err)
	require.EqualValues(t, 2, r.Counts.Waited)
	require.EqualValues(t, 6, r.Counts.Requests)
	require.EqualValues(t, 2, r.Counts.Done)
}

// Plain requests, calls at once and calls in order, several workers, entries with replicas, too few connections, origins that are late,
// close and fail: every arrival is recorded once, by its worker, and no entry sees more connections than its share.
func TestEveryArrivalIsRecordedOnce(t *testing.T) {
	flaky := func() string {
		return answers(t, func(c net.Conn, _ *http.Request) bool {
			switch rand.IntN(20) {
			case 0:
				time.Sleep(60 * time.Millisecond)
			case 1:
				return false
			case 2:
				_, _ = io.WriteString(c, "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
				return true
			}
			time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
			_, _ = io.WriteString(c, okay)
			return rand.IntN(10) > 0
		})
	}
	a, b, c := flaky(), flaky(), flaky()
	calls := []Call{{Path: "/a"}, {Entries: []string{b, c}, Path: "/b"}, {Entries: []string{c}, Path: "/c"}}
	to := Target{Entries: []string{a, b}, Connections: 9, Timeout: 50 * time.Millisecond, Requests: []Request{
		{Method: "GET", Path: "/"}, {Method: "GET", Path: "/page", Calls: calls}, {Method: "GET", Path: "/page", Calls: calls, InOrder: true},
	}}
	s := every(200*time.Microsecond, 2000)
	for i := range s {
		s[i].Request = uint16(i % 3)
	}
	const workers = 2
	lists := make([]recorded, workers)
	var recorders []Recorder
	for i := range lists {
		recorders = append(recorders, &lists[i])
	}
	require.NoError(t, (&Native{Pacing: Precise}).Drive(context.Background(), to, s, recorders))
	var seqs []int
	classes := map[error]int{}
	for w, list := range lists {
		for _, x := range list {
			seqs = append(seqs, x.Seq)
			classes[x.Err]++
			require.Equal(t, w, x.Seq%workers)
			require.LessOrEqual(t, x.Sent, x.Done)
			require.LessOrEqual(t, x.Ready, x.Sent)
			require.LessOrEqual(t, x.Requests, []int{1, 3, 3}[x.Seq%3])
			if x.Err == nil {
				require.Equal(t, []int{1, 3, 3}[x.Seq%3], x.Requests)
			}
		}
	}
	slices.Sort(seqs)
	require.Len(t, slices.Compact(seqs), len(s))
	require.Positive(t, classes[nil])
	require.Positive(t, classes[ErrStatus])
	require.Positive(t, classes[ErrTimeout])
}

// Where every kind of request goes the same way, connections are divided as they always were: by the classes of sequence numbers.
func TestMeetings(t *testing.T) {
	plain := Target{Entries: []string{"a", "b", "c"}, Requests: make([]Request, 2)}.routes()
	require.Equal(t, []meeting{{0, 0}, {1, 1}, {0, 2}, {1, 0}, {0, 1}, {1, 2}}, plain.meetings(2))
	calls := calling(false, 8, "a", "b", "b").routes()
	require.Equal(t, []string{"a", "b"}, calls.urls)
	require.Equal(t, []meeting{{0, 0}, {1, 0}, {0, 1}, {1, 1}}, calls.meetings(2))
}

func TestVegetaRefusesCalls(t *testing.T) {
	err := (&Vegeta{Pacing: Precise}).Drive(context.Background(), calling(false, 8, "http://127.0.0.1:1"), every(0, 1), []Recorder{new(recorded)})
	require.ErrorContains(t, err, "use the native driver")
}
