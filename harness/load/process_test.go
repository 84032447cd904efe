package load

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	vegeta "github.com/tsenart/vegeta/v12/lib"

	"crossroads/results"
	"crossroads/topologies"
)

func okOrigin(t testing.TB) string {
	return answers(t, func(c net.Conn, _ *http.Request) bool {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		return true
	})
}

func testJob(url string) Job {
	return Job{
		Target: target(url, 4), Arrivals: Arrivals{Kind: Poisson}, Rate: 200, Seed: 3, Warmup: 200 * time.Millisecond, Duration: 500 * time.Millisecond,
		Driver: DriverNative, Pacing: Precise,
	}
}

// A whole trial in a process of its own: counts, marks, evidence, and every sample in a file that vegeta's own decoder reads.
func TestRun(t *testing.T) {
	url := okOrigin(t)
	for _, driver := range []string{DriverNative, DriverVegeta} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			job := testJob(url)
			job.Driver, job.Samples = driver, filepath.Join(t.TempDir(), "samples.gob")
			var events []string
			var pid int
			r, err := RunObserved(t.Context(), job, os.Args[0], func(e Event) {
				events = append(events, e.Event)
				if e.Event == EventReady {
					pid = e.PID
				}
			})
			require.NoError(t, err)
			require.Equal(t, []string{EventReady, EventBlockStart, EventBlockEnd, EventResult}, events)
			require.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH, "the process is gone")
			require.Equal(t, int64(100), r.Counts.Planned)
			require.Equal(t, r.Counts.Planned, r.Counts.Done)
			require.Equal(t, int64(200), r.Counts.Bytes)
			require.Equal(t, map[string]int64{"200": 100}, r.Statuses)
			require.Empty(t, r.Errors)
			require.Positive(t, r.Elapsed)
			require.Positive(t, r.Driver.CPU)
			require.LessOrEqual(t, r.Driver.Spin, r.Driver.CPU)
			require.GreaterOrEqual(t, r.Driver.Given, int64(r.Elapsed))
			require.Contains(t, []string{"fifo", "nice -10", "normal"}, r.Driver.Priority)
			var done int64
			for _, s := range r.Seconds {
				done += s.Done
			}
			require.Equal(t, int64(140), done, "the warm-up is in the series")
			for _, name := range []string{results.Response, results.Service, results.Slip, results.WaitTime} {
				require.Equal(t, int64(100), r.Times[name].Count, name)
			}
			requireVegetaReads(t, job)
		})
	}
}

func requireVegetaReads(t *testing.T, job Job) {
	f, err := os.Open(job.Samples)
	require.NoError(t, err)
	defer f.Close()
	decode := vegeta.DecoderFor(f)
	require.NotNil(t, decode)
	var m vegeta.Metrics
	seen := map[uint64]bool{}
	for {
		var r vegeta.Result
		if err := decode.Decode(&r); err != nil {
			require.ErrorIs(t, err, io.EOF)
			break
		}
		require.False(t, seen[r.Seq])
		seen[r.Seq] = true
		require.Equal(t, job.Target.Entries[0]+"/", r.URL)
		require.Positive(t, r.Latency)
		m.Add(&r)
	}
	m.Close()
	require.Equal(t, uint64(140), m.Requests)
	require.Equal(t, 1.0, m.Success)
}

func TestRunMarksTheBlock(t *testing.T) {
	var marks []bool
	_, err := Run(t.Context(), testJob(okOrigin(t)), os.Args[0], func(start bool) { marks = append(marks, start) })
	require.NoError(t, err)
	require.Equal(t, []bool{true, false}, marks)
}

func TestRunAgainstNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	url := "http://" + l.Addr().String()
	require.NoError(t, l.Close())
	r, err := Run(t.Context(), testJob(url), os.Args[0], nil)
	require.NoError(t, err, "a dead target is a result, not a failure of the driver")
	require.Equal(t, map[string]int64{"refused": 100}, r.Errors)
	require.Equal(t, results.Counts{Planned: 100, Ready: 100, Errors: 100, Waited: 100}, r.Counts)
}

