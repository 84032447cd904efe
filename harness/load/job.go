package load

import (
	"fmt"
	"runtime"
	"time"

	"crossroads/results"
)

// Job is one trial for a driver process, complete in itself.
type Job struct {
	Target   Target        `json:"target"`
	Arrivals Arrivals      `json:"arrivals"`
	Rate     float64       `json:"rate"` // per second, offered
	Seed     uint64        `json:"seed"` // of the schedule: the same for all arms of a round at a rate
	Warmup   time.Duration `json:"warmup_ns"`
	Duration time.Duration `json:"duration_ns"`
	Driver   string        `json:"driver"`            // native | vegeta
	Pacing   Pacing        `json:"pacing"`            // precise | economical
	CPUs     []int         `json:"cpus,omitempty"`    // on which the driver runs; none: on all, shared with the target
	Workers  int           `json:"workers,omitempty"` // of the native driver; 0: as many as the CPUs and the rate ask for
	Grace    time.Duration `json:"grace_ns"`          // after the block, for samples under way; 0: their whole timeout
	Samples  string        `json:"samples,omitempty"` // file to which every sample is written in vegeta's encoding

	// Of a trial with faults: stretches of the block whose requests are counted apart, since the block began, and the response time
	// above which a success counts as slow there. With stretches the result has moments.
	Stretches []Block       `json:"stretches,omitempty"`
	Slow      time.Duration `json:"slow_ns,omitempty"`
}

// The drivers.
const (
	DriverNative = "native"
	DriverVegeta = "vegeta"
)

// Result is what a driver saw of a trial: the samples due in the block, and the seconds of the whole trial.
type Result struct {
	Counts   results.Counts               `json:"counts"`
	Errors   map[string]int64             `json:"errors,omitempty"`
	Statuses map[string]int64             `json:"statuses,omitempty"`
	Times    map[string]results.Histogram `json:"times"`
	Seconds  []results.Second             `json:"seconds"`
	Windows  []results.Window             `json:"windows"`
	Tolls    []results.Toll               `json:"tolls,omitempty"` // by stretch of the job
	Moments  *results.Moments             `json:"moments,omitempty"`
	Driver   results.DriverUse            `json:"driver"`
	Ledger   *results.Ledger              `json:"ledger,omitempty"`
	Elapsed  time.Duration                `json:"elapsed_ns"` // of the block as measured, mark to mark
}

func (j Job) block() Block { return Block{From: j.Warmup, To: j.Warmup + j.Duration} }

// warmupSeed keeps the warm-up from repeating the beginning of the block.
const warmupSeed = 0x7761726d7570

// Schedule draws the arrivals of the job, the warm-up first. Each stretch has exactly its share of arrivals, so that the count of the
// block does not depend on the warm-up. The warm-up of a ramp stays at the rate where the ramp starts.
func (j Job) Schedule() (Schedule, error) {
	weights := make([]int, len(j.Target.Requests))
	for i, r := range j.Target.Requests {
		weights[i] = r.Weight
	}
	block, err := NewSchedule(j.Arrivals, j.Rate, j.Duration, weights, j.Seed)
	if err != nil {
		return nil, fmt.Errorf("schedule: %w", err)
	}
	arrivals, rate := j.Arrivals, j.Rate
	if arrivals.Kind == Ramp {
		arrivals, rate = Arrivals{Kind: Constant}, j.Rate*j.Arrivals.From
	}
	var whole Schedule
	if rate > 0 {
		if whole, err = NewSchedule(arrivals, rate, j.Warmup, weights, j.Seed^warmupSeed); err != nil {
			return nil, fmt.Errorf("schedule of the warm-up: %w", err)
		}
	}
	for _, a := range block {
		whole = append(whole, Arrival{Due: a.Due + j.Warmup, Request: a.Request})
	}
	return whole, nil
}

func (j Job) validate() error {
	switch {
	case j.Driver != DriverNative && j.Driver != DriverVegeta:
		return fmt.Errorf("driver %q: known are %s and %s", j.Driver, DriverNative, DriverVegeta)
	case j.Pacing != Precise && j.Pacing != Economical:
		return fmt.Errorf("pacing %q: known are %s and %s", j.Pacing, Precise, Economical)
	case j.Duration <= 0 || j.Warmup < 0 || j.Grace < 0:
		return fmt.Errorf("warm-up %v, duration %v, grace %v: the duration must be above zero, the others not below", j.Warmup, j.Duration, j.Grace)
	}
	return j.Target.validate()
}

// perWorker is the rate that one worker of the native driver sends with CPU to spare.
const perWorker = 30000

// workers decides how many workers drive. On CPUs of its own the driver uses all of them; on shared ones every further worker is a CPU
// taken from the target at a raised priority, so it takes only what the rate needs and never more than half.
func (j Job) workers() int {
	n := j.Workers
	switch {
	case n > 0:
	case j.Driver == DriverVegeta:
		return 1 // one consumer of its results
	case len(j.CPUs) > 0:
		n = len(j.CPUs)
	default:
		n = min(1+int(j.Rate/perWorker), max(1, runtime.NumCPU()/2))
	}
	// Every worker needs a connection to each entry it meets.
	for r := j.Target.routes(); n > 1 && len(r.meetings(n)) > j.Target.Connections; {
		n--
	}
	return n
}

// given is how many CPUs the driver could use.
func (j Job) given() int {
	cpus := len(j.CPUs)
	if cpus == 0 {
		cpus = runtime.NumCPU()
	}
	if j.Driver == DriverNative {
		return min(cpus, j.workers())
	}
	return cpus
}
