package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"crossroads/harness/deploy"
	"crossroads/harness/load"
	"crossroads/harness/meter"
	"crossroads/results"
	"crossroads/topologies"
)

const (
	connections = 32
	warmup      = time.Second
	timeout     = 10 * time.Second
)

// block is what one proxy did under one load.
type block struct {
	cpu, user, system float64 // microseconds a request
	rate              float64 // answered, per second
	p50, p99          float64 // response time, microseconds; with precise pacing only
	memory            float64 // resident at the end, MiB
}

// block loads a deployment and meters the proxy. The origin itself counts what came through in the block: the driver books a request
// to when it was due, and a flood's are answered much later.
func (c comparison) block(ctx context.Context, arm *topologies.Arm, d deploy.Deployment, k kind, seed uint64) (block, error) {
	job := load.Job{
		Target:   load.Target{Entries: []string{d.Entries()[0].URL}, Requests: []load.Request{{Method: "GET", Path: "/", Weight: 1}}, Connections: connections, Timeout: timeout},
		Arrivals: load.Arrivals{Kind: load.Poisson}, Rate: k.rate, Seed: seed, Warmup: warmup, Duration: c.duration,
		Driver: load.DriverNative, Pacing: k.pacing, CPUs: arm.Experiment.Placement.Driver, Grace: 50 * time.Millisecond,
	}
	var running *meter.Block
	var began time.Time
	var answered [2]int64
	var counting [2]error
	var measured block
	driver := 0
	result, err := load.RunObserved(ctx, job, c.executable, func(e load.Event) {
		switch e.Event {
		case load.EventReady:
			driver = e.PID
		case load.EventBlockStart:
			answered[0], counting[0] = answeredBy(ctx, d)
			began, running = time.Now(), meter.Start(d.Processes(), []int{driver})
		case load.EventBlockEnd:
			usage, _, _ := running.End()
			measured = ofGateway(usage)
			measured.rate = 1 / time.Since(began).Seconds()
			answered[1], counting[1] = answeredBy(ctx, d)
		}
	})
	if err := errors.Join(err, counting[0], counting[1]); err != nil {
		return block{}, err
	}
	done := float64(answered[1] - answered[0])
	if done == 0 || measured.cpu == 0 {
		return block{}, errors.New("nothing was answered, or no CPU time was read")
	}
	measured.cpu, measured.user, measured.system, measured.rate = measured.cpu/done, measured.user/done, measured.system/done, measured.rate*done
	if k.pacing == load.Precise {
		err = measured.times(result)
	}
	return measured, err
}

// times takes in the response times that the driver saw.
func (b *block) times(r *load.Result) error {
	h, err := r.Times[results.Response].Decode()
	if err != nil {
		return fmt.Errorf("reading response times: %w", err)
	}
	// Without an answer a quantile would be 0, and its ratio no number.
	if n := h.TotalCount(); !results.Printable(0.99, n) {
		return fmt.Errorf("%d responses are too few for a p99: give --latency a higher rate, or --duration more time", n)
	}
	b.p50, b.p99 = float64(results.Quantile(h, 0.50))/1e3, float64(results.Quantile(h, 0.99))/1e3
	return nil
}

// ofGateway is what the proxy used, times in microseconds.
func ofGateway(usage []results.Usage) block {
	for _, u := range usage {
		if u.Kind == deploy.KindGateway {
			return block{cpu: float64(u.CPU) / 1e3, user: float64(u.User) / 1e3, system: float64(u.System) / 1e3, memory: float64(u.RSS) / (1 << 20)}
		}
	}
	return block{}
}

// counter is the workload's own count of successes.
var counter = regexp.MustCompile(`workload_requests_total\{[^}]*code="2xx"\} (\d+)`)

// answeredBy asks the origin, past the proxy, how many requests it has answered.
func answeredBy(ctx context.Context, d deploy.Deployment) (int64, error) {
	for _, p := range d.Processes() {
		if p.Kind != deploy.KindWorkload {
			continue
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Admin+"/metrics", nil)
		if err != nil {
			return 0, fmt.Errorf("asking the origin for its count: %w", err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return 0, fmt.Errorf("asking the origin for its count: %w", err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			return 0, fmt.Errorf("asking the origin for its count: %w", err)
		}
		if found := counter.FindSubmatch(text); found != nil {
			return strconv.ParseInt(string(found[1]), 10, 64)
		}
	}
	return 0, errors.New("the origin does not tell how many requests it has answered")
}
