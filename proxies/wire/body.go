package wire

import (
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Incoming is the body of the message whose head was read last on its connection. It implements Body.
type Incoming struct {
	Idle time.Duration // silence after which a read fails; 0: none

	until   Instant // when reads fail in any case; 0: never
	conn    *Conn
	framing int64 // what Length returns
	left    int64 // bytes to come: of the body, or of the chunk
	got     int64 // bytes handed out
	limit   int64 // of the whole body; 0: none
	chunk   chunkState
	line    int // bytes of chunk lines and trailers so far
	d0, d1  int // decoded chunk data in the connection's buffer, not handed out
	err     error

	stalled bool        // a read ran into the deadline
	stopped atomic.Bool // by Stop

	mu     sync.Mutex
	invite bool
}

// start begins a body.
func (b *Incoming) start(length int64, chunked, untilClose bool) {
	b.Idle, b.until = 0, 0
	b.framing, b.left, b.got, b.limit = length, length, 0, 0
	b.chunk, b.line, b.d0, b.d1, b.err = chunkSize, 0, 0, 0, nil
	b.invite, b.stalled = false, false
	b.stopped.Store(false)
	switch {
	case chunked:
		b.framing, b.left = Chunked, 0
	case untilClose:
		b.framing = UntilClose
	case length == 0:
		b.err = io.EOF
	}
}

// Length implements Body.
func (b *Incoming) Length() int64 { return b.framing }

// Received is the number of body bytes handed out.
func (b *Incoming) Received() int64 { return b.got }

// Done says that the body was read to its end.
func (b *Incoming) Done() bool { return b.err == io.EOF && b.d0 == b.d1 }

// EndBy sets when reads fail in any case; 0: never.
func (b *Incoming) EndBy(t Instant) { b.until = t }

// Waited is the time in system calls on the body's connection so far, while they were timed.
func (b *Incoming) Waited() time.Duration { return b.conn.Reading() + b.conn.Writing() }

// Left is the number of declared bytes that were not handed out; 0 for a body that declared none.
func (b *Incoming) Left() int64 {
	if b.framing < 0 {
		return 0
	}
	return b.left
}

// Err is why the body cannot be read further; nil while it can be, io.EOF at its end.
func (b *Incoming) Err() error { return b.err }

// Limit bounds the body: more than n bytes are an *Error of kind BodyTooLong. A declared length is judged at once; 0 is no limit.
func (b *Incoming) Limit(n int64) error {
	if n > 0 && (b.limit == 0 || n < b.limit) {
		b.limit = n
	}
	if b.limit > 0 && b.framing > b.limit {
		b.err = errBodyLong
		return errBodyLong
	}
	return nil
}

// Invite makes the first read that has to wait send 100 Continue.
func (b *Incoming) Invite() { b.invite = true }

// Withdraw ends the invitation before a final response is written; true means that the client never was invited, so that it is
// unknown whether it will send the body.
func (b *Incoming) Withdraw() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	was := b.invite
	b.invite = false
	return was
}

var continueHead = []byte("HTTP/1.1 100 Continue\r\n\r\n")

// fill waits for more bytes of the body.
func (b *Incoming) fill(limit int) error {
	if err := b.ready(); err != nil {
		return err
	}
	if err := b.conn.Fill(limit); err != nil {
		return b.cut(err)
	}
	return nil
}

// ready prepares a read that may wait.
func (b *Incoming) ready() error {
	b.mu.Lock()
	if b.invite {
		b.invite = false
		if _, err := b.conn.Write(continueHead); err != nil {
			b.mu.Unlock()
			return err
		}
	}
	b.mu.Unlock()
	if b.Idle > 0 || b.until != 0 {
		b.conn.arm(Sooner(After(b.Idle), b.until))
	}
	if b.stopped.Load() { // looked at last: arming undoes the interruption
		return os.ErrDeadlineExceeded
	}
	return nil
}

// Stop makes a read that another goroutine has under way, and every later one, fail. Resume undoes it once that goroutine is gone.
func (b *Incoming) Stop() {
	b.stopped.Store(true)
	b.conn.Interrupt()
}

// Resume makes the body readable again after Stop.
func (b *Incoming) Resume() {
	b.stopped.Store(false)
	b.conn.arm(0)
}

// Stalled says that a read ran into the deadline.
func (b *Incoming) Stalled() bool { return b.stalled }

// cut turns a connection's end into that of the body. A deadline that struck or an interruption leaves the body readable.
func (b *Incoming) cut(err error) error {
	switch {
	case err == io.EOF && b.framing == UntilClose:
		b.err = io.EOF
	case err == io.EOF:
		b.err = io.ErrUnexpectedEOF
	case TimedOut(err):
		b.stalled = true
		return err
	default:
		b.err = err
	}
	return b.err
}

// Buffered implements Body.
func (b *Incoming) Buffered() (data []byte, complete bool) {
	c := b.conn
	switch {
	case b.framing == Chunked:
		return c.buf[b.d0:b.d1], b.err == io.EOF
	case b.err != nil:
		return nil, b.err == io.EOF
	case b.framing == UntilClose:
		return c.buf[c.r:c.w], false
	}
	n := min(int64(c.w-c.r), b.left)
	return c.buf[c.r : c.r+int(n)], n == b.left
}

// Discard consumes n bytes of what Buffered returned.
func (b *Incoming) Discard(n int) {
	b.got += int64(n)
	switch b.framing {
	case Chunked:
		b.d0 += n
	default:
		b.conn.r += n
		if b.framing >= 0 {
			b.took(n)
		}
	}
}

func (b *Incoming) took(n int) {
	if b.left -= int64(n); b.left == 0 {
		b.err = io.EOF
	}
}

// Gather makes Buffered show as much as can be had cheaply: a body of declared length up to limit bytes is read whole, of a chunked
// one what has arrived is decoded, without waiting. It is called before the first Read.
func (b *Incoming) Gather(limit int) error {
	switch {
	case b.err != nil && b.err != io.EOF:
		return b.err
	case b.framing == Chunked:
		err := b.decodeBuffered()
		b.invite = b.invite && b.err == nil
		return err
	case b.framing > int64(limit):
		return nil
	}
	for b.err == nil && int64(b.conn.w-b.conn.r) < b.left {
		if err := b.fill(max(int(b.left), 1<<minSlabBits)); err != nil {
			return err
		}
	}
	b.invite = false // it came unasked
	return nil
}

// Read implements io.Reader: io.EOF only at the end that the framing declared.
func (b *Incoming) Read(p []byte) (n int, err error) {
	switch {
	case b.framing == Chunked:
		n, err = b.readChunked(p)
	case b.err != nil:
		return 0, b.err
	case b.framing == UntilClose:
		n, err = b.readRaw(p)
	default:
		n, err = b.readRaw(p[:min(int64(len(p)), b.left)])
		if n > 0 {
			b.took(n)
		}
	}
	b.got += int64(n)
	return n, err
}

// readRaw reads bytes as they stand: from the buffer, else straight from the connection.
func (b *Incoming) readRaw(p []byte) (int, error) {
	c := b.conn
	if len(p) == 0 {
		return 0, nil
	}
	if c.r == c.w && len(p) >= 1<<minSlabBits {
		if err := b.ready(); err != nil {
			return 0, err
		}
		n, err := c.sock.Read(p)
		if n > 0 {
			return n, nil
		}
		if err == nil {
			return 0, nil
		}
		return 0, b.cut(err)
	}
	if c.r == c.w {
		if err := b.fill(1 << minSlabBits); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.buf[c.r:c.w])
	c.r += n
	return n, nil
}
