package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
	"golang.org/x/sys/unix"
)

// vegetaSeq is the header by which vegeta tells a request its sequence number. It is not sent on.
const vegetaSeq = "X-Vegeta-Seq"

// nextTarget implements vegeta.Targeter. Vegeta does not say for which sequence number it asks, so the real request is put in place by
// RoundTrip, which learns it.
func (v *vegetaState) nextTarget(t *vegeta.Target) error {
	t.Method, t.URL = http.MethodGet, "http://"+v.entries[0].host+"/"
	return nil
}

// Pace implements vegeta.Pacer: it lets hit number hits go when that is due. Vegeta sleeps by Go's timers; for precise pacing the sleep
// and the spin are done here, and vegeta is told to go on at once.
func (v *vegetaState) Pace(_ time.Duration, hits uint64) (wait time.Duration, stop bool) {
	if hits >= uint64(len(v.schedule)) {
		return 0, true
	}
	due := v.schedule[hits].Due
	if v.pace.tick > 0 {
		return v.waitEconomically(due)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	for v.ctx.Err() == nil {
		now := v.now()
		if now >= due {
			return 0, false
		}
		v.waitPrecisely(int64(now), int64(due-now))
	}
	return 0, true
}

// waitEconomically leaves the last of the wait to vegeta, whose own sleep would not see the end of ctx.
func (v *vegetaState) waitEconomically(due time.Duration) (wait time.Duration, stop bool) {
	const last = 20 * time.Millisecond
	if rest := due - last - v.now(); rest > 0 {
		select {
		case <-v.ctx.Done():
			return 0, true
		case <-time.After(rest):
		}
	}
	return max(0, due-v.now()), v.ctx.Err() != nil
}

func (v *vegetaState) waitPrecisely(now, rest int64) {
	sleep, spin := v.pace.plan(now, rest)
	if spin {
		end := int64(v.now())
		v.pace.spent(end - now)
		v.spun.Add(end - now)
		return
	}
	sleep = min(sleep, int64(50*time.Millisecond)) // to see the end of ctx
	t := unix.NsecToTimespec(sleep)
	if unix.Nanosleep(&t, nil) == nil {
		v.pace.woke(int64(v.now()) - now - sleep)
	}
}

// Rate implements vegeta.Pacer; it is used for display only.
func (v *vegetaState) Rate(time.Duration) float64 {
	if len(v.schedule) == 0 {
		return 0
	}
	return float64(len(v.schedule)) / v.schedule[len(v.schedule)-1].Due.Seconds()
}

// RoundTrip implements http.RoundTripper: it waits for a free connection, sends the request that is due, and notes the times.
func (v *vegetaState) RoundTrip(r *http.Request) (*http.Response, error) {
	seq, err := strconv.Atoi(r.Header.Get(vegetaSeq))
	if err != nil || seq < 0 || seq >= len(v.hits) {
		return nil, fmt.Errorf("vegeta asked for the sequence number %q", r.Header.Get(vegetaSeq))
	}
	h, e := &v.hits[seq], v.entries[seq%len(v.entries)]
	h.ready = v.now()
	ctx, cancel := context.WithDeadline(v.ctx, v.start.Add(v.deadline(seq)))
	if err := v.acquire(ctx, e, h); err != nil {
		cancel()
		return nil, err
	}
	end := func() {
		v.release(e)
		cancel()
	}
	response, err := e.transport.RoundTrip(v.request(ctx, e, seq))
	if err != nil {
		end()
		h.err = classify(err)
		return nil, err
	}
	h.status = response.StatusCode
	h.declared = response.Header.Get(DeclaredHeader) == "1"
	if h.err = statusError(h.status); h.status == http.StatusSwitchingProtocols {
		h.err = ErrProtocol
	}
	response.Body = &hitBody{body: response.Body, hit: h, end: end}
	return response, nil
}

func (v *vegetaState) deadline(seq int) time.Duration {
	d := v.schedule[seq].Due + v.to.Timeout
	if v.cutoff > 0 {
		d = min(d, v.cutoff)
	}
	return d
}

func (v *vegetaState) request(ctx context.Context, e *vegetaEntry, seq int) *http.Request {
	kind := v.schedule[seq].Request
	r := e.requests[kind].Clone(ctx)
	r.Header.Set(SeqHeader, strconv.Itoa(seq))
	if body := v.to.Requests[kind].Body; len(body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return r
}

// acquire takes a free connection of the entry, in turn with the others that wait for one.
func (v *vegetaState) acquire(ctx context.Context, e *vegetaEntry, h *hit) error {
	h.sent = h.ready
	select {
	case <-e.slots:
	default:
		h.waited = true
		select {
		case <-e.slots:
			h.sent = v.now()
		case <-ctx.Done():
			h.sent, h.err = v.now(), ErrTimeout
			return ctx.Err()
		}
	}
	v.use(e, 1)
	return nil
}

func (v *vegetaState) release(e *vegetaEntry) {
	v.use(e, -1)
	e.slots <- struct{}{}
}

func (v *vegetaState) use(e *vegetaEntry, change int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	before := e.inUse == e.limit
	e.inUse += change
	after := e.inUse == e.limit
	if before == after {
		return
	}
	if after {
		v.exhausted++
	} else {
		v.exhausted--
	}
	v.allBusy.set(int64(v.now()), float64(v.exhausted)/float64(len(v.entries)))
}

// hitBody counts a response body and frees the connection behind it.
type hitBody struct {
	body io.ReadCloser
	hit  *hit
	end  func()
}

func (b *hitBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.hit.bytes += int64(n)
	if err != nil && err != io.EOF {
		if b.hit.err = classify(err); b.hit.err == ErrReset {
			b.hit.err = ErrShortBody // the head was complete
		}
	}
	return n, err
}

func (b *hitBody) Close() error {
	err := b.body.Close()
	b.end()
	return err
}

// classify sorts the errors of net/http into the classes of this package.
func classify(err error) error {
	var op *net.OpError
	switch {
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled):
		return ErrTimeout
	case errors.As(err, &op) && op.Op == "dial":
		return ErrRefused
	case errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		strings.Contains(err.Error(), "server closed idle connection"): // an error of net/http that has no name
		return ErrReset
	}
	return ErrProtocol
}
