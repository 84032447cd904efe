package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"text/tabwriter"
	"time"

	"crossroads/harness"
	"crossroads/harness/deploy"
	"crossroads/harness/deploy/process"
	"crossroads/harness/load"
	"crossroads/harness/meter"
	"crossroads/harness/parity"
	"crossroads/harness/rivals"
	"crossroads/results"
	"crossroads/results/stats"
	"crossroads/topologies"
)

// experiment is one service that only answers, behind each of the two. The proxy has the last CPU for itself.
const experiment = `
version: 1
name: compare-nginx
application: {entry: app, services: {app: {response: {size: 1KiB}}}}
topologies:
  gateway: {gateway: {use: reference}}
  nginx: {gateway: {use: nginx}}
load: {rates: [1], connections: 32}
placement: {driver: [0], proxies: [1], workload: [0]}
`

// comparison is what the command line says.
type comparison struct {
	rounds      int
	rate, flood float64
	duration    time.Duration
	executable  string
	progress    io.Writer
}

const (
	connections = 32
	warmup      = time.Second
	timeout     = 10 * time.Second
)

// cost is one block of one proxy.
type cost struct {
	cpu, user, system float64 // microseconds a request
	rate              float64 // answered, per second
}

// series is the blocks of both at one offered rate, by round.
type series map[string][]cost

func (c comparison) compare(ctx context.Context, stdout io.Writer) error {
	e, err := topologies.Parse("compare-nginx.yaml", []byte(experiment))
	if err != nil {
		return err
	}
	binaries, err := harness.Binaries(c.executable)
	if err != nil {
		return err
	}
	used, err := rivals.For(e)
	if err != nil {
		return err
	}
	logs, err := os.MkdirTemp("", "compare-nginx-")
	if err != nil {
		return fmt.Errorf("making a directory for logs: %w", err)
	}
	defer os.RemoveAll(logs)
	deployer, err := process.New(process.Config{Binaries: binaries, Dir: filepath.Join(logs, "deployments"), Rivals: used.Renderers()})
	if err != nil {
		return err
	}
	steady, flooded := series{}, series{}
	arms := e.Arms()
	for round := range c.rounds {
		for i := range arms {
			arm := arms[(i+round)%len(arms)] // who goes first alternates
			if err := c.visit(ctx, deployer, arm, uint64(round)+1, steady, flooded); err != nil {
				return fmt.Errorf("round %d, %s: %w", round+1, arm.Name, err)
			}
		}
	}
	fmt.Fprintf(stdout, "plain forwarding, 1 KiB answers, 32 connections, one CPU for the proxy, nginx %s, %d rounds of %v\n\n", used["nginx"].Version, c.rounds, c.duration)
	c.print(stdout, fmt.Sprintf("at %g/s", c.rate), steady)
	c.print(stdout, fmt.Sprintf("flooded with %g/s", c.flood), flooded)
	return nil
}

// visit deploys one arm, proves that it does its work, and measures both blocks.
func (c comparison) visit(ctx context.Context, deployer *process.Deployer, arm *topologies.Arm, seed uint64, steady, flooded series) (err error) {
	d, err := deployer.Deploy(ctx, arm)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close(context.WithoutCancel(ctx))) }()
	if failures := parity.Check(ctx, arm, d); len(failures) > 0 {
		return fmt.Errorf("it does not do its work: %s: %s", failures[0].Probe, failures[0].Text)
	}
	for _, block := range []struct {
		rate float64
		into series
	}{{c.rate, steady}, {c.flood, flooded}} {
		measured, err := c.block(ctx, arm, d, block.rate, seed)
		if err != nil {
			return err
		}
		if block.rate == c.rate && measured.rate < 0.98*c.rate {
			return fmt.Errorf("it answered %.0f/s of %g/s: choose a lower --rate", measured.rate, c.rate)
		}
		block.into[arm.Name] = append(block.into[arm.Name], measured)
		fmt.Fprintf(c.progress, "round %d  %-8s %6.0f/s  %.1f us a request\n", seed, arm.Name, measured.rate, measured.cpu)
	}
	return nil
}

