package main

import (
	"context"
	"fmt"
	"math"
	"os/exec"
	"regexp"
	"strconv"
	"time"

	"crossroads/harness/load"
	"crossroads/results"
)

const connections = 64

// driver is one way to send the load.
type driver struct {
	name   string
	driver string
	pacing load.Pacing
}

var drivers = []driver{
	{"native, precise", load.DriverNative, load.Precise},
	{"native, economical", load.DriverNative, load.Economical},
	{"vegeta", load.DriverVegeta, load.Precise},
}

// row is what one driver did. Times are in microseconds; NaN: it has no such number.
type row struct {
	name               string
	offered, achieved  float64 // per second
	slip50, slip99     float64
	response50         float64
	cpu, cpuNotWaiting float64 // per request
}

func (r row) cells() []string {
	number := func(format string, v float64) string {
		if math.IsNaN(v) {
			return "-"
		}
		return fmt.Sprintf(format, v)
	}
	return []string{r.name, number("%.0f/s", r.offered), number("%.0f/s", r.achieved), number("%.0f", r.slip50), number("%.0f", r.slip99),
		number("%.0f", r.response50), number("%.1f", r.cpu), number("%.1f", r.cpuNotWaiting)}
}

func (d driver) measure(ctx context.Context, executable, url string, rate float64, duration time.Duration) (row, error) {
	job := load.Job{
		Target: load.Target{Entries: []string{url}, Requests: []load.Request{{Method: "GET", Path: "/"}}, Connections: connections, Timeout: 5 * time.Second},
		Rate:   rate, Seed: 1, Warmup: time.Second, Duration: duration, Driver: d.driver, Pacing: d.pacing,
	}
	got, err := load.Run(ctx, job, executable, nil)
	if err != nil {
		return row{}, err
	}
	done := float64(got.Counts.Done)
	r := row{name: d.name, offered: rate, achieved: done / duration.Seconds(),
		cpu: float64(got.Driver.CPU) / done / 1e3, cpuNotWaiting: float64(got.Driver.Working()) / done / 1e3}
	for times, into := range map[string]map[float64]*float64{results.Slip: {0.50: &r.slip50, 0.99: &r.slip99}, results.Response: {0.50: &r.response50}} {
		h, err := got.Times[times].Decode()
		if err != nil {
			return r, err
		}
		for q, at := range into {
			*at = float64(results.Quantile(h, q)) / 1e3
		}
	}
	return r, nil
}

// wrkRequests is the line of wrk's report that counts: "  184309 requests in 4.01s, 203.20MB read".
var wrkRequests = regexp.MustCompile(`(\d+) requests in ([\d.]+)(s|m)`)

// wrk floods the origin from one thread and takes the CPU time from its exit.
func wrk(ctx context.Context, program, url string, duration time.Duration) (row, error) {
	seconds := max(1, int(math.Ceil(duration.Seconds())))
	c := exec.CommandContext(ctx, program, "-t1", fmt.Sprintf("-c%d", connections), fmt.Sprintf("-d%d", seconds), url)
	out, err := c.Output()
	if err != nil {
		return row{}, fmt.Errorf("wrk: %w", err)
	}
	count, took, err := readWrk(string(out))
	if err != nil {
		return row{}, err
	}
	cpu := float64(c.ProcessState.UserTime()+c.ProcessState.SystemTime()) / count / 1e3
	none := math.NaN()
	return row{name: "wrk, closed loop", offered: none, achieved: count / took, slip50: none, slip99: none, response50: none, cpu: cpu, cpuNotWaiting: cpu}, nil
}

// readWrk takes requests and seconds from wrk's report.
func readWrk(report string) (count, seconds float64, err error) {
	m := wrkRequests.FindStringSubmatch(report)
	if m == nil {
		return 0, 0, fmt.Errorf("wrk: no count of requests in its report:\n%s", report)
	}
	if count, err = strconv.ParseFloat(m[1], 64); err != nil {
		return 0, 0, err
	}
	if seconds, err = strconv.ParseFloat(m[2], 64); err != nil {
		return 0, 0, err
	}
	if m[3] == "m" {
		seconds *= 60
	}
	if count == 0 || seconds == 0 {
		return 0, 0, fmt.Errorf("wrk: it made no request:\n%s", report)
	}
	return count, seconds, nil
}
