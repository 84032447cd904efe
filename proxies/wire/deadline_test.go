package wire

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pair returns both ends of a connection, the first one wrapped.
func pair(t *testing.T) (*Conn, net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	far, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	near, err := l.Accept()
	require.NoError(t, err)
	c := NewConn(near)
	t.Cleanup(func() { _ = c.Close(); _ = far.Close() })
	return c, far
}

func TestDeadlineStrikesAndCanBeUndone(t *testing.T) {
	c, far := pair(t)
	for range 2 {
		began := Now()
		c.Arm(began + Instant(20*time.Millisecond))
		require.True(t, TimedOut(c.Fill(4<<10)))
		require.GreaterOrEqual(t, Now()-began, Instant(20*time.Millisecond), "never early")
		c.Arm(0)
		_, err := far.Write([]byte("x"))
		require.NoError(t, err)
		require.NoError(t, c.Fill(4<<10))
	}
	require.Equal(t, 2, c.Buffered())
}

func TestInterrupt(t *testing.T) {
	c, far := pair(t)
	failed := make(chan error)
	go func() { failed <- c.Fill(4 << 10) }()
	c.Interrupt()
	require.True(t, TimedOut(<-failed))
	c.Arm(After(time.Minute))
	_, err := far.Write([]byte("x"))
	require.NoError(t, err)
	require.NoError(t, c.Fill(4<<10))
}

// TestArmingRacesWithTheSweep arms a deadline anew just as it passes, over and over: afterwards the connection works, whichever of
// the two came first.
func TestArmingRacesWithTheSweep(t *testing.T) {
	c, far := pair(t)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			select {
			case <-stop:
				return
			default:
				c.strike(Now())
			}
		}
	}()
	for range 2000 {
		c.Arm(Now() + Instant(5*time.Microsecond))
		time.Sleep(5 * time.Microsecond)
		c.Arm(After(time.Minute))
		_, err := far.Write([]byte("x"))
		require.NoError(t, err)
		require.NoError(t, c.Fill(1<<20))
	}
	close(stop)
	wg.Wait()
}

func TestSweepIgnoresTheClosed(t *testing.T) {
	c, _ := pair(t)
	c.Arm(Now())
	require.NoError(t, c.Close())
	_ = c.Close() // twice is harmless
	c.strike(Now())
}

func TestSooner(t *testing.T) {
	require.Equal(t, Instant(3), Sooner(3, 5))
	require.Equal(t, Instant(3), Sooner(5, 3))
	require.Equal(t, Instant(5), Sooner(5, 0))
	require.Equal(t, Instant(5), Sooner(0, 5))
	require.Zero(t, Sooner(0, 0))
	require.Zero(t, After(0))
	require.Zero(t, At(time.Time{}))
}

func TestQuiet(t *testing.T) {
	c, far := pair(t)
	require.True(t, c.Quiet())
	_, err := far.Write([]byte("x"))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return !c.Quiet() }, 5*time.Second, time.Millisecond)
	require.NoError(t, c.Fill(4<<10))
	require.False(t, c.Quiet(), "what was read but not used counts, too")
	c.r = c.w
	require.True(t, c.Quiet())
	require.NoError(t, far.Close())
	require.Eventually(t, func() bool { return !c.Quiet() }, 5*time.Second, time.Millisecond)
}
