package load

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Native is the driver that this project measures with: workers on threads of their own, each with its epoll instance and its share
// of the connections, and no allocation per request. A Native drives once.
type Native struct {
	Pacing  Pacing
	Cutoff  time.Duration   // since the start, after which no sample is waited for; 0: only the timeout
	OnStart func(time.Time) // called once, when the connections are open; due times count from the time it is given
	workers atomic.Pointer[[]*worker]
}

// How long connections may take to open before the start, and how many a worker opens at the same time: a target's queue of connections
// that it has not accepted is short, and what the kernel drops there is tried again only a second later. Those that are not open in time
// open when they are needed.
const (
	warmDial     = 2 * time.Second
	warmDialEach = 200 * time.Microsecond
	dialAtOnce   = 256

	warmShakeEach = 5 * time.Millisecond // with TLS: both ends sign and verify, on processors that others use too
)

// lead is the time between OnStart and the start, for the workers to get going.
const lead = 5 * time.Millisecond

// Drive implements Driver with one worker per recorder.
func (d *Native) Drive(ctx context.Context, t Target, s Schedule, r []Recorder) error {
	workers, err := newWorkers(t, s, r)
	if err != nil {
		return err
	}
	for _, w := range workers {
		defer w.close()
		w.pace, w.cutoff = newPace(d.Pacing, s, t.Connections/t.widest()), int64(d.Cutoff)
		w.warm(ctx)
	}
	start := time.Now().Add(lead)
	for _, w := range workers {
		w.start = start
	}
	d.workers.Store(&workers)
	if d.OnStart != nil {
		d.OnStart(start)
	}
	defer context.AfterFunc(ctx, func() {
		for _, w := range workers {
			w.stop.Store(true)
			w.poll.interrupt()
		}
	})()
	var all sync.WaitGroup
	for _, w := range workers {
		all.Go(func() {
			runtime.LockOSThread() // and never unlocked: the thread ends with its timer slack and priority
			_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
			w.run()
		})
	}
	all.Wait()
	return ctx.Err()
}

// Effort implements Driver.
func (d *Native) Effort() Effort {
	var e Effort
	workers := d.workers.Load()
	if workers == nil {
		return e
	}
	for _, w := range *workers {
		e.Spin += time.Duration(w.spun.Load())
		e.AllBusy += w.allBusy.read(w.now())
		e.Dials += w.dials.Load()
	}
	e.AllBusy /= time.Duration(len(*workers))
	return e
}

// newWorkers divides the schedule and the connections: every worker gets its share of connections to each entry that it meets.
func newWorkers(t Target, s Schedule, r []Recorder) ([]*worker, error) {
	if err := t.validate(); err != nil {
		return nil, err
	}
	if len(r) == 0 {
		return nil, errors.New("no recorder, so no worker")
	}
	routes := t.routes()
	entries, err := resolve(routes.urls, t.Roots)
	if err != nil {
		return nil, err
	}
	if err := enoughFiles(t.Connections + 4*len(r)); err != nil {
		return nil, err
	}
	meetings := routes.meetings(len(r))
	if t.Connections < len(meetings) {
		return nil, fmt.Errorf("%d connections for %d workers and %d entries: at least %d are needed", t.Connections, len(r), len(entries), len(meetings))
	}
	var workers []*worker
	for i := range r {
		w, err := newWorker(t, s, i, len(r), r[i])
		if err != nil {
			for _, w := range workers {
				w.close()
			}
			return nil, err
		}
		w.kinds = routes.kinds
		w.connect(t, entries, meetings)
		w.plan()
		workers = append(workers, w)
	}
	return workers, nil
}

func newWorker(t Target, s Schedule, index, stride int, r Recorder) (*worker, error) {
	poll, err := newPoller()
	if err != nil {
		return nil, err
	}
	return &worker{
		schedule: s, index: index, stride: stride, timeout: int64(t.Timeout), recorder: r, poll: poll, start: time.Now(),
		in: make([]byte, 64<<10),
	}, nil
}