func TestRunRefusesABadJob(t *testing.T) {
	for want, change := range map[string]func(*Job){
		`driver "siege"`:           func(j *Job) { j.Driver = "siege" },
		`pacing "sloppy"`:          func(j *Job) { j.Pacing = "sloppy" },
		"above zero":               func(j *Job) { j.Duration = 0 },
		"rate 0":                   func(j *Job) { j.Rate = 0 },
		"pinning the driver":       func(j *Job) { j.CPUs = []int{1000} },
		"no entry":                 func(j *Job) { j.Target.Entries = nil },
		"no certificate in PEM":    func(j *Job) { j.Target.Roots = "none" },
		"samples: open /nowhere/s": func(j *Job) { j.Samples = "/nowhere/s" },
	} {
		t.Run(want, func(t *testing.T) {
			job := testJob(okOrigin(t))
			job.Warmup, job.Duration = 0, 50*time.Millisecond
			change(&job)
			_, err := Run(t.Context(), job, os.Args[0], nil)
			require.ErrorContains(t, err, want)
		})
	}
}

func TestRunWithoutAnExecutable(t *testing.T) {
	_, err := Run(t.Context(), testJob("http://127.0.0.1:1"), "/nowhere/crossroads", nil)
	require.ErrorContains(t, err, "/nowhere/crossroads")
	_, err = Run(t.Context(), testJob("http://127.0.0.1:1"), "/bin/true", nil)
	require.ErrorContains(t, err, "driver")
}

// A driver that dies says so, with its last words.
func TestRunOfADriverThatDies(t *testing.T) {
	script := filepath.Join(t.TempDir(), "dies")
	require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\nread job\necho '{\"event\":\"ready\"}'\necho out of luck >&2\nexit 3\n"), 0o755))
	_, err := Run(t.Context(), testJob("http://127.0.0.1:1"), script, nil)
	require.ErrorContains(t, err, "ended without a result")
	require.ErrorContains(t, err, "exit status 3")
	require.ErrorContains(t, err, "out of luck")
}

func TestRunIsCancelled(t *testing.T) {
	job := testJob(okOrigin(t))
	job.Duration = time.Hour
	job.Rate = 1
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("the operator had enough")
	pid := 0
	_, err := RunObserved(ctx, job, os.Args[0], func(e Event) {
		pid = max(pid, e.PID)
		if e.Event == EventBlockStart {
			cancel(reason)
		}
	})
	require.ErrorIs(t, err, reason)
	require.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH)
}

// The driver ends with its stdin, in whatever it is doing: before the job, between samples, and with samples that are never answered.
func TestEndOfStdinEndsTheProcess(t *testing.T) {
	silent := answers(t, func(net.Conn, *http.Request) bool { return true })
	for _, driver := range []string{DriverNative, DriverVegeta} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			job := testJob(silent)
			job.Driver, job.Duration, job.Target.Timeout = driver, time.Hour, time.Hour
			c := exec.Command(os.Args[0], Command)
			stdin, err := c.StdinPipe()
			require.NoError(t, err)
			stdout, err := c.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, c.Start())
			_, err = io.WriteString(stdin, asJSON(job)+"\n")
			require.NoError(t, err)
			in := bufio.NewReader(stdout)
			require.Equal(t, EventReady, readEvent(t, in).Event)
			require.Equal(t, EventBlockStart, readEvent(t, in).Event)
			require.NoError(t, stdin.Close())
			last := readEvent(t, in)
			require.Equal(t, EventError, last.Event)
			require.Equal(t, "stdin ended", last.Error)
			var exit *exec.ExitError
			require.ErrorAs(t, c.Wait(), &exit)
			require.Equal(t, 1, exit.ExitCode())
		})
	}
}

func readEvent(t *testing.T, in *bufio.Reader) (e Event) {
	line, err := in.ReadBytes('\n')
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(line, &e))
	return e
}

func TestServeWithoutAJob(t *testing.T) {
	for _, in := range []string{"", "{", "not JSON\n", "{\"rate\": \"fast\"}\n"} {
		var out bytes.Buffer
		require.Equal(t, 1, Serve(strings.NewReader(in), &out))
		require.Contains(t, out.String(), "reading the job")
	}
}

