package harness

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"crossroads/harness/deploy"
	"crossroads/harness/deploy/process"
	"crossroads/harness/load"
	"crossroads/harness/parity"
	"crossroads/harness/rivals"
	"crossroads/results"
	"crossroads/results/capacity"
	"crossroads/topologies"
)

// CapacitySession searches the capacity of every arm of an experiment, or goes on with a search that was cut short. Every step is a trial
// with fresh processes and has its record.
type CapacitySession struct {
	Experiment *topologies.Experiment
	Executable string // the crossroads program; the others lie beside it
	Runs       string // directory of runs
	Resume     string // run directory of the search to go on with; "" begins one
	Search     results.Search
	Note       func(text string)
}

// stepGrace is for samples under way at the end of a block; later ones are errors, which a step above the capacity has anyway.
const stepGrace = 2 * time.Second

// Do searches. The run is returned even with an error, where it exists.
func (s CapacitySession) Do(ctx context.Context) (*results.Run, []capacity.Arm, error) {
	if len(s.Experiment.Faults) > 0 {
		undisturbed := *s.Experiment
		undisturbed.Faults = nil
		s.Experiment = &undisturbed
		s.Note("the declared faults are left out: a capacity is that of an undisturbed system")
	}
	binaries, err := Binaries(s.Executable)
	if err != nil {
		return nil, nil, err
	}
	used, err := rivals.For(s.Experiment)
	if err != nil {
		return nil, nil, err
	}
	run, err := s.open(binaries, used)
	if err != nil {
		return nil, nil, err
	}
	defer run.Close()
	if err := run.Begin(time.Now()); err != nil {
		return run, nil, err
	}
	found, err := s.search(ctx, run, binaries, used)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return run, found, errors.Join(err, run.End(time.Now(), ending(err)))
}

// open begins a run, or opens the one to go on with and refuses where experiment, programs or machine differ (*results.Mismatch).
func (s CapacitySession) open(binaries map[string]string, used rivals.Set) (*results.Run, error) {
	session := Session{Experiment: s.Experiment}
	environment, err := session.environment(binaries, used)
	if err != nil {
		return nil, err
	}
	if s.Resume != "" {
		return s.reopen(environment)
	}
	plan, err := NewPlan(s.Experiment, time.Now())
	if err != nil {
		return nil, err
	}
	plan.Refused = rivals.Refusals(s.Experiment)
	plan.ID, plan.Trials, plan.Adaptive, plan.Rounds = "capacity-"+plan.ID, nil, true, s.Search.Repeat
	plan.Binaries, plan.Machine, plan.Search = environment.Binaries, environment.Machine, &s.Search
	resolved, err := topologies.Marshal(s.Experiment)
	if err != nil {
		return nil, fmt.Errorf("writing the resolved experiment: %w", err)
	}
	return results.Create(s.Runs, plan, environment, resolved)
}

func (s CapacitySession) reopen(environment results.Environment) (*results.Run, error) {
	run, err := results.Open(s.Resume)
	if err != nil {
		return nil, err
	}
	err = run.Resumable(environment)
	if run.Plan.Search == nil {
		err = fmt.Errorf("run %s is no search for capacities", run.Plan.ID)
	}
	if err != nil {
		return nil, errors.Join(err, run.Close())
	}
	return run, nil
}

func (s CapacitySession) search(ctx context.Context, run *results.Run, binaries map[string]string, used rivals.Set) ([]capacity.Arm, error) {
	deployer, err := process.New(process.Config{Binaries: binaries, Dir: filepath.Join(run.Dir, results.LogsDir), Rivals: used.Renderers()})
	if err != nil {
		return nil, err
	}
	arrivals, err := load.DeclaredArrivals(s.Experiment.Load.Arrivals, ".")
	if err != nil {
		return nil, err
	}
	made, _, err := run.Trials()
	if err != nil {
		return nil, err
	}
	defer keepAwake(s.Experiment.Placement)()
	runner := Runner{Experiment: s.Experiment, Run: run, Deployer: deployer, Executable: s.Executable, Grace: stepGrace, arrivals: arrivals}
	stepping := &stepping{runner: &runner, recorded: capacity.Recorded(made), deployed: map[string]bool{}}
	return capacity.Carry(ctx, &run.Plan, stepping.try, func(arm string, rate float64, text string) {
		s.Note(fmt.Sprintf("%s  %g/s  %s", arm, rate, text))
	})
}

// stepping carries out the trials of a search that have no record yet.
type stepping struct {
	runner   *Runner
	recorded capacity.Try
	deployed map[string]bool // arms that came up in this sitting and were probed
}

func (c *stepping) try(ctx context.Context, planned results.PlannedTrial) (results.Trial, error) {
	t, err := c.recorded(ctx, planned)
	if !errors.Is(err, capacity.ErrEnd) {
		return t, err
	}
	l := c.runner.Experiment.Load
	planned.Connections, planned.Warmup, planned.Duration, planned.Driver = l.Connections[0], int64(l.Warmup), int64(l.Duration), driverName(l)
	planned.Seed = mix("capacity", planned.Order, fmt.Sprint(c.runner.Experiment.Seed), planned.Rate)
	if t, err = c.carryOut(ctx, planned); err != nil {
		return t, err
	}
	results.Judge(&t)
	return t, c.runner.Run.Append(t)
}

// carryOut deploys the arm, proves the first time that it does what it declares, and loads it once. An arm that came up before and does
// not now has failed the step.
func (c *stepping) carryOut(ctx context.Context, planned results.PlannedTrial) (results.Trial, error) {
	arm, _ := c.runner.Experiment.Arm(planned.Arm)
	began := time.Now()
	d, err := c.runner.Deployer.Deploy(ctx, arm)
	var notReady *deploy.NotReady
	if errors.As(err, &notReady) && c.deployed[arm.Name] && ctx.Err() == nil {
		t := newTrial(planned)
		t.Failure = &results.Failure{Process: notReady.Process, Reason: "never ready: " + notReady.Reason, Log: notReady.Log}
		return t, nil
	}
	if err != nil {
		return results.Trial{}, fmt.Errorf("deploying %s: %w", arm.Name, err)
	}
	readyIn := time.Since(began)
	t, err := c.probed(ctx, arm, planned, d)
	t.ReadyIn = int64(readyIn)
	return t, errors.Join(err, closeDeployment(d))
}

func (c *stepping) probed(ctx context.Context, arm *topologies.Arm, planned results.PlannedTrial, d deploy.Deployment) (results.Trial, error) {
	if !c.deployed[arm.Name] {
		seen := parity.Look(ctx, arm, d)
		if err := c.runner.see(planned, seen); err != nil {
			return results.Trial{}, err
		}
		if len(seen.Failures) > 0 && ctx.Err() == nil {
			return results.Trial{}, &Unfit{Arm: arm.Name, Probe: seen.Failures[0].Probe, Text: seen.Failures[0].Text}
		}
		c.deployed[arm.Name] = true
	}
	t, _, err := c.runner.trial(ctx, planned, d)
	return t, err
}
