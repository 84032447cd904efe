package wire

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// Conn is a connection with a pooled read buffer, one coarse deadline and the body that is on its way in. One goroutine reads it;
// another may write, arm the deadline, interrupt or close.
type Conn struct {
	deadline
	raw    syscall.RawConn // of the socket itself, below TLS; nil: cannot be looked at
	below  *Socket         // likewise; nil: its calls take no time that anybody could know
	slab   *[]byte
	buf    []byte
	r, w   int // buf[r:w] is not consumed
	head   headScan
	fields []field
	Body   Incoming // of the message whose head was read last
	peek   func(fd uintptr) bool
	quiet  bool // what peek found
}

// NewConn wraps a connection. Close must be called.
func NewConn(c net.Conn) *Conn {
	conn := &Conn{}
	conn.sock = c
	conn.Body.conn = conn
	conn.below, _ = Lowest(c).(*Socket)
	if s, ok := Lowest(c).(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			conn.raw = raw
			conn.peek = conn.look
		}
	}
	conn.register()
	return conn
}

// Socket returns the connection below.
func (c *Conn) Socket() net.Conn { return c.sock }

// Close closes the connection. Any goroutine may call it; the read buffer stays, since another may still be reading.
func (c *Conn) Close() error {
	c.unregister()
	return c.sock.Close()
}

// Free closes the connection and gives its buffer back; nothing may read it any more, nor hold bytes of it.
func (c *Conn) Free() {
	_ = c.Close()
	c.r = c.w
	c.Rest()
}

// Arm sets the instant from which reads and writes fail with os.ErrDeadlineExceeded; 0: never.
func (c *Conn) Arm(t Instant) { c.arm(t) }

// Interrupt makes the reads and writes under way fail as if the deadline had passed; the next Arm makes the connection usable.
func (c *Conn) Interrupt() {
	c.mu.Lock()
	c.at.Store(int64(fired))
	_ = c.sock.SetDeadline(past)
	c.mu.Unlock()
}

// Buffered returns the number of bytes read but not consumed.
func (c *Conn) Buffered() int { return c.w - c.r }

// Rest gives the read buffer back if it is empty: an idle connection holds no memory but its own.
func (c *Conn) Rest() {
	if c.r == c.w && c.slab != nil {
		freeSlab(c.slab)
		c.slab, c.buf, c.r, c.w = nil, nil, 0, 0
	}
}

var errFull = errors.New("buffer full")

// Fill reads once from the connection behind what is buffered. The buffer grows up to limit bytes; a full one is errFull.
func (c *Conn) Fill(limit int) error {
	if c.r == c.w {
		c.r, c.w = 0, 0
	}
	if c.w == len(c.buf) {
		if err := c.room(limit); err != nil {
			return err
		}
	}
	n, err := c.sock.Read(c.buf[c.w:])
	c.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// room makes place behind the buffered bytes, by moving them to the front or into a larger buffer.
func (c *Conn) room(limit int) error {
	if c.r > 0 {
		copy(c.buf, c.buf[c.r:c.w])
		c.w -= c.r
		c.r = 0
		return nil
	}
	if len(c.buf) >= limit && c.slab != nil {
		return errFull
	}
	larger := slab(min(max(2*len(c.buf), 1<<minSlabBits), max(limit, 1<<minSlabBits)))
	copy(*larger, c.buf[:c.w])
	if c.slab != nil {
		freeSlab(c.slab)
	}
	c.slab, c.buf = larger, *larger
	return nil
}

// Read reads buffered bytes first; for tunnels.
func (c *Conn) Read(p []byte) (int, error) {
	if c.r < c.w {
		n := copy(p, c.buf[c.r:c.w])
		c.r += n
		return n, nil
	}
	return c.sock.Read(p)
}

// Write writes to the connection.
func (c *Conn) Write(p []byte) (int, error) { return c.sock.Write(p) }

// Quiet looks at the socket without waiting and without consuming: true means that it is open and that nothing waits on it.
// A connection that cannot be looked at counts as quiet. Bytes on an idle connection belong to no request: whoever reused it would
// hand them to the next client as its answer.
func (c *Conn) Quiet() bool {
	if c.r != c.w {
		return false
	}
	if c.raw == nil {
		return true
	}
	c.quiet = false
	if err := c.raw.Read(c.peek); err != nil {
		return false
	}
	return c.quiet
}

func (c *Conn) look(fd uintptr) bool {
	c.quiet = wouldBlock(fd)
	return true
}

// TimedOut says whether err came from a deadline.
func TimedOut(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
