package load

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Event is one line that a driver process prints.
type Event struct {
	Event    string        `json:"event"`
	At       time.Duration `json:"at_ns,omitempty"` // since the start of the trial
	PID      int           `json:"pid,omitempty"`
	Priority string        `json:"priority,omitempty"`
	Result   *Result       `json:"result,omitempty"`
	Error    string        `json:"error,omitempty"`
}

// The events, in their order. Error may come at any time, and is the last.
const (
	EventReady      = "ready"       // the connections are open; the start follows at once
	EventBlockStart = "block-start" // printed at that instant, for whoever reads meters
	EventBlockEnd   = "block-end"
	EventResult     = "result"
	EventError      = "error"
)

// Serve is the driver's process: it reads one Job from stdin, drives it, and prints events to stdout. The end of stdin ends it at once,
// so that it never outlives its parent. The result is the exit code: 0 if a result was printed.
func Serve(stdin io.Reader, stdout io.Writer) int {
	out := &eventWriter{to: stdout}
	if err := serve(stdin, out); err != nil {
		out.print(Event{Event: EventError, Error: err.Error()})
		return 1
	}
	return 0
}

func serve(stdin io.Reader, out *eventWriter) error {
	in := bufio.NewReader(stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("reading the job: %w", err)
	}
	var job Job
	if err := json.Unmarshal(line, &job); err != nil {
		return fmt.Errorf("reading the job: %w", err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	go func() {
		_, _ = io.Copy(io.Discard, in)
		cancel(errors.New("stdin ended"))
	}()
	priority, err := prepare(job)
	if err != nil {
		return err
	}
	result, err := drive(ctx, job, out, priority)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return err
	}
	out.print(Event{Event: EventResult, Result: result})
	return out.failed()
}

// prepare gives the process its CPUs and its priority, and keeps the garbage collector out of the native driver's way: it allocates
// nothing while it measures, so there is nothing to collect.
func prepare(job Job) (priority string, err error) {
	if err := job.validate(); err != nil {
		return "", err
	}
	if err := pin(job.CPUs); err != nil {
		return "", err
	}
	if job.Driver == DriverNative {
		debug.SetGCPercent(-1)
		debug.SetMemoryLimit(4 << 30) // beyond this something is wrong, and a collection is the lesser evil
		// Workers keep their P in raw system calls: two more carry the marks and the reader of stdin.
		runtime.GOMAXPROCS(job.workers() + 2)
	}
	return raisePriority(job.Driver == DriverNative), nil
}

// drive runs the job in this process.
func drive(ctx context.Context, job Job, out *eventWriter, priority string) (*Result, error) {
	if err := job.validate(); err != nil {
		return nil, err
	}
	schedule, err := job.Schedule()
	if err != nil {
		return nil, err
	}
	tallies := NewTallies(job.workers(), schedule, job.block())
	recorders := make([]Recorder, len(tallies))
	for i, t := range tallies {
		recorders[i] = t
	}
	var kept []*keeper
	if job.Samples != "" {
		kept = keepSamples(recorders, len(schedule))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := &marks{ctx: ctx, job: job, out: out, priority: priority}
	m.driver = newDriver(job, m.begin)
	err = m.driver.Drive(ctx, job.Target, schedule, recorders)
	if err != nil {
		cancel()
	}
	m.done.Wait()
	if err = cmp.Or(err, ctx.Err()); err != nil {
		return nil, err
	}
	result, err := merge(tallies, schedule)
	if err != nil {
		return nil, err
	}
	m.fill(result)
	if err := job.toll(result, schedule, tallies[0].points); err != nil {
		return nil, err
	}
	if job.Samples != "" {
		return result, writeSamples(job.Samples, job.Target, m.start, schedule, kept)
	}
	return result, nil
}

func newDriver(job Job, onStart func(time.Time)) Driver {
	var cutoff time.Duration
	if job.Grace > 0 {
		cutoff = job.Warmup + job.Duration + job.Grace
	}
	if job.Driver == DriverVegeta {
		return &Vegeta{Pacing: job.Pacing, Cutoff: cutoff, OnStart: onStart}
	}
	return &Native{Pacing: job.Pacing, Cutoff: cutoff, OnStart: onStart}
}

// marks prints the events of a trial and reads the driver's own use at the edges of the block.
type marks struct {
	ctx      context.Context
	job      Job
	out      *eventWriter
	priority string
	driver   Driver
	start    time.Time
	edges    [2]edge
	done     sync.WaitGroup
}

// edge is what was used until one end of the block.
type edge struct {
	at     time.Duration
	cpu    time.Duration
	effort Effort
}

func (m *marks) begin(start time.Time) {
	m.start = start
	m.out.print(Event{Event: EventReady, PID: os.Getpid(), Priority: m.priority})
	m.done.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		b := m.job.block()
		for i, mark := range []struct {
			at   time.Duration
			name string
		}{{b.From, EventBlockStart}, {b.To, EventBlockEnd}} {
			if !m.sleepUntil(mark.at) {
				return
			}
			m.edges[i] = edge{at: time.Since(start), cpu: processCPU(), effort: m.driver.Effort()}
			m.out.print(Event{Event: mark.name, At: m.edges[i].at})
		}
	})
}

// sleepUntil ends the sleep by the kernel's clock, as Go's timers are rounded up to a millisecond in an idle process.
func (m *marks) sleepUntil(at time.Duration) bool {
	const last = 5 * time.Millisecond
	select {
	case <-m.ctx.Done():
		return false
	case <-time.After(at - last - time.Since(m.start)):
	}
	for rest := at - time.Since(m.start); rest > 0; rest = at - time.Since(m.start) {
		t := unix.NsecToTimespec(int64(rest))
		_ = unix.Nanosleep(&t, nil) // cut short by a signal: the loop looks at the clock again
	}
	return true
}

func (m *marks) fill(r *Result) {
	from, to := m.edges[0], m.edges[1]
	r.Elapsed = to.at - from.at
	cpu := to.cpu - from.cpu
	r.Driver.CPU = int64(cpu)
	r.Driver.Spin = int64(min(to.effort.Spin-from.effort.Spin, cpu)) // a spin that was preempted is longer by the clock than by the CPU
	r.Driver.Given = int64(r.Elapsed) * int64(m.job.given())
	r.Driver.AllBusy = int64(to.effort.AllBusy - from.effort.AllBusy)
	r.Driver.Dials = to.effort.Dials - from.effort.Dials
	r.Driver.Priority = m.priority
}

// eventWriter prints events as JSON lines, whole, from any goroutine.
type eventWriter struct {
	mu  sync.Mutex
	to  io.Writer
	err error
}

func (w *eventWriter) print(e Event) {
	line, err := json.Marshal(e)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		_, err = w.to.Write(append(line, '\n'))
	}
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("printing the event %s: %w", e.Event, err)
	}
}

func (w *eventWriter) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}
