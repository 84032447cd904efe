package load

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// The test binary is also the driver's process and the origin of the benchmarks, so that both are what they will be: processes of
// their own.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case Command:
			os.Exit(Serve(os.Stdin, os.Stdout))
		case "origin":
			os.Exit(serveOrigin())
		}
	}
	// A process under the race detector sleeps for a second before it exits; those started here need not.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	// Workers keep their P while they sleep; the driver's process allows for that, and so must a test that has origins beside them.
	runtime.GOMAXPROCS(runtime.NumCPU() + 8)
	os.Exit(m.Run())
}

// serveOrigin answers at once with 1 KiB, prints its URL, and ends with its stdin.
func serveOrigin() int {
	l, err := net.Listen("tcp", "0.0.0.0:0") // on every loopback address: each has ephemeral ports of its own
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	body := make([]byte, 1024)
	s := fasthttp.Server{NoDefaultDate: true, Concurrency: 1 << 20, Handler: func(c *fasthttp.RequestCtx) { c.SetBody(body) }}
	go func() { _ = s.Serve(l) }()
	fmt.Printf("http://127.0.0.1:%d\n", l.Addr().(*net.TCPAddr).Port)
	_, _ = os.Stdin.Read(make([]byte, 1))
	return 0
}

// recorded is a recorder that keeps what it is given.
type recorded []Sample

func (r *recorded) Record(s Sample) { *r = append(*r, s) }

// driveWith runs a driver in this process with one worker, and returns every sample by sequence number.
func driveWith(t testing.TB, d Driver, to Target, s Schedule) []Sample {
	t.Helper()
	var r recorded
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := d.Drive(ctx, to, s, []Recorder{&r}); err != nil {
		t.Fatal(err)
	}
	samples := make([]Sample, len(s))
	for i := range samples {
		samples[i].Seq = -1
	}
	for _, x := range r {
		if samples[x.Seq].Seq >= 0 {
			t.Fatalf("sample %d was recorded twice", x.Seq)
		}
		samples[x.Seq] = x
	}
	for i, x := range samples {
		if x.Seq < 0 {
			t.Fatalf("sample %d was left out", i)
		}
	}
	return samples
}

func every(gap time.Duration, n int) Schedule {
	s := make(Schedule, n)
	for i := range s {
		s[i].Due = time.Duration(i) * gap
	}
	return s
}

func target(url string, connections int) Target {
	return Target{Entries: []string{url}, Requests: []Request{{Method: "GET", Path: "/"}}, Connections: connections, Timeout: 5 * time.Second}
}

func asJSON(v any) string {
	p, _ := json.Marshal(v)
	return string(p)
}
