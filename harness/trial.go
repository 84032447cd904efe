package harness

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"crossroads/harness/deploy"
	"crossroads/harness/load"
	"crossroads/harness/meter"
	"crossroads/results"
	"crossroads/topologies"
)

func newTrial(planned results.PlannedTrial) results.Trial {
	return results.Trial{Schema: results.Schema, PlannedTrial: planned, Attempt: 1, Started: time.Now().UTC()}
}

// trial loads a deployment for one planned trial and gathers the evidence. Its error is that of the run (an interruption, a driver
// that could not be started); what went wrong with the target stands in the record. whole says that every process is alive.
func (r *Runner) trial(ctx context.Context, planned results.PlannedTrial, d deploy.Deployment) (t results.Trial, whole bool, err error) {
	t = newTrial(planned)
	loading, stop := context.WithCancel(ctx)
	defer stop()
	death := watch(loading, stop, d.Exits())

	before := meter.Calibrate()
	metering := &metering{processes: d.Processes()}
	faults := newFaulting(r.Experiment, r.arms[planned.Arm], planned, d, metering)
	job := r.job(planned, d)
	job.Stretches, job.Slow = faults.stretches(), slowLimit(r.Experiment)
	result, err := load.RunObserved(loading, job, r.Executable, func(e load.Event) {
		metering.see(e)
		faults.see(loading, e)
	})
	t.Host.CalibrationMS = [2]float64{milliseconds(before), 0}
	metering.settle(&t)
	t.Host.Unmetered = len(metering.processes) == 0
	if err != nil {
		stop() // nobody is there to suffer from further faults
	}
	whole = faults.end(&t, result)
	stop()
	if exit := <-death; exit != nil {
		t.Failure = &results.Failure{Process: exit.Process.ID, Reason: exit.Reason, Log: exit.Log}
	}
	if t.Failure != nil || ctx.Err() != nil {
		return t, false, ctx.Err()
	}
	if err != nil {
		return t, false, fmt.Errorf("driving trial %s: %w", planned.ID, err)
	}
	t.Host.CalibrationMS[1] = milliseconds(meter.Calibrate())
	t.Counts, t.Errors, t.Statuses = result.Counts, result.Errors, result.Statuses
	t.Times, t.Driver, t.Elapsed = result.Times, result.Driver, int64(result.Elapsed)
	t.Windows, t.Ledger = result.Windows, result.Ledger
	t.Seconds = mergeCPU(result.Seconds, metering.cpu)
	return t, whole, nil
}

// slowLimit is what a response may take before it counts as slow in a trial with faults: the objective on the highest quantile.
func slowLimit(e *topologies.Experiment) time.Duration {
	highest, limit := 0.0, 0.0
	for _, o := range e.Objectives {
		if o.Metric == topologies.MetricP && o.Quantile > highest {
			highest, limit = o.Quantile, o.Value
		}
	}
	return time.Duration(limit * float64(time.Second))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// watch stops the load when a process of the target ends unasked. The channel yields that exit, or nil once ctx is over.
func watch(ctx context.Context, stop context.CancelFunc, exits <-chan deploy.Exit) <-chan *deploy.Exit {
	death := make(chan *deploy.Exit, 1)
	go func() {
		select {
		case exit, open := <-exits:
			if open {
				death <- &exit
				stop()
				return
			}
			<-ctx.Done()
		case <-ctx.Done():
			// A death in the same instant as the end still counts.
			select {
			case exit, open := <-exits:
				if open {
					death <- &exit
					return
				}
			default:
			}
		}
		death <- nil
	}()
	return death
}

func (r *Runner) job(t results.PlannedTrial, d deploy.Deployment) load.Job {
	l := r.Experiment.Load
	return load.Job{
		Target: r.target(t, d), Arrivals: r.arrivals, Rate: t.Rate, Seed: t.Seed,
		Warmup: time.Duration(t.Warmup), Duration: time.Duration(t.Duration),
		Driver: l.Driver, Pacing: load.Pacing(cmp.Or(l.Pacing, topologies.PacingPrecise)), CPUs: r.Experiment.Placement.Driver, Grace: r.Grace,
	}
}

// metering reads the meters around exactly the measured block.
type metering struct {
	processes []deploy.Process
	mu        sync.Mutex // faults end and start processes meanwhile
	block     *meter.Block
	driver    int // its PID
	usage     []results.Usage
	host      results.HostUse
	cpu       []int64 // of the target, by second of the block
}

// see is told by the driver what happens: its PID first, then when the block begins and ends.
func (m *metering) see(e load.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch e.Event {
	case load.EventReady:
		m.driver = e.PID
	case load.EventBlockStart:
		m.block = meter.Start(m.processes, []int{m.driver})
	case load.EventBlockEnd:
		m.usage, m.host, m.cpu = m.block.End()
		m.block = nil
	}
}

// settle puts the readings into the record; a block that never ended is abandoned.
func (m *metering) settle(t *results.Trial) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.block != nil {
		m.block.End()
		m.block = nil
	}
	calibration := t.Host.CalibrationMS
	t.Usage, t.Host = m.usage, m.host
	t.Host.CalibrationMS = calibration
}

func (m *metering) ending(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.block != nil {
		m.block.Ending(id)
	}
}

func (m *metering) back(p deploy.Process) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.block != nil {
		m.block.Back(p)
	}
}

// mergeCPU puts the target's CPU time beside the driver's seconds of the block.
func mergeCPU(seconds []results.Second, cpu []int64) []results.Second {
	for i := range seconds {
		if at := seconds[i].At; at >= 0 && at < len(cpu) {
			seconds[i].CPU = cpu[at]
		}
	}
	return seconds
}
