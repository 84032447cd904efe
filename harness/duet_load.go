package harness

import (
	"context"
	"fmt"
	"sync"
	"time"

	"crossroads/harness/deploy"
	"crossroads/harness/load"
	"crossroads/harness/meter"
	"crossroads/results"
)

// load drives both sides at the same time and gathers the evidence of each. What goes wrong with a side stands in its record; the
// error is that of the instrument.
func (d *Duet) load(ctx context.Context, trials *[2]results.Trial, deployed [2]deploy.Deployment) error {
	loading, stop := context.WithCancel(ctx)
	defer stop()
	processes, external := metered(deployed)
	together := &together{processes: processes}
	defer together.abandon()
	var deaths [2]<-chan *deploy.Exit
	for i := range deployed {
		deaths[i] = watch(loading, stop, deployed[i].Exits()) // the death of one ends the round for both
	}
	before := milliseconds(meter.Calibrate())
	var loaded [2]*load.Result
	var errs [2]error
	var both sync.WaitGroup
	for i := range trials {
		job := d.runner.job(trials[i].PlannedTrial, deployed[i])
		both.Go(func() {
			loaded[i], errs[i] = load.RunObserved(loading, job, d.Executable, func(e load.Event) { together.see(i, e) })
		})
	}
	both.Wait()
	stop()
	after := milliseconds(meter.Calibrate())
	dead := false
	for i := range trials {
		if exit := <-deaths[i]; exit != nil {
			trials[i].Failure = &results.Failure{Process: exit.Process.ID, Reason: exit.Reason, Log: exit.Log}
			dead = true
		}
	}
	for i := range trials {
		switch t := &trials[i]; {
		case ctx.Err() != nil:
			return ctx.Err()
		case dead: // the other side has no evidence either
		case errs[i] != nil:
			return fmt.Errorf("driving %s: %w", t.ID, errs[i])
		default:
			together.settle(i, t, loaded[i])
			t.Host.CalibrationMS = [2]float64{before, after}
			t.Host.Unmetered = external[i]
		}
	}
	return nil
}

// together reads the meters around the block of either side. Each side has its own block, begun and ended by its own driver; within
// it the processes and the driver of the other side are ours and not foreign.
type together struct {
	processes [2][]deploy.Process

	mu      sync.Mutex
	drivers [2]int // PIDs
	started [2]time.Time
	blocks  [2]*meter.Block
	usage   [2][]results.Usage
	host    [2]results.HostUse
	cpu     [2][]int64
}

func (g *together) see(side int, e load.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch e.Event {
	case load.EventReady:
		g.drivers[side], g.started[side] = e.PID, time.Now().UTC()
	case load.EventBlockStart:
		processes := append(append([]deploy.Process{}, g.processes[side]...), g.processes[1-side]...)
		drivers := []int{g.drivers[side]}
		if other := g.drivers[1-side]; other > 0 {
			drivers = append(drivers, other)
		}
		g.blocks[side] = meter.Start(processes, drivers)
	case load.EventBlockEnd:
		usage, host, cpu := g.blocks[side].End()
		// meter reports the processes as they were handed over, then the drivers: of both keep this side's.
		own, all := len(g.processes[side]), len(g.processes[0])+len(g.processes[1])
		g.usage[side] = append(append([]results.Usage{}, usage[:own]...), usage[all])
		g.host[side], g.cpu[side], g.blocks[side] = host, cpu, nil
	}
}

// settle puts everything into the record. The CPU time by second is that of both sides together, so it is left out.
func (g *together) settle(side int, t *results.Trial, r *load.Result) {
	t.Started, t.Usage, t.Host = g.started[side], g.usage[side], g.host[side]
	t.Counts, t.Errors, t.Statuses, t.Times = r.Counts, r.Errors, r.Statuses, r.Times
	t.Seconds, t.Windows, t.Driver, t.Elapsed = r.Seconds, r.Windows, r.Driver, int64(r.Elapsed)
}

// abandon ends the blocks that no driver ended.
func (g *together) abandon() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, b := range g.blocks {
		if b != nil {
			b.End()
		}
	}
}
