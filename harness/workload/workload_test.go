package workload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"crossroads/topologies"
)

// app is every node of an experiment, running in this process.
type app struct {
	t     *testing.T
	entry string // address
	nodes []*Node
	ended []chan error
}

func experiment(t *testing.T, application string) *topologies.Experiment {
	t.Helper()
	e, err := topologies.Parse("t.yaml", []byte("version: 1\nname: t\nload: {rates: [1], timeout: 5s}\ntopologies: {direct: {}}\napplication:\n"+application))
	require.NoError(t, err)
	return e
}

// start brings up every replica of every service on TCP ports of its own; override replaces where calls to a service go.
func start(t *testing.T, e *topologies.Experiment, override map[string][]string) *app {
	t.Helper()
	peers, listeners := map[string][]string{}, map[string][]net.Listener{}
	for name, s := range e.Application.Services.All() {
		for range s.Replicas {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			listeners[name] = append(listeners[name], l)
			peers[name] = append(peers[name], l.Addr().String())
		}
	}
	a := &app{t: t, entry: peers[e.Application.Entry][0]}
	t.Cleanup(a.stop)
	for name, to := range override {
		peers[name] = to
	}
	for _, name := range e.Application.Services.Keys() {
		for i, l := range listeners[name] {
			a.run(l, Config{Experiment: e, Service: name, Replica: i + 1, Peers: peers, Calibration: 100})
		}
	}
	return a
}

func (a *app) run(l net.Listener, c Config) {
	n, err := New(c)
	require.NoError(a.t, err)
	a.nodes = append(a.nodes, n)
	ended := make(chan error, 1)
	a.ended = append(a.ended, ended)
	go func() { ended <- n.Serve(l) }()
}

// stop ends all nodes at once: each takes a tenth of a second to see that its connections are idle.
func (a *app) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	errs := make([]error, len(a.nodes))
	var wg sync.WaitGroup
	for i, n := range a.nodes {
		wg.Go(func() { errs[i] = errors.Join(n.Shutdown(ctx), <-a.ended[i]) })
	}
	wg.Wait()
	require.NoError(a.t, errors.Join(errs...))
}

type answer struct {
	status  int
	body    string
	headers map[string]string
}

func (a *app) get(headers ...string) answer {
	a.t.Helper()
	q, s := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(q)
	defer fasthttp.ReleaseResponse(s)
	q.SetRequestURI("http://" + a.entry + "/")
	for i := 0; i < len(headers); i += 2 {
		q.Header.Add(headers[i], headers[i+1])
	}
	require.NoError(a.t, fasthttp.Do(q, s))
	got := answer{status: s.StatusCode(), body: string(s.Body()), headers: map[string]string{}}
	for k, v := range s.Header.All() {
		got.headers[string(k)] = string(v)
	}
	return got
}

func (a *app) probe(headers ...string) Probe {
	a.t.Helper()
	got := a.get(headers...)
	var p Probe
	require.NoError(a.t, json.Unmarshal([]byte(got.body), &p), got.body)
	require.Equal(a.t, got.status, p.Status)
	return p
}

// lattice is a call graph with sequence, concurrency, chance, a shared callee, replicas and declared errors.
const lattice = `
  entry: top
  services:
    top: {work: {cpu: 1us}, response: {size: 100B}, script: [{call: left}, [{call: right, probability: 50%}, {call: shared, probability: 30%}, {call: left}]]}
    left: {replicas: 2, work: {wait: {exponential: {mean: 50us}}}, response: {size: 7B}, script: [[{call: shared}, {call: shared, probability: 20%}]]}
    right: {errors: 20%, work: {wait: {lognormal: {median: 40us, sigma: 0.5}}}, script: [{call: shared, request: {size: 3KiB}}]}
    shared: {errors: 2%, work: {wait: {recorded: [1us, 2us, 30us]}}}
`

// work is everything that a request made happen, as text; which replica answered and over which connection is left out.
func work(p *Probe) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s cpu=%d wait=%d status=%d %s %v[", p.Service, p.CallPath, p.CPU, p.Wait, p.Status, p.Failed, p.Declared)
	for _, c := range p.Calls {
		fmt.Fprintf(&b, " %d.%d %s made=%v failed=%s", c.Step, c.Call, c.To, c.Made, c.Failed)
		if c.Probe != nil {
			b.WriteString(work(c.Probe))
		}
	}
	return b.String() + "]"
}

