package workload

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
	"golang.org/x/sys/unix"

	"crossroads/topologies"
)

// BenchmarkSleep prints how late a wait of 200 us ends, for the Sleeper and for time.Sleep, one at a time on an idle process: the case
// in which the runtime's own timers are worst.
func BenchmarkSleep(b *testing.B) {
	s := NewSleeper()
	defer s.Close()
	for _, c := range []struct {
		name  string
		sleep func(time.Duration) error
	}{{"timerfd", s.Sleep}, {"runtime", func(d time.Duration) error { time.Sleep(d); return nil }}} {
		b.Run(c.name, func(b *testing.B) {
			const want = 200 * time.Microsecond
			var late []time.Duration
			for b.Loop() {
				began := time.Now()
				if err := c.sleep(want); err != nil {
					b.Fatal(err)
				}
				late = append(late, time.Since(began)-want)
			}
			slices.Sort(late)
			b.ReportMetric(float64(late[len(late)/2].Nanoseconds())/1e3, "late-p50-us")
			b.ReportMetric(float64(late[len(late)*99/100].Nanoseconds())/1e3, "late-p99-us")
		})
	}
}

// BenchmarkHandle is the node's own code for one request, without connections: no calls, no CPU, no wait.
func BenchmarkHandle(b *testing.B) {
	e, err := topologies.Parse("b.yaml", []byte(bare))
	require.NoError(b, err)
	n, err := New(Config{Experiment: e, Service: "app", Replica: 1})
	require.NoError(b, err)
	var ctx fasthttp.RequestCtx
	ctx.Init(&fasthttp.Request{}, nil, nil)
	ctx.Request.SetRequestURI("http://app/")
	ctx.Request.Header.Set(HeaderSeq, "12345")
	ctx.Request.Header.Set("Via", "1.1 gateway")
	b.ReportAllocs()
	for b.Loop() {
		ctx.Response.Reset()
		n.handle(&ctx)
	}
}

const bare = `version: 1
name: bare
application: {entry: app, services: {app: {response: {size: 1KiB}}}}
topologies: {direct: {}}
load: {rates: [1]}
`

// caller makes one call and does nothing else: what a call costs the caller.
const caller = `version: 1
name: caller
application: {entry: app, services: {app: {response: {size: 1KiB}, script: [{call: leaf}]}, leaf: {response: {size: 1KiB}}}}
topologies: {direct: {}}
load: {rates: [1]}
`

// BenchmarkProcess prints the CPU that a node costs for one request over one kept connection, by the process's own account: leaf
// answers only, caller makes one call as well. Closed loop, so the figures are those of a node without queues.
func BenchmarkProcess(b *testing.B) {
	dir := b.TempDir()
	binary := filepath.Join(dir, "workload")
	build := exec.Command("go", "build", "-o", binary, "crossroads/harness/cmd/workload")
	out, err := build.CombinedOutput()
	require.NoError(b, err, string(out))
	leafAddress := free(b)
	for _, c := range []struct{ name, experiment, service, peers string }{
		{"leaf", bare, "app", "{}"},
		{"caller", caller, "app", `{"leaf":["` + leafAddress + `"]}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			if c.name == "caller" {
				leaf := spawn(b, binary, caller, "leaf", leafAddress, "{}")
				defer end(b, leaf)
			}
			address := free(b)
			node := spawn(b, binary, c.experiment, c.service, address, c.peers)
			idle := cpu(b, node)
			client := &fasthttp.HostClient{Addr: address}
			q, s := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			q.SetRequestURI("http://" + address + "/")
			q.Header.Set(HeaderSeq, "1")
			requests := 0
			for b.Loop() {
				require.NoError(b, client.Do(q, s))
				requests++
			}
			require.Equal(b, 200, s.StatusCode())
			b.ReportMetric(float64((cpu(b, node)-idle).Nanoseconds())/1e3/float64(requests), "cpu-us/req")
			end(b, node)
		})
	}
}

func free(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	require.NoError(b, l.Close())
	return l.Addr().String()
}

func spawn(b *testing.B, binary, experiment, service, address, peers string) *exec.Cmd {
	file := filepath.Join(b.TempDir(), "e.yaml")
	require.NoError(b, os.WriteFile(file, []byte(experiment), 0o644))
	c := exec.Command(binary, "run", "--experiment", file, "--service", service, "--listen", address, "--peers", peers)
	require.NoError(b, c.Start())
	b.Cleanup(func() { c.Process.Kill() })
	require.Eventually(b, func() bool {
		status, _, err := fasthttp.Get(nil, "http://"+address+"/healthz")
		return err == nil && status == 200
	}, 10*time.Second, 5*time.Millisecond)
	return c
}

func end(b *testing.B, c *exec.Cmd) {
	require.NoError(b, c.Process.Signal(syscall.SIGTERM))
	require.NoError(b, c.Wait())
}

// cpu reads another process's CPU clock: nanoseconds, all threads, user and system. The clock id is made of the process id
// (clock_getcpuclockid(3)).
func cpu(b *testing.B, c *exec.Cmd) time.Duration {
	var t unix.Timespec
	require.NoError(b, unix.ClockGettime(int32((^c.Process.Pid)<<3|2), &t))
	return time.Duration(t.Nano())
}
