package load

import (
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A target that closes connections without saying so is used on: each connection here serves one request, so more answers than
// connections prove that they are opened again. A request that meets the close on its way is a reset, as for any client.
func TestConnectionsAreOpenedAgain(t *testing.T) {
	url := answers(t, func(c net.Conn, _ *http.Request) bool {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		return false
	})
	eachDriver(t, func(t *testing.T, d Driver) {
		answered := 0
		for _, s := range driveWith(t, d, target(url, 2), every(20*time.Millisecond, 10)) {
			if s.Err == nil {
				answered++
			} else {
				require.Same(t, ErrReset, s.Err)
			}
		}
		require.Greater(t, answered, 2)
		require.GreaterOrEqual(t, d.Effort().Dials, int64(answered))
	})
}

// With one connection the second and third sample wait for the first; the wait is theirs, and it is the target's.
func TestWaitForAConnection(t *testing.T) {
	const hold = 100 * time.Millisecond
	eachDriver(t, func(t *testing.T, d Driver) {
		var inside, most atomic.Int64
		url := answers(t, func(c net.Conn, _ *http.Request) bool {
			most.Store(max(most.Load(), inside.Add(1)))
			time.Sleep(hold)
			inside.Add(-1)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			return true
		})
		samples := driveWith(t, d, target(url, 1), every(0, 3))
		require.Equal(t, int64(1), most.Load(), "no more requests at a time than connections")
		first := slices.MinFunc(samples, func(a, b Sample) int { return int(a.Sent - b.Sent) })
		for _, s := range samples {
			require.NoError(t, s.Err)
			require.GreaterOrEqual(t, s.Service(), hold)
			if s.Seq != first.Seq && s.Ready < first.Sent+hold {
				require.True(t, s.Waited, "the connection was busy when it was taken up")
			}
			if s.Waited {
				require.GreaterOrEqual(t, s.Response(), 2*hold, "the wait is in the response time")
				require.Positive(t, s.Wait())
			}
		}
		require.Positive(t, d.Effort().AllBusy)
	})
}

// A sample that never gets a connection times out from due, as every other.
func TestTimeoutWhileWaiting(t *testing.T) {
	url := answers(t, func(net.Conn, *http.Request) bool { return true })
	eachDriver(t, func(t *testing.T, d Driver) {
		to := target(url, 1)
		to.Timeout = 100 * time.Millisecond
		for _, s := range driveWith(t, d, to, every(time.Millisecond, 5)) {
			require.Same(t, ErrTimeout, s.Err)
			require.GreaterOrEqual(t, s.Response(), to.Timeout)
		}
	})
}

func TestCutoffEndsTheWaiting(t *testing.T) {
	url := answers(t, func(net.Conn, *http.Request) bool { return true })
	for name, d := range map[string]Driver{
		"native": &Native{Pacing: Precise, Cutoff: 60 * time.Millisecond},
		"vegeta": &Vegeta{Pacing: Precise, Cutoff: 60 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			to := target(url, 4)
			to.Timeout = time.Hour // the test would not end
			for _, s := range driveWith(t, d, to, every(time.Millisecond, 8)) {
				require.Same(t, ErrTimeout, s.Err)
				require.GreaterOrEqual(t, s.Done, 60*time.Millisecond)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	url := answers(t, func(net.Conn, *http.Request) bool { return true })
	for name, make := range drivers() {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			d := make(func(time.Time) { time.AfterFunc(50*time.Millisecond, cancel) })
			s := append(every(time.Millisecond, 20), Arrival{Due: time.Hour})
			err := d.Drive(ctx, target(url, 4), s, []Recorder{new(recorded)})
			require.ErrorIs(t, err, context.Canceled)
		})
	}
}

// A target that goes away and comes back: errors while it is gone, answers from then on.
func TestTargetThatRestarts(t *testing.T) {
	for name, make := range drivers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			serve := func(l net.Listener, down <-chan struct{}) {
				s := http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
				go func() { _ = s.Serve(l) }()
				<-down
				_ = s.Close()
			}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			address := l.Addr().String()
			first, second := newMoment(), newMoment()
			var origin sync.WaitGroup
			origin.Go(func() { serve(l, first.done) })
			var back time.Duration
			d := make(func(start time.Time) {
				origin.Go(func() {
					time.Sleep(time.Until(start.Add(100 * time.Millisecond)))
					first.set(time.Now())
					time.Sleep(100 * time.Millisecond)
					again, err := net.Listen("tcp", address)
					back = time.Since(start)
					if err == nil { // else somebody took the port: every later sample is refused, and the test fails below
						serve(again, second.done)
					}
				})
			})
			samples := driveWith(t, d, target("http://"+address, 4), every(5*time.Millisecond, 120))
			second.set(time.Now())
			origin.Wait()
			before, between, after := 0, 0, 0
			for _, s := range samples {
				switch {
				case s.Err != nil:
					require.Contains(t, []error{ErrReset, ErrRefused}, s.Err)
					between++
				case s.Due < back:
					before++
				default:
					after++
				}
			}
			require.Positive(t, before)
			require.Positive(t, between)
			require.Positive(t, after)
		})
	}
}