// block loads a deployment and meters the proxy. The origin itself counts what came through in the block: the driver books a request
// to when it was due, and a flood's are answered much later.
func (c comparison) block(ctx context.Context, arm *topologies.Arm, d deploy.Deployment, rate float64, seed uint64) (cost, error) {
	job := load.Job{
		Target:   load.Target{Entries: []string{d.Entries()[0].URL}, Requests: []load.Request{{Method: "GET", Path: "/", Weight: 1}}, Connections: connections, Timeout: timeout},
		Arrivals: load.Arrivals{Kind: load.Poisson}, Rate: rate, Seed: seed, Warmup: warmup, Duration: c.duration,
		Driver: load.DriverNative, Pacing: load.Economical, CPUs: arm.Experiment.Placement.Driver, Grace: 50 * time.Millisecond,
	}
	var block *meter.Block
	var began time.Time
	var answered [2]int64
	var counting [2]error
	var measured cost
	driver := 0
	_, err := load.RunObserved(ctx, job, c.executable, func(e load.Event) {
		switch e.Event {
		case load.EventReady:
			driver = e.PID
		case load.EventBlockStart:
			answered[0], counting[0] = answeredBy(ctx, d)
			began, block = time.Now(), meter.Start(d.Processes(), []int{driver})
		case load.EventBlockEnd:
			usage, _, _ := block.End()
			measured = ofGateway(usage)
			measured.rate = 1 / time.Since(began).Seconds()
			answered[1], counting[1] = answeredBy(ctx, d)
		}
	})
	if err := errors.Join(err, counting[0], counting[1]); err != nil {
		return cost{}, err
	}
	done := float64(answered[1] - answered[0])
	if done == 0 || measured.cpu == 0 {
		return cost{}, errors.New("nothing was answered, or no CPU time was read")
	}
	return cost{measured.cpu / done, measured.user / done, measured.system / done, measured.rate * done}, nil
}

// ofGateway is what the proxy used, in microseconds.
func ofGateway(usage []results.Usage) cost {
	for _, u := range usage {
		if u.Kind == deploy.KindGateway {
			return cost{cpu: float64(u.CPU) / 1e3, user: float64(u.User) / 1e3, system: float64(u.System) / 1e3}
		}
	}
	return cost{}
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

// print writes the middle of each proxy's rounds, and the ratio of the two within rounds. How busy the proxy's CPU was says whether the
// proxy was the one that could not keep up: driver and origin share the other.
func (c comparison) print(w io.Writer, title string, s series) {
	t := tabwriter.NewWriter(w, 2, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%s\tCPU us/request\tuser\tsystem\tanswered/s\tits CPU busy\t\n", title)
	for _, name := range []string{"gateway", "nginx"} {
		fmt.Fprintf(t, "%s\t%.1f\t%s\t%s\t%.0f\t%.0f%%\t\n", name,
			middle(s[name], func(c cost) float64 { return c.cpu }),
			known(middle(s[name], func(c cost) float64 { return c.user })), known(middle(s[name], func(c cost) float64 { return c.system })),
			middle(s[name], func(c cost) float64 { return c.rate }), middle(s[name], func(c cost) float64 { return c.cpu * c.rate / 1e4 }))
	}
	_ = t.Flush()
	ratio, interval := ratios(s["gateway"], s["nginx"])
	fmt.Fprintf(w, "gateway / nginx: %.3f", ratio)
	if interval.OK() {
		fmt.Fprintf(w, "  [%.3f, %.3f] 95%%\n\n", interval.Low, interval.High)
		return
	}
	fmt.Fprintf(w, "  (no interval: %d rounds, 6 are needed)\n\n", interval.N)
}

// known leaves out a split that the kernel's ticks were too coarse for.
func known(us float64) string {
	if us == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", us)
}

func middle(costs []cost, of func(cost) float64) float64 {
	var values []float64
	for _, c := range costs {
		values = append(values, of(c))
	}
	return stats.Median(values)
}

// ratios estimates a/b from pairs of one round each: the Hodges-Lehmann estimate of the log ratio with its signed-rank interval.
func ratios(a, b []cost) (float64, stats.Interval) {
	var logs []float64
	for i := range a {
		logs = append(logs, math.Log(a[i].cpu/b[i].cpu))
	}
	interval := stats.SignedRank(logs, 0.95)
	interval.Low, interval.High = math.Exp(interval.Low), math.Exp(interval.High)
	return math.Exp(stats.HodgesLehmann(logs)), interval
}