// A trial's schedule has exactly its share of arrivals in the warm-up and in the block, and the block does not depend on the warm-up.
func TestJobSchedule(t *testing.T) {
	job := testJob("http://127.0.0.1:1")
	job.Rate, job.Warmup, job.Duration = 333, 1500*time.Millisecond, 2*time.Second
	for _, a := range []Arrivals{{Kind: Poisson}, {Kind: Constant}} {
		job.Arrivals = a
		s, err := job.Schedule()
		require.NoError(t, err)
		warm := 0
		for _, x := range s {
			if x.Due < job.Warmup {
				warm++
			}
		}
		require.Equal(t, 500, warm)
		require.Equal(t, 666, len(s)-warm)
		short := job
		short.Warmup = 0
		block, err := short.Schedule()
		require.NoError(t, err)
		for i, x := range block {
			require.Equal(t, Arrival{Due: x.Due + job.Warmup, Request: x.Request}, s[warm+i])
		}
	}
	job.Arrivals = Arrivals{Kind: Ramp, From: 0.5}
	s, err := job.Schedule()
	require.NoError(t, err)
	require.Len(t, s, 250+500, "the warm-up stays where the ramp starts")
	job.Arrivals.From = 0
	s, err = job.Schedule()
	require.NoError(t, err)
	require.Len(t, s, 333)
}

func TestJobWorkers(t *testing.T) {
	job := testJob("http://127.0.0.1:1")
	job.Target.Connections = 64
	require.Equal(t, 1, job.workers(), "on shared CPUs a low rate needs one")
	job.CPUs = []int{0, 1, 2}
	require.Equal(t, 3, job.workers())
	require.Equal(t, 3, job.given())
	job.Target.Connections = 2
	require.Equal(t, 2, job.workers(), "each worker needs a connection")
	job.Target.Connections, job.Target.Entries = 4, []string{"http://127.0.0.1:1", "http://127.0.0.1:2"}
	require.Equal(t, 2, job.workers(), "three workers and two entries would need six")
	job.Driver = DriverVegeta
	require.Equal(t, 1, job.workers())
	job.CPUs = nil
	require.Equal(t, runtime.NumCPU(), job.given())
}

func TestDeclaredArrivals(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "times.txt"), []byte("0\n1\n4\n"), 0o644))
	for want, in := range map[*Arrivals]topologies.Arrivals{
		{Kind: Poisson}:         {},
		{Kind: Constant}:        {Kind: "constant"},
		{Kind: Ramp, From: 0.1}: {Kind: "ramp", Ramp: &topologies.Ramp{From: 0.1}},
		{Kind: Recorded, Recorded: []float64{0, 1, 4}}: {Kind: "recorded", Recorded: "times.txt"},
	} {
		got, err := DeclaredArrivals(in, dir)
		require.NoError(t, err)
		require.Equal(t, *want, got)
	}
	_, err := DeclaredArrivals(topologies.Arrivals{Recorded: "missing.txt"}, dir)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "bad.txt"), []byte("0\nx\n"), 0o644))
	_, err = DeclaredArrivals(topologies.Arrivals{Recorded: "bad.txt"}, dir)
	require.ErrorContains(t, err, `bad.txt:2: "x" is not a time`)
}

// The native driver allocates nothing per request: what it needs it reserves before the start.
func TestNativeAllocatesNothingPerRequest(t *testing.T) {
	url := startOrigin(t)
	mallocs := func(n int) float64 {
		s := make(Schedule, n)
		for i := range s {
			s[i].Due = time.Duration(i) * 50 * time.Microsecond
		}
		tally := NewTallies(1, s, Block{To: time.Hour})
		var before, after runtime.MemStats
		d := &Native{Pacing: Economical, OnStart: func(time.Time) { runtime.ReadMemStats(&before) }}
		require.NoError(t, d.Drive(t.Context(), target(url, 16), s, []Recorder{tally[0]}))
		runtime.ReadMemStats(&after)
		require.Equal(t, int64(n), tally[0].counts.Done)
		return float64(after.Mallocs - before.Mallocs)
	}
	few := mallocs(1000)
	many := mallocs(9000)
	t.Logf("%s allocations for 1,000 requests, %s for 9,000", strconv.FormatFloat(few, 'f', 0, 64), strconv.FormatFloat(many, 'f', 0, 64))
	require.Less(t, (many-few)/8000, 0.01)
}
