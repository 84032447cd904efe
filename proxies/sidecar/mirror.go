package sidecar

import (
	"bytes"
	"io"
	"math/rand/v2"
	"time"

	"github.com/valyala/fasthttp"

	"crossroads/proxies/exchange"
	"crossroads/proxies/wire"
)

// Bounds of mirroring. A copy is dropped rather than made to wait: the call itself must not feel it.
const (
	maxCopies     = 64       // under way at a time, of the whole sidecar
	maxMirrorBody = 64 << 10 // of a request, to be copied
)

// mirror sends copies of a share of calls to a service and discards its answers.
type mirror struct {
	share float64
	route *exchange.Route
	space chan struct{} // of the copies under way
	count func(destination, result string)
}

// copy sends a copy of a request, or counts why it did not: sent, failed, busy (too many under way) or body (too large, or of no
// declared length).
func (m *mirror) copy(x *exchange.Exchange) {
	if m.share < 1 && rand.Float64() >= m.share {
		return
	}
	body, ok := wholeBody(x.RequestBody)
	if !ok {
		m.count(m.route.Name, "body")
		return
	}
	select {
	case m.space <- struct{}{}:
	default:
		m.count(m.route.Name, "busy")
		return
	}
	c := m.duplicate(x, body)
	go func() {
		defer func() { <-m.space }()
		m.count(m.route.Name, m.send(c))
		fasthttp.ReleaseRequest(c.Request)
		fasthttp.ReleaseResponse(c.Response)
	}()
}

// duplicate shares no byte with the call: that may end before the copy does.
func (m *mirror) duplicate(x *exchange.Exchange, body []byte) *exchange.Exchange {
	c := &exchange.Exchange{Request: fasthttp.AcquireRequest(), Response: fasthttp.AcquireResponse(), Peer: x.Peer, Route: m.route,
		Trace: x.Trace, Start: time.Now(), Path: bytes.Clone(x.Path)}
	x.Request.Header.CopyTo(&c.Request.Header)
	c.SetID([]byte(x.ID))
	if x.RequestBody != nil {
		c.RequestBody = &memory{rest: body, length: int64(len(body))}
	}
	return c
}

func (m *mirror) send(c *exchange.Exchange) string {
	defer c.Release()
	if m.route.Backends[0].To.Forward(c) != exchange.Continue {
		return "failed"
	}
	if c.ResponseBody != nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(c.ResponseBody, maxMirrorBody)) // what is longer costs the connection
	}
	return "sent"
}

// wholeBody returns a copy of a request body that is small and of declared length.
func wholeBody(b wire.Body) ([]byte, bool) {
	if b == nil {
		return nil, true
	}
	if n := b.Length(); n < 0 || n > maxMirrorBody {
		return nil, false
	}
	if in, ok := b.(interface{ Gather(limit int) error }); ok && in.Gather(maxMirrorBody) != nil {
		return nil, false // the call itself meets the same fault
	}
	data, complete := b.Buffered()
	return bytes.Clone(data), complete
}

// memory is a body that is here already.
type memory struct {
	rest   []byte
	length int64
}

// Read implements io.Reader.
func (m *memory) Read(p []byte) (int, error) {
	if len(m.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, m.rest)
	m.rest = m.rest[n:]
	return n, nil
}

// Length implements wire.Body.
func (m *memory) Length() int64 { return m.length }

// Buffered implements wire.Body.
func (m *memory) Buffered() ([]byte, bool) { return m.rest, true }
