package load

import (
	"context"
	"errors"
	"fmt"
	"runtime"
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

// warmDial is how long connections may take to open before the start. Those that are not open by then open when they are needed.
const warmDial = 2 * time.Second

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
		w.pace, w.cutoff = newPace(d.Pacing, s, t.Connections), int64(d.Cutoff)
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

// newWorkers divides the schedule and the connections. A worker and an entry meet in one class of sequence numbers modulo the least
// common multiple of their counts; every class gets its share of the connections.
func newWorkers(t Target, s Schedule, r []Recorder) ([]*worker, error) {
	if err := t.validate(); err != nil {
		return nil, err
	}
	if len(r) == 0 {
		return nil, errors.New("no recorder, so no worker")
	}
	entries, err := t.resolve()
	if err != nil {
		return nil, err
	}
	if err := enoughFiles(t.Connections + 4*len(r)); err != nil {
		return nil, err
	}
	classes := len(r) * len(entries) / gcd(len(r), len(entries))
	if t.Connections < classes {
		return nil, fmt.Errorf("%d connections for %d workers and %d entries: at least %d are needed", t.Connections, len(r), len(entries), classes)
	}
	var workers []*worker
	for i := range r {
		w, err := newWorker(t, s, entries, i, len(r), r[i])
		if err != nil {
			for _, w := range workers {
				w.close()
			}
			return nil, err
		}
		workers = append(workers, w)
	}
	return workers, nil
}

func newWorker(t Target, s Schedule, entries []entry, index, stride int, r Recorder) (*worker, error) {
	poll, err := newPoller()
	if err != nil {
		return nil, err
	}
	w := &worker{
		schedule: s, index: index, stride: stride, timeout: int64(t.Timeout), recorder: r, poll: poll, start: time.Now(),
		groups:  make([]*group, len(entries)),
		flights: make([]flight, max(0, (len(s)-index+stride-1)/stride)),
		in:      make([]byte, 64<<10),
	}
	classes := stride * len(entries) / gcd(stride, len(entries))
	for class := index; class < classes; class += stride {
		w.inUse++
		w.groups[class%len(entries)] = newGroup(t, &entries[class%len(entries)])
	}
	for c := range t.Connections {
		if class := c % classes; class%stride == index {
			w.conns = append(w.conns, conn{group: w.groups[class%len(entries)], tag: int32(len(w.conns)), fd: -1, flight: none})
		}
	}
	for i := range w.conns {
		c := &w.conns[i]
		c.group.closed.push(c)
	}
	for i := range w.flights { // touches the memory too, so that no page is first needed while measuring
		w.flights[i].conn, w.flights[i].next = none, none
	}
	return w, nil
}

func newGroup(t Target, e *entry) *group {
	g := &group{entry: e, first: none, last: none}
	for _, r := range t.Requests {
		g.messages = append(g.messages, r.message(*e))
	}
	return g
}

// warm opens every connection and waits until that is done or has failed.
func (w *worker) warm(ctx context.Context) {
	for i := range w.conns {
		w.open(&w.conns[i])
	}
	end := time.Now().Add(warmDial)
	for ctx.Err() == nil && time.Now().Before(end) && w.anyConnecting() {
		for _, e := range w.poll.wait(10 * time.Millisecond) {
			if e.Fd != wakeTag {
				w.ready(&w.conns[e.Fd], e.Events)
			}
		}
	}
	for i := range w.conns { // an established connection is known to be good: open it again if the target closes it
		w.conns[i].answered = w.conns[i].state == idle
	}
}

func (w *worker) anyConnecting() bool {
	for i := range w.conns {
		if w.conns[i].state == connecting {
			return true
		}
	}
	return false
}

func (w *worker) close() {
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
