package wire

import (
	"net"
	"time"
)

// took is what one direction of a socket has spent below this package: in the kernel, and waiting for the poller. It is kept only where
// somebody takes stage times, because it costs two looks at the clock a call.
type took struct {
	on   bool
	sum  time.Duration // of all calls while on
	last Instant       // when the last of them was over
}

// began is the instant at which a call begins; 0 where nobody asks.
func (t *took) began() Instant {
	if !t.on {
		return 0
	}
	return Now()
}

func (t *took) ended(since Instant) {
	if since != 0 {
		t.last = Now()
		t.sum += time.Duration(t.last - since)
	}
}

// Time says whether the socket's calls are timed from now on; none may be under way.
func (c *Conn) Time(on bool) {
	if c.below != nil {
		c.below.in.took.on, c.below.out.took.on = on, on
	}
}

// Reading and Writing are the times that the socket's calls took so far, while they were timed. Whoever reads, or writes, may ask.
func (c *Conn) Reading() time.Duration {
	if c.below == nil {
		return 0
	}
	return c.below.in.took.sum
}

// Writing is Reading's counterpart.
func (c *Conn) Writing() time.Duration {
	if c.below == nil {
		return 0
	}
	return c.below.out.took.sum
}

// Back is when the last timed call of either direction was over: since then only this process had to do with what was read; 0 where
// none was timed.
func (c *Conn) Back() Instant {
	if c.below == nil {
		return 0
	}
	return max(c.below.in.took.last, c.below.out.took.last)
}

// Clock tells a stretch of work on a connection from its system calls.
type Clock struct {
	socket *Socket
	since  Instant
	calls  time.Duration
}

// StartClock starts one; nobody else may use the connection until it is read. Its calls are timed from now on.
func StartClock(c net.Conn) Clock {
	k := Clock{}
	if k.socket, _ = Lowest(c).(*Socket); k.socket != nil {
		k.socket.in.took.on, k.socket.out.took.on = true, true
		k.calls = k.socket.in.took.sum + k.socket.out.took.sum
	}
	k.since = Now()
	return k
}

// Own is the time since its start that was spent neither in the socket's calls nor waiting for them.
func (k Clock) Own() time.Duration {
	d := time.Duration(Now() - k.since)
	if k.socket != nil {
		d -= k.socket.in.took.sum + k.socket.out.took.sum - k.calls
	}
	return d
}
