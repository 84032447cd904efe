package load

import (
	"context"
	"io"
	"net"
	"net/http"
	"slices"
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