// TestSameSequenceNumberSameWork is the invariant: whatever the order and the concurrency, and in every copy of the application, the
// same sequence number does the same work, and different ones do not all do the same.
func TestSameSequenceNumberSameWork(t *testing.T) {
	const requests = 200
	e := experiment(t, lattice)
	want := make([]string, requests)
	one := start(t, e, nil)
	distinct := map[string]bool{}
	for seq := range requests {
		p := one.probe(HeaderProbe, "1", HeaderSeq, strconv.Itoa(seq))
		want[seq] = work(&p)
		distinct[want[seq]] = true
	}
	require.Greater(t, len(distinct), requests/2)

	other := start(t, e, nil)
	var wg sync.WaitGroup
	got := make([]string, requests)
	for worker := range 16 {
		wg.Go(func() {
			for seq := requests - 1 - worker; seq >= 0; seq -= 16 {
				p := other.probe(HeaderProbe, "1", HeaderSeq, strconv.Itoa(seq))
				got[seq] = work(&p)
			}
		})
	}
	wg.Wait()
	require.Equal(t, want, got)
}

func TestSeedAndAttemptChangeTheDraws(t *testing.T) {
	e := experiment(t, lattice)
	a := start(t, e, nil)
	e2 := experiment(t, lattice)
	e2.Seed = 2
	b := start(t, e2, nil)
	same, retried := 0, 0
	for seq := range 50 {
		s := strconv.Itoa(seq)
		p, q := a.probe(HeaderProbe, "1", HeaderSeq, s), b.probe(HeaderProbe, "1", HeaderSeq, s)
		r := a.probe(HeaderProbe, "1", HeaderSeq, s, HeaderAttempt, "2")
		if work(&p) == work(&q) {
			same++
		}
		if work(&p) == work(&r) {
			retried++
		}
	}
	require.Less(t, same, 25)
	require.Less(t, retried, 50, "the entry's own draws differ; its callees see a first attempt")
}

// TestSharesAreMet holds the frequency of draws against what is declared, over sequence numbers as a driver sends them.
func TestSharesAreMet(t *testing.T) {
	origin := originHash(1, "right")
	const n = 100_000
	for p, share := range map[purpose]float64{forError: 0.2, forCall: 0.5, forCall + 1: 0.01, forWait: 0.9} {
		hits := 0
		for seq := range uint64(n) {
			if uniform(visitHash(origin, []byte("/1.0"), seq, 1), p) < share {
				hits++
			}
		}
		require.InDelta(t, share, float64(hits)/n, 0.006, "purpose %d", p) // more than three standard deviations
	}
}

func TestDistributions(t *testing.T) {
	for text, c := range map[string]struct{ mean, low, high time.Duration }{
		"{fixed: 3ms}":                           {3 * time.Millisecond, 3 * time.Millisecond, 3 * time.Millisecond},
		"{uniform: {min: 1ms, max: 3ms}}":        {2 * time.Millisecond, time.Millisecond, 3 * time.Millisecond},
		"{exponential: {mean: 2ms}}":             {2 * time.Millisecond, 0, time.Minute},
		"{lognormal: {median: 1ms, sigma: 0.5}}": {1133148 * time.Nanosecond, 0, time.Minute}, // exp(sigma^2/2) times the median
		"{recorded: [1ms, 2ms, 6ms]}":            {3 * time.Millisecond, time.Millisecond, 6 * time.Millisecond},
	} {
		e := experiment(t, "  {entry: a, services: {a: {work: {wait: "+text+"}}}}\n")
		s := e.Application.Services.At("a")
		d := NewDistribution(&s.Work.Wait)
		const n = 50_000
		sum := time.Duration(0)
		for i := range n {
			w := d((float64(i) + 0.5) / n)
			if w < c.low || w > c.high {
				t.Fatalf("%s: %s", text, w)
			}
			sum += w
		}
		require.InEpsilon(t, float64(c.mean), float64(sum)/n, 0.005, text)
		require.InEpsilon(t, float64(c.mean), float64(s.Work.Wait.Mean()), 1e-6, text)
		require.LessOrEqual(t, d(0), d(0.5))
		require.LessOrEqual(t, d(0.999999999), time.Minute)
	}
	require.Nil(t, NewDistribution(&topologies.Wait{}))
}

func TestAnswer(t *testing.T) {
	e := experiment(t, "  {entry: a, services: {a: {response: {size: 1000B}, script: [{call: b, request: {size: 2KiB}}]}, b: {response: {size: 5B}}}}\n")
	a := start(t, e, nil)
	got := a.get(HeaderSeq, "7", "Via", "1.1 one, 1.1 two", "Via", "1.1 three")
	require.Equal(t, 200, got.status)
	require.Len(t, got.body, 1000)
	require.Equal(t, got.body, a.get(HeaderSeq, "8").body)
	require.Equal(t, "a", got.headers[HeaderService])
	require.Equal(t, "1", got.headers[HeaderReplica])
	require.Equal(t, "3", got.headers[HeaderHops])
	require.Equal(t, 400, a.get(HeaderSeq, "x").status)
	require.Equal(t, 400, a.get(HeaderSeq, "99999999999999999999").status)
	require.Equal(t, 400, a.get(HeaderAttempt, "-1").status)
}

