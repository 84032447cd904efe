package load

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// Vegeta drives through vegeta's library, as a second opinion on the native driver. What is vegeta's: goroutines, net/http, the loop
// that hands out hits. What is not: the due times (its timestamp is taken when a worker picks a hit up, so the due time is rebuilt from
// the sequence number), the connection limit (vegeta's own would hide the wait for a connection), and the percentiles (t-digest).
// A Vegeta drives once.
type Vegeta struct {
	Pacing  Pacing
	Cutoff  time.Duration   // since the start, after which no sample is waited for; 0: only the timeout
	OnStart func(time.Time) // called once; due times count from the time it is given
	state   atomic.Pointer[vegetaState]
}

// Drive implements Driver. Only the first recorder is used: vegeta has one stream of results.
func (d *Vegeta) Drive(ctx context.Context, t Target, s Schedule, r []Recorder) error {
	if len(r) == 0 {
		return errors.New("no recorder")
	}
	v, err := newVegetaState(ctx, t, s)
	if err != nil {
		return err
	}
	defer v.close()
	v.warm()
	v.cutoff, v.pace = d.Cutoff, newPace(d.Pacing, s, t.Connections)
	v.start = time.Now().Add(lead)
	d.state.Store(v)
	if d.OnStart != nil {
		d.OnStart(v.start)
	}
	if len(s) == 0 {
		return ctx.Err()
	}
	attacker := vegeta.NewAttacker(vegeta.Client(&http.Client{Transport: v}), vegeta.MaxBody(0), vegeta.Workers(uint64(t.Connections)))
	defer context.AfterFunc(v.ctx, func() { attacker.Stop() })()
	for result := range attacker.Attack(v.nextTarget, v, 0, "") {
		if ctx.Err() == nil {
			r[0].Record(v.sample(result))
		}
	}
	return ctx.Err()
}

// Effort implements Driver.
func (d *Vegeta) Effort() Effort {
	v := d.state.Load()
	if v == nil {
		return Effort{}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return Effort{Spin: time.Duration(v.spun.Load()), AllBusy: v.allBusy.read(int64(v.now())), Dials: v.dials.Load()}
}

// vegetaState is one run of the driver: vegeta's targeter, pacer and round tripper in one.
type vegetaState struct {
	ctx       context.Context
	cancel    context.CancelFunc
	to        Target
	schedule  Schedule
	entries   []*vegetaEntry
	start     time.Time
	cutoff    time.Duration
	pace      pace
	hits      []hit
	spun      atomic.Int64
	dials     atomic.Int64
	mu        sync.Mutex // guards exhausted, every entry's inUse, and allBusy
	exhausted int        // entries with no free connection
	allBusy   busyClock
}

// hit is what vegeta's result does not say. It is written by the goroutine of its request before the result is handed over.
type hit struct {
	ready, sent time.Duration
	waited      bool
	declared    bool
	status      int
	bytes       int64
	err         error
}

// vegetaEntry is one entry with its connections: slots holds a token for each that is free.
type vegetaEntry struct {
	entry
	limit     int
	inUse     int
	slots     chan struct{}
	spare     chan net.Conn // opened before the start
	transport *http.Transport
	requests  []*http.Request
}

func newVegetaState(ctx context.Context, t Target, s Schedule) (*vegetaState, error) {
	if err := t.validate(); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(t.Requests, func(r Request) bool { return len(r.Calls) > 0 }) {
		return nil, errors.New("the vegeta driver sends one request an arrival, and here one is made of several calls: use the native driver")
	}
	entries, err := resolve(t.Entries, t.Roots)
	if err != nil {
		return nil, err
	}
	if err := enoughFiles(t.Connections); err != nil {
		return nil, err
	}
	v := &vegetaState{to: t, schedule: s, hits: make([]hit, len(s)), start: time.Now()}
	v.ctx, v.cancel = context.WithCancel(ctx)
	for i, e := range entries {
		limit := (t.Connections + len(entries) - 1 - i) / len(entries)
		entry, err := v.newEntry(e, t.Requests, limit)
		if err != nil {
			v.cancel()
			return nil, err
		}
		v.entries = append(v.entries, entry)
	}
	return v, nil
}

func (v *vegetaState) newEntry(e entry, requests []Request, limit int) (*vegetaEntry, error) {
	x := &vegetaEntry{entry: e, limit: limit, slots: make(chan struct{}, limit), spare: make(chan net.Conn, limit)}
	for range limit {
		x.slots <- struct{}{}
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		select {
		case c := <-x.spare:
			return c, nil
		default:
			return v.dial(ctx, x)
		}
	}
	scheme := "http://"
	if e.tls != nil {
		scheme = "https://"
	}
	x.transport = &http.Transport{
		DialContext: dial, DialTLSContext: dial,
		MaxIdleConnsPerHost: limit,
		DisableCompression:  true,
	}
	for _, r := range requests {
		h, err := http.NewRequest(r.Method, scheme+e.host+e.path+r.Path, nil)
		if err != nil {
			return nil, err
		}
		for _, header := range r.Headers {
			if http.CanonicalHeaderKey(header[0]) == "Host" {
				h.Host = header[1]
			} else {
				h.Header.Add(header[0], header[1])
			}
		}
		h.ContentLength = int64(len(r.Body))
		x.requests = append(x.requests, h)
	}
	return x, nil
}

func (v *vegetaState) now() time.Duration { return time.Since(v.start) }

func (v *vegetaState) dial(ctx context.Context, e *vegetaEntry) (net.Conn, error) {
	v.dials.Add(1)
	if e.tls != nil {
		return (&tls.Dialer{Config: e.tls}).DialContext(ctx, "tcp", e.address.String())
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", e.address.String())
}

// warm opens the connections that requests will take over one by one.
func (v *vegetaState) warm() {
	ctx, cancel := context.WithTimeout(v.ctx, warmDial)
	defer cancel()
	for _, e := range v.entries {
		for range e.limit {
			c, err := v.dial(ctx, e)
			if err != nil {
				break // the target is not there: requests will say so
			}
			e.spare <- c
		}
	}
}

func (v *vegetaState) close() {
	v.cancel()
	for _, e := range v.entries {
		e.transport.CloseIdleConnections()
		for len(e.spare) > 0 {
			(<-e.spare).Close()
		}
	}
}

// sample joins vegeta's result with what the round tripper saw.
func (v *vegetaState) sample(r *vegeta.Result) Sample {
	h := &v.hits[r.Seq]
	s := Sample{
		Seq: int(r.Seq), Due: v.schedule[r.Seq].Due, Ready: h.ready, Sent: h.sent, Done: r.End().Sub(v.start),
		Waited: h.waited, Requests: 1, Status: h.status, Bytes: h.bytes, Err: h.err,
	}
	if s.Sent == s.Done {
		s.Requests = 0
	}
	s.Declared = h.declared && h.err == ErrStatus
	return s
}
