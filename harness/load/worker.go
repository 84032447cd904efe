package load

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// worker sends its part of a schedule from one locked thread, with its own epoll instance, connections and memory. Nothing in it is
// shared with another worker but the counters that are read from outside.
type worker struct {
	schedule Schedule
	index    int // it takes the sequence numbers index, index+stride, ...
	stride   int
	timeout  int64
	cutoff   int64 // no sample is waited for after this; 0: only the timeout
	recorder Recorder
	pace     pace

	start     time.Time
	poll      *poller
	conns     []conn
	kinds     []kind   // by declared request
	groups    []*group // by entry; nil where this worker never gets to
	inUse     int      // groups that are not nil
	exhausted int      // of them, with no free connection
	flights   []flight // in the order of the schedule
	wholes    []whole  // by local index: sequence number = index + local*stride; nil where no arrival is made of calls
	next      int32    // the first that is not taken up yet
	oldest    int32    // the first that is not done
	in, out   []byte
	told      []byte // Server-Timing of the sample that is being ended
	shaken    shaken

	stop    atomic.Bool
	dials   atomic.Int64
	spun    atomic.Int64 // ns
	allBusy busyClock
}

// flight is one HTTP request under way: an arrival, or one of the calls that it is made of. Times are nanoseconds since the start.
type flight struct {
	ready, sent, done int64
	conn              int32  // the connection, where inFlight
	next              int32  // of those that wait for a connection
	seq               int32  // of the arrival
	call              uint16 // of the arrival's calls, from 0
	state             flightState
	waited            bool
}

type flightState uint8

const (
	pending  flightState = iota // not due yet, or waiting for the answer to the call before
	waiting                     // in its group's queue
	dialling                    // bound to a connection that is being opened
	inFlight
	ended
)

func (w *worker) now() int64             { return int64(time.Since(w.start)) }
func (w *worker) seq(flight int32) int   { return int(w.flights[flight].seq) }
func (w *worker) due(flight int32) int64 { return int64(w.schedule[w.seq(flight)].Due) }
func (w *worker) kindOf(flight int32) *kind {
	return &w.kinds[w.schedule[w.seq(flight)].Request]
}
func (w *worker) groupOf(flight int32) *group {
	to := w.kindOf(flight).to[w.flights[flight].call]
	return w.groups[to[w.seq(flight)%len(to)]]
}

// deadline is when a sample is given up.
func (w *worker) deadline(flight int32) int64 {
	d := w.due(flight) + w.timeout
	if w.cutoff > 0 {
		d = min(d, max(w.cutoff, w.due(flight)))
	}
	return d
}

// run is the loop of the worker: take up what is due, give up what is too late, sleep or look for events until the next due time.
func (w *worker) run() {
	for !w.stop.Load() {
		now := w.takeDue(w.now())
		w.expire(now)
		if int(w.oldest) == len(w.flights) {
			return
		}
		w.handle(w.waitUntilDue(now))
	}
}

// waitUntilDue sleeps until something happens or the next sample is due, as the pacing wants it.
func (w *worker) waitUntilDue(now int64) []unix.EpollEvent {
	if w.pace.tick > 0 {
		return w.waitForTick(now)
	}
	until, isDue := w.nextTime()
	sleep, spin := until-now, false
	if isDue {
		sleep, spin = w.pace.plan(now, sleep)
	}
	events := w.poll.wait(time.Duration(sleep))
	if len(events) > 0 {
		return events
	}
	switch {
	case spin:
		spun := w.now() - now
		w.pace.spent(spun)
		w.spun.Add(spun)
	case isDue:
		w.pace.woke(w.now() - (now + sleep))
	}
	return nil
}

// waitForTick sleeps through what happens until the next tick, and only then looks for events. With nothing under way it sleeps on to
// the first tick at which something is due.
func (w *worker) waitForTick(now int64) []unix.EpollEvent {
	if w.oldest < w.next {
		nap(w.pace.tickAfter(now) - now)
		return w.poll.wait(0)
	}
	until, _ := w.nextTime()
	return w.poll.wait(time.Duration(w.pace.tickAfter(until) - now))
}

// nextTime is when the worker has to act next of itself, and whether that is because a sample is due then.
func (w *worker) nextTime() (at int64, isDue bool) {
	at = w.deadlineOfOldest()
	if int(w.next) < len(w.flights) {
		if due := w.due(w.next); due <= at {
			return due, true
		}
	}
	return at, false
}

func (w *worker) deadlineOfOldest() int64 {
	if w.oldest < w.next {
		return w.deadline(w.oldest)
	}
	return 1<<63 - 1
}

// handle deals with events, and between them with what has become due: a burst of responses must not make requests late.
func (w *worker) handle(events []unix.EpollEvent) {
	for i := range events {
		e := &events[i]
		if e.Fd == wakeTag {
			w.poll.heard() // to stop, which run sees, or for handshakes
			w.settle()
			continue
		}
		if c := &w.conns[e.Fd]; c.generation == e.Pad {
			w.ready(c, e.Events)
		}
		if i+1 < len(events) && int(w.next) < len(w.flights) {
			w.takeDue(w.now())
		}
	}
	w.countBusy()
}

