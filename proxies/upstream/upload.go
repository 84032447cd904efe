package upstream

import (
	"errors"
	"io"
	"sync/atomic"
	"time"

	"crossroads/proxies/exchange"
	"crossroads/proxies/wire"
)

// inlineBody is the largest request body of declared length that is read whole before the upstream is asked: it leaves with the head
// in one write and can be sent again.
const inlineBody = 64 << 10

// incoming is what a request body can do besides being read; a wire.Incoming can.
type incoming interface {
	wire.Body
	Gather(limit int) error
	Waited() time.Duration
	Limit(n int64) error
	EndBy(t wire.Instant)
	Done() bool
	Stop()
	Resume()
}

// upload streams a request body in a goroutine of its own, so that a response that comes early is seen.
type upload struct {
	done     chan struct{}
	body     wire.Body
	taken    atomic.Bool // all of it was read from the client: set before the endpoint can have it whole, and answer
	finished atomic.Bool // all of it is on the wire
	broken   atomic.Bool // the body could not be read: err says why once done is closed
	err      error
}

// start begins to stream the body on c, behind the head.
func startUpload(c *conn, body wire.Body) *upload {
	u := &upload{done: make(chan struct{}), body: body}
	go func() {
		defer close(u.done)
		if u.err = u.run(c, body.Length() == wire.Chunked); u.err != nil {
			u.broken.Store(true)
			c.Interrupt() // whoever waits for the response must not wait for it any longer
		}
	}()
	return u
}

// run returns only errors of the body. Where writing fails the upstream may have answered already: its reader will tell.
func (u *upload) run(c *conn, chunked bool) error {
	const size = 32 << 10
	var in, out wire.Buffer
	in.TakeSize(size)
	defer in.Give()
	defer out.Give()
	data := in.B[:size]
	for {
		n, err := u.body.Read(data)
		if in, ok := u.body.(incoming); errors.Is(err, io.EOF) || ok && in.Done() {
			u.taken.Store(true)
		}
		if n > 0 {
			p := data[:n]
			if chunked {
				out.TakeSize(2 * size)
				out.B = wire.AppendChunk(out.B, p)
				p = out.B
			}
			if _, err := c.Write(p); err != nil {
				return nil
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			if chunked {
				if _, err := io.WriteString(c, wire.LastChunk); err != nil {
					return nil
				}
			}
			u.finished.Store(true)
			return nil
		case err != nil:
			return err
		}
	}
}

// join ends the upload on c; true means that the body was sent whole. No upload is a whole one.
func (u *upload) join(c *conn) bool {
	if u == nil {
		return true
	}
	if b, ok := u.body.(incoming); ok && !u.finished.Load() {
		b.Stop()      // it may wait for the client,
		c.Interrupt() // or for the endpoint, which no longer reads
		<-u.done
		b.Resume()
	}
	<-u.done
	return u.finished.Load()
}

// failed returns why the body could not be read, if that is why the upload ended.
func (u *upload) failed() *exchange.Fault {
	if u == nil || !u.broken.Load() {
		return nil
	}
	<-u.done
	return exchange.RequestFault(u.err)
}