// connect makes the groups of the entries that the worker meets, with their connections.
func (w *worker) connect(t Target, entries []entry, meetings []meeting) {
	w.groups = make([]*group, len(entries))
	for _, m := range meetings {
		if m.worker == w.index {
			w.inUse++
			w.groups[m.entry] = newGroup(t, &entries[m.entry])
		}
	}
	for c := range t.Connections {
		if m := meetings[c%len(meetings)]; m.worker == w.index {
			w.conns = append(w.conns, conn{group: w.groups[m.entry], tag: int32(len(w.conns)), fd: -1, flight: none})
		}
	}
	for i := range w.conns {
		c := &w.conns[i]
		c.group.closed.push(c)
	}
}

// plan lists the requests of the worker's arrivals in their order. Writing them down touches the memory too, so that no page is first
// needed while measuring.
func (w *worker) plan() {
	arrivals, composed := max(0, (len(w.schedule)-w.index+w.stride-1)/w.stride), 0
	w.flights = make([]flight, 0, arrivals)
	for seq := w.index; seq < len(w.schedule); seq += w.stride {
		k := &w.kinds[w.schedule[seq].Request]
		composed += k.calls
		for call := range max(1, k.calls) {
			w.flights = append(w.flights, flight{conn: none, next: none, seq: int32(seq), call: uint16(call)})
		}
	}
	if composed > 0 {
		w.wholes = make([]whole, arrivals)
		for i := range w.wholes {
			w.wholes[i].left = w.kinds[w.schedule[w.index+i*w.stride].Request].calls
		}
	}
}

func newGroup(t Target, e *entry) *group {
	g := &group{entry: e, first: none, last: none}
	for _, r := range t.Requests {
		for _, part := range r.parts() {
			m := part.message(*e)
			m.ledger = t.Ledger
			g.messages = append(g.messages, m)
		}
	}
	return g
}

// warm opens every connection and waits until that is done or has failed.
func (w *worker) warm(ctx context.Context) {
	end := time.Now().Add(warmDial + time.Duration(len(w.conns))*w.warmEach())
	for next := 0; ctx.Err() == nil && time.Now().Before(end); {
		under := w.connecting()
		if next == len(w.conns) && under == 0 {
			break
		}
		for ; next < len(w.conns) && under < dialAtOnce; under++ {
			w.open(&w.conns[next])
			next++
		}
		for _, e := range w.poll.wait(10 * time.Millisecond) {
			if e.Fd == wakeTag {
				w.poll.heard()
				w.settle()
			} else if c := &w.conns[e.Fd]; c.generation == e.Pad {
				w.ready(c, e.Events)
			}
		}
	}
	for i := range w.conns { // an established connection is known to be good: open it again if the target closes it
		w.conns[i].answered = w.conns[i].state == idle
	}
}

func (w *worker) warmEach() time.Duration {
	if slices.ContainsFunc(w.groups, func(g *group) bool { return g != nil && g.entry.tls != nil }) {
		return warmShakeEach
	}
	return warmDialEach
}

// connecting counts the connections under way.
func (w *worker) connecting() int {
	n := 0
	for i := range w.conns {
		if s := w.conns[i].state; s == connecting || s == shaking {
			n++
		}
	}
	return n
}

func (w *worker) close() {
	for i := range w.conns {
		if c := &w.conns[i]; c.state == shaking {
			c.abandon()
		}
	}
	w.shaken.running.Wait()
	w.settle()
	for i := range w.conns {
		if c := &w.conns[i]; c.fd >= 0 {
			unix.Close(c.fd)
			c.fd = -1
		}
	}
	w.poll.close()
}

// enoughFiles checks the limit on open files before the start: to run into it while measuring would look like a fault of the target.
func enoughFiles(n int) error {
	const others = 32
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("limit of open files: %w", err)
	}
	if limit.Cur < uint64(n+others) {
		return fmt.Errorf("%d connections need %d open files, and the limit is %d: raise it with ulimit -n", n, n+others, limit.Cur)
	}
	return nil
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
