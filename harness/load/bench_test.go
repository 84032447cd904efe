package load

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"crossroads/results"
)

// startOrigin starts an origin in a process of its own.
func startOrigin(b testing.TB) (url string) {
	b.Helper()
	c := exec.Command(os.Args[0], "origin")
	c.Stderr = os.Stderr
	stdin, err := c.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { stdin.Close(); _ = c.Wait() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// benchmarkDriver runs one trial in a driver process and reports what it cost and how punctual it was. One iteration is one trial: run
// it with -benchtime=1x -count=N.
func benchmarkDriver(b *testing.B, driver string, pacing Pacing, rate float64) {
	url := startOrigin(b)
	for seed := uint64(1); b.Loop(); seed++ {
		job := Job{
			Target: Target{Entries: []string{url}, Requests: []Request{{Method: "GET", Path: "/"}}, Connections: 64, Timeout: 5 * time.Second},
			Rate:   rate, Seed: seed, Warmup: time.Second, Duration: 4 * time.Second, Driver: driver, Pacing: pacing,
		}
		r, err := Run(context.Background(), job, os.Args[0], nil)
		if err != nil {
			b.Fatal(err)
		}
		if r.Counts.Done != r.Counts.Planned {
			b.Fatalf("%d of %d answered: %v", r.Counts.Done, r.Counts.Planned, r.Errors)
		}
		for name, unit := range map[string]string{results.Slip: "slip", results.Response: "response", results.Service: "service"} {
			h, err := r.Times[name].Decode()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(h.ValueAtQuantile(50))/1e3, unit+"-p50-us")
			b.ReportMetric(float64(h.ValueAtQuantile(99))/1e3, unit+"-p99-us")
		}
		b.ReportMetric(float64(r.Driver.CPU)/float64(r.Counts.Done)/1e3, "cpu-us/req")
		b.ReportMetric(float64(r.Driver.CPU-r.Driver.Spin)/float64(r.Counts.Done)/1e3, "cpu-less-spin-us/req")
		b.ReportMetric(0, "ns/op")
	}
}

func BenchmarkNativePrecise(b *testing.B) {
	for _, rate := range []float64{1000, 2000} {
		b.Run(fmt.Sprintf("rate=%v", rate), func(b *testing.B) { benchmarkDriver(b, DriverNative, Precise, rate) })
	}
}

func BenchmarkVegetaPrecise(b *testing.B) {
	for _, rate := range []float64{1000, 2000} {
		b.Run(fmt.Sprintf("rate=%v", rate), func(b *testing.B) { benchmarkDriver(b, DriverVegeta, Precise, rate) })
	}
}

func BenchmarkNativeEconomical(b *testing.B) {
	for _, rate := range []float64{5000, 8000} {
		b.Run(fmt.Sprintf("rate=%v/driver=native", rate), func(b *testing.B) { benchmarkDriver(b, DriverNative, Economical, rate) })
		b.Run(fmt.Sprintf("rate=%v/driver=vegeta", rate), func(b *testing.B) { benchmarkDriver(b, DriverVegeta, Economical, rate) })
	}
}
