package wire

import (
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Step is how far apart the sweeps over all deadlines are: a deadline acts at most this late, never early.
const Step = 50 * time.Millisecond

// Instant is a point of the monotonic clock in nanoseconds; 0 is none.
type Instant int64

var epoch = time.Now()

// Now reads the monotonic clock.
func Now() Instant { return Instant(time.Since(epoch)) }

// At converts a time; the zero time is no instant.
func At(t time.Time) Instant {
	if t.IsZero() {
		return 0
	}
	return Instant(t.Sub(epoch))
}

// After returns the instant d from now; 0 or less means none.
func After(d time.Duration) Instant {
	if d <= 0 {
		return 0
	}
	return Now() + Instant(d)
}

// Sooner returns the earlier of two instants.
func Sooner(a, b Instant) Instant {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// fired stands in place of an instant once a sweep has acted on it.
const fired = Instant(math.MinInt64)

// deadline is the one coarse deadline of a connection. Arming it is one atomic store: neither a timer nor the poller's lock is
// touched, which a request would otherwise pay for several times. The sweep forces the socket's own deadline into the past.
type deadline struct {
	at   atomic.Int64
	mu   sync.Mutex // orders a sweep's SetDeadline before its undoing
	sock net.Conn
	slot int // in the sweeper's list
}

// arm sets the instant at which reads and writes start to fail; 0: never. Any goroutine may call it.
func (d *deadline) arm(t Instant) {
	if Instant(d.at.Swap(int64(t))) == fired {
		d.mu.Lock()
		_ = d.sock.SetDeadline(time.Time{})
		d.mu.Unlock()
	}
}

// strike acts if the deadline has passed.
func (d *deadline) strike(now Instant) {
	t := Instant(d.at.Load())
	if t == 0 || t == fired || t > now {
		return
	}
	d.mu.Lock()
	if d.at.CompareAndSwap(int64(t), int64(fired)) {
		_ = d.sock.SetDeadline(past)
	}
	d.mu.Unlock()
}

// past is any time before now; the zero time would mean no deadline.
var past = time.Unix(1, 0)

// sweeper visits every open connection each Step. It runs only while there are connections.
var sweeper struct {
	mu      sync.Mutex
	list    []*deadline
	running bool
}

func (d *deadline) register() {
	sweeper.mu.Lock()
	d.slot = len(sweeper.list)
	sweeper.list = append(sweeper.list, d)
	if !sweeper.running {
		sweeper.running = true
		go sweep()
	}
	sweeper.mu.Unlock()
}

func (d *deadline) unregister() {
	sweeper.mu.Lock()
	if last := len(sweeper.list) - 1; d.slot >= 0 {
		sweeper.list[d.slot] = sweeper.list[last]
		sweeper.list[d.slot].slot = d.slot
		sweeper.list[last] = nil
		sweeper.list = sweeper.list[:last]
		d.slot = -1
	}
	sweeper.mu.Unlock()
}

func sweep() {
	for {
		time.Sleep(Step)
		now := Now()
		sweeper.mu.Lock()
		if len(sweeper.list) == 0 {
			sweeper.running = false
			sweeper.mu.Unlock()
			return
		}
		for _, d := range sweeper.list {
			d.strike(now)
		}
		sweeper.mu.Unlock()
	}
}