func TestContextIsPropagated(t *testing.T) {
	a := start(t, experiment(t, "  {entry: a, services: {a: {script: [{call: b, request: {size: 9B}}]}, b: {}}}\n"), nil)
	p := a.probe(HeaderProbe, "1", HeaderSeq, "5", "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "x-request-id", "r-1", "X-Api-Key", "demo")
	below := p.Calls[0].Probe
	require.Equal(t, "b", below.Host)
	require.Equal(t, "POST", below.Method)
	require.Equal(t, 9, below.Body)
	require.Equal(t, "5", below.Seq)
	require.Equal(t, "/0.0", below.CallPath)
	require.Contains(t, below.Headers, [2]string{"Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
	require.Contains(t, below.Headers, [2]string{"X-Request-Id", "r-1"})
	require.NotContains(t, fmt.Sprint(below.Headers), "demo", "credentials stop at the edge")
}

func TestDeclaredErrorsAreMarkedAllTheWayUp(t *testing.T) {
	e := experiment(t, "  {entry: a, services: {a: {script: [[{call: b}, {call: d}]]}, b: {script: [{call: c}]}, c: {errors: 100%}, d: {}}}\n")
	a := start(t, e, nil)
	got := a.get(HeaderSeq, "1")
	require.Equal(t, 502, got.status)
	require.Equal(t, "1", got.headers[HeaderDeclared])
	require.Equal(t, "call b: status 502\n", got.body)
	p := a.probe(HeaderProbe, "1", HeaderSeq, "1")
	require.True(t, p.Declared)
	require.Equal(t, 500, p.Calls[0].Probe.Calls[0].Probe.Status)
	require.Equal(t, 200, a.probe(HeaderProbe, "all").Status, "a probe of everything fails nowhere as declared")
}

func TestUndeclaredFailures(t *testing.T) {
	e := experiment(t, "  {entry: a, services: {a: {script: [[{call: b}, {call: c}], {call: d}]}, b: {response: {size: 5B}}, c: {errors: 100%}, d: {}}}\n")
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, dead.Close())
	a := start(t, e, map[string][]string{"b": {dead.Addr().String()}})
	got := a.get()
	require.Equal(t, 502, got.status)
	require.Empty(t, got.headers[HeaderDeclared], "a real failure beside a declared one is a real failure")
	p := a.probe(HeaderProbe, "1")
	require.Len(t, p.Calls, 2, "the step after a failed one is not made")
	require.Contains(t, p.Failed, "connection refused")

	short := start(t, experiment(t, "  {entry: b, services: {b: {response: {size: 4B}}}}\n"), nil)
	a = start(t, e, map[string][]string{"b": {short.entry}})
	require.Equal(t, "call b: 4 bytes instead of the declared 5\n", a.get().body)
}

func TestReplicasAreCalledInTurn(t *testing.T) {
	a := start(t, experiment(t, "  {entry: a, services: {a: {script: [{call: b}]}, b: {replicas: 3}}}\n"), nil)
	seen := map[int]int{}
	for range 9 {
		seen[a.probe(HeaderProbe, "1").Calls[0].Probe.Replica]++
	}
	require.Equal(t, map[int]int{1: 3, 2: 3, 3: 3}, seen)
}

func TestUnixSockets(t *testing.T) {
	e := experiment(t, "  {entry: a, services: {a: {script: [{call: b}]}, b: {response: {size: 3B}}}}\n")
	path := filepath.Join(t.TempDir(), "b.sock")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	a := start(t, e, map[string][]string{"b": {"unix:" + path}})
	a.run(l, Config{Experiment: e, Service: "b", Replica: 1})
	require.Equal(t, 200, a.get().status)
}

func TestNewRefuses(t *testing.T) {
	e := experiment(t, "  {entry: a, services: {a: {script: [{call: b}]}, b: {}}}\n")
	for _, c := range []Config{
		{Experiment: e, Service: "x"},
		{Experiment: e, Service: "a"},
		{Experiment: e, Service: "a", Peers: map[string][]string{"b": {"nowhere"}}},
	} {
		_, err := New(c)
		require.Error(t, err)
	}
}

func TestHealthAndMetrics(t *testing.T) {
	a := start(t, experiment(t, "  {entry: a, services: {a: {script: [{call: b}]}, b: {errors: 100%}}}\n"), nil)
	require.Equal(t, 502, a.get().status)
	fetch := func(path string) (int, string) {
		status, body, err := fasthttp.Get(nil, "http://"+a.entry+path)
		require.NoError(t, err)
		return status, string(body)
	}
	status, body := fetch("/healthz")
	require.Equal(t, 200, status)
	require.Equal(t, "ok\n", body)
	_, metrics := fetch("/metrics")
	require.Contains(t, metrics, `workload_requests_total{service="a",replica="1",code="5xx"} 1`)
	require.Contains(t, metrics, `workload_calls_total{service="a",replica="1",to="b",result="declared_error"} 1`)
	a.nodes[0].draining.Store(true)
	status, _ = fetch("/healthz")
	require.Equal(t, 503, status)
}

// TestShutdownLetsRequestsEnd: what is in flight is answered, then the listener is gone.
func TestShutdownLetsRequestsEnd(t *testing.T) {
	e := experiment(t, "  {entry: a, services: {a: {work: {wait: {fixed: 300ms}}, response: {size: 4B}}}}\n")
	n, err := New(Config{Experiment: e, Service: "a", Replica: 1})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- n.Serve(l) }()
	a := &app{t: t, entry: l.Addr().String()}
	status := make(chan int, 1)
	go func() { status <- a.get().status }()
	require.Eventually(t, func() bool { return n.counts.inFlight.Load() == 1 }, 5*time.Second, time.Millisecond)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	require.NoError(t, n.Shutdown(ctx))
	require.Equal(t, 200, <-status)
	require.NoError(t, <-ended)
	_, err = net.Dial("tcp", l.Addr().String())
	require.Error(t, err)
}

// Connections that nobody uses do not hold a node up. BenchmarkShutdown prints how long it takes.
func TestShutdownEndsIdleConnections(t *testing.T) { stopWithIdle(t, 8) }

func BenchmarkShutdown(b *testing.B) {
	for b.Loop() {
		stopWithIdle(b, 32)
	}
}

// stopWithIdle starts a node, leaves connections idle after a request each, and stops it.
func stopWithIdle(tb testing.TB, connections int) {
	e, err := topologies.Parse("b.yaml", []byte(bare))
	require.NoError(tb, err)
	n, err := New(Config{Experiment: e, Service: "app", Replica: 1})
	require.NoError(tb, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	ended := make(chan error, 1)
	go func() { ended <- n.Serve(l) }()
	var conns []net.Conn
	for range connections {
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(tb, err)
		defer c.Close()
		_, err = c.Write([]byte("GET / HTTP/1.1\r\nHost: app\r\n\r\n"))
		require.NoError(tb, err)
		_, err = c.Read(make([]byte, 4<<10))
		require.NoError(tb, err)
		conns = append(conns, c)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	require.NoError(tb, n.Shutdown(ctx))
	require.NoError(tb, <-ended)
	for _, c := range conns {
		_, err := io.ReadAll(c)
		require.NoError(tb, err, "it was closed, not reset")
	}
}

func TestSleeperNeverWakesEarly(t *testing.T) {
	s := NewSleeper()
	for _, d := range []time.Duration{0, 1, 10 * time.Microsecond, 200 * time.Microsecond, 3 * time.Millisecond} {
		began := time.Now()
		require.NoError(t, s.Sleep(d))
		require.GreaterOrEqual(t, time.Since(began), d)
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if err := s.Sleep(time.Millisecond); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s.Close()
	require.Error(t, s.Sleep(time.Millisecond))
}

func TestCalibration(t *testing.T) {
	c, err := Calibrate()
	require.NoError(t, err)
	again, err := ParseCalibration(c.String())
	require.NoError(t, err)
	require.InEpsilon(t, float64(c), float64(again), 1e-3)
	require.Equal(t, uint64(100), Calibration(10).Iterations(10*time.Microsecond))
	require.Zero(t, c.Iterations(0))
	for _, text := range []string{"", "x", "0", "-1", "NaN", "1e9"} {
		_, err := ParseCalibration(text)
		require.Error(t, err, text)
	}
	// The thread clock leaves out the time of others, but not the speed of the core, which a busy sibling halves: a coarse lower bound.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := threadCPU()
	require.NoError(t, err)
	burn(c.Iterations(20 * time.Millisecond))
	after, err := threadCPU()
	require.NoError(t, err)
	require.Greater(t, after-before, 2*time.Millisecond)
}