// takeDue takes up every sample that is due, and returns the time as of then.
func (w *worker) takeDue(now int64) int64 {
	if int(w.next) == len(w.flights) || w.due(w.next) > now {
		return now
	}
	for int(w.next) < len(w.flights) && w.due(w.next) <= now {
		w.next++
		if f := &w.flights[w.next-1]; f.call == 0 || !w.kindOf(w.next-1).inOrder {
			w.takeUp(w.next-1, now)
			now = w.now()
		}
	}
	w.countBusy()
	return now
}

// takeUp makes a request ready and finds a connection for it.
func (w *worker) takeUp(flight int32, now int64) {
	w.flights[flight].ready, w.flights[flight].sent = now, now
	w.dispatch(flight)
}

// dispatch finds a connection for a sample: one that is idle, or one to open, or it waits its turn.
func (w *worker) dispatch(flight int32) {
	g := w.groupOf(flight)
	if c := g.idle.front; c != nil {
		w.send(c, flight)
		return
	}
	w.flights[flight].waited = true
	w.enqueue(g, flight)
	w.serveWaiting(g)
}

func (w *worker) enqueue(g *group, flight int32) {
	w.flights[flight].state, w.flights[flight].next = waiting, none
	if g.first == none {
		g.first = flight
	} else {
		w.flights[g.last].next = flight
	}
	g.last = flight
}

// dequeue takes a request that is given up out of its queue. The oldest is at the head, but for calls that had to wait for an answer.
func (w *worker) dequeue(g *group, flight int32) {
	if g.first == flight {
		g.first = w.flights[flight].next
		return
	}
	before := g.first
	for w.flights[before].next != flight {
		before = w.flights[before].next
	}
	w.flights[before].next = w.flights[flight].next
	if g.last == flight {
		g.last = before
	}
}

// serveWaiting gives free connections to the samples that wait longest.
func (w *worker) serveWaiting(g *group) {
	for g.first != none && !g.exhausted() {
		flight := g.first
		g.first = w.flights[flight].next
		if c := g.idle.front; c != nil {
			w.send(c, flight)
			continue
		}
		c := g.closed.front
		if !w.open(c) {
			w.end(flight, outcome{}, ErrRefused)
			continue
		}
		f := &w.flights[flight]
		f.state, f.conn = dialling, c.tag
		c.flight = flight
	}
}

// expire gives up the samples that are past their deadline. Deadlines have the order of the schedule, so the oldest is looked at.
func (w *worker) expire(now int64) {
	for w.oldest < w.next {
		f := &w.flights[w.oldest]
		if f.state == ended {
			w.oldest++
			continue
		}
		if w.deadline(w.oldest) > now {
			return
		}
		w.giveUp(w.oldest, now)
	}
}

func (w *worker) giveUp(flight int32, now int64) {
	f := &w.flights[flight]
	f.done = now
	if f.state == waiting {
		w.dequeue(w.groupOf(flight), flight)
		w.end(flight, outcome{}, ErrTimeout)
		return
	}
	if f.state == inFlight {
		w.conns[f.conn].answered = true // it did carry requests: open it again for those to come
	}
	w.fail(&w.conns[f.conn], ErrTimeout)
}

// end takes down what became of a request, and records the sample that it is, or that it completes.
func (w *worker) end(flight int32, got outcome, err error) {
	f := &w.flights[flight]
	if f.done == 0 {
		f.done = w.now()
	}
	requests := 1
	if f.state != inFlight { // it never got a connection: all it did was wait
		f.sent, requests = f.done, 0
	}
	f.state = ended
	if w.wholes != nil && w.kindOf(flight).calls > 0 {
		w.gather(flight, requests, got, err)
		return
	}
	seq := w.seq(flight)
	w.recorder.Record(Sample{
		Seq: seq, Due: w.schedule[seq].Due, Ready: time.Duration(f.ready), Sent: time.Duration(f.sent), Done: time.Duration(f.done),
		Waited: f.waited, Declared: got.declared && err == ErrStatus, Requests: requests, Status: got.status, Bytes: got.bytes, Err: err, Timing: w.told,
	})
}

// countBusy keeps the clock of the time in which no connection was free, as the mean over the groups.
func (w *worker) countBusy() {
	exhausted := 0
	for _, g := range w.groups {
		if g != nil && g.exhausted() {
			exhausted++
		}
	}
	if exhausted != w.exhausted {
		w.exhausted = exhausted
		w.allBusy.set(w.now(), float64(exhausted)/float64(w.inUse))
	}
}

// busyClock integrates a share of time that changes now and then, and can be read from outside at any moment.
type busyClock struct {
	total atomic.Int64 // ns, up to since
	since atomic.Int64
	share atomic.Int64 // in millionths
}

func (b *busyClock) set(now int64, share float64) {
	millionths := int64(share * 1e6)
	b.total.Add((now - b.since.Load()) * b.share.Load() / 1e6)
	b.since.Store(now)
	b.share.Store(millionths)
}

// read is exact to one change of the share, as that is not locked.
func (b *busyClock) read(now int64) time.Duration {
	return time.Duration(b.total.Load() + (now-b.since.Load())*b.share.Load()/1e6)
}
