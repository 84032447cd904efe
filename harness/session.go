package harness

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"time"

	"crossroads/harness/deploy/process"
	"crossroads/harness/rivals"
	"crossroads/results"
	"crossroads/topologies"
)

// Session is one sitting at a run: the run's first, or one that resumes it.
type Session struct {
	Experiment *topologies.Experiment
	Executable string // the crossroads program; the others lie beside it
	Runs       string // directory of runs
	Resume     string // run directory to complete; "" begins a new one
	Keep       bool   // processes outlive their round
	UpTo       int    // leave later rounds to another sitting; 0: none
	Progress   Progress
}

// Do prepares the run directory, carries out what is missing of the plan and returns the run with what became of it. The run is
// returned even with an error, where it exists.
func (s Session) Do(ctx context.Context) (*results.Run, Summary, error) {
	binaries, err := Binaries(s.Executable)
	if err != nil {
		return nil, Summary{}, err
	}
	used, err := rivals.For(s.Experiment)
	if err != nil {
		return nil, Summary{}, err
	}
	run, err := s.open(binaries, used)
	if err != nil {
		return nil, Summary{}, err
	}
	defer run.Close()
	if err := run.Begin(time.Now()); err != nil {
		return run, Summary{}, err
	}
	sum, err := s.carryOut(ctx, run, binaries, used)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return run, sum, errors.Join(err, run.End(time.Now(), ending(err)))
}

// ending is what the sittings file says of why a sitting stopped.
func ending(err error) string {
	switch {
	case err == nil:
		return "finished"
	case errors.Is(err, context.Canceled):
		return "interrupted"
	}
	return err.Error()
}

func (s Session) carryOut(ctx context.Context, run *results.Run, binaries map[string]string, used rivals.Set) (Summary, error) {
	deployer, err := process.New(process.Config{Binaries: binaries, Dir: filepath.Join(run.Dir, results.LogsDir), Rivals: used.Renderers()})
	if err != nil {
		return Summary{}, err
	}
	defer keepAwake(s.Experiment.Placement)()
	runner := Runner{
		Experiment: s.Experiment, Run: run, Deployer: deployer, Executable: s.Executable,
		Keep: run.Plan.KeptAlive, UpTo: s.UpTo, Progress: s.Progress,
	}
	return runner.Do(ctx)
}

// open begins a new run, or opens one to resume and refuses where plan, binaries or machine differ (*results.Mismatch).
func (s Session) open(binaries map[string]string, used rivals.Set) (*results.Run, error) {
	environment, err := s.environment(binaries, used)
	if err != nil {
		return nil, err
	}
	plan, err := NewPlan(s.Experiment, time.Now())
	if err != nil {
		return nil, err
	}
	plan.Binaries, plan.Machine, plan.KeptAlive = environment.Binaries, environment.Machine, s.Keep
	plan.Refused = rivals.Refusals(s.Experiment)
	if s.Resume == "" {
		resolved, err := topologies.Marshal(s.Experiment)
		if err != nil {
			return nil, fmt.Errorf("writing the resolved experiment: %w", err)
		}
		return results.Create(s.Runs, plan, environment, resolved)
	}
	run, err := results.Open(s.Resume)
	if err != nil {
		return nil, err
	}
	plan.KeptAlive = run.Plan.KeptAlive
	if err := errors.Join(run.Resumable(environment), run.SamePlan(plan)); err != nil {
		return nil, errors.Join(err, run.Close())
	}
	return run, nil
}

// environment is the machine, the programs and what a reader should know of the experiment.
func (s Session) environment(binaries map[string]string, used rivals.Set) (results.Environment, error) {
	environment, err := results.CollectEnvironment(used.Tools())
	if err != nil {
		return environment, err
	}
	placed(&environment, s.Experiment.Placement)
	environment.Warnings = append(environment.Warnings, s.Experiment.Warnings()...)
	// With the rivals': a run is not resumed with another nginx.
	all := used.Programs()
	maps.Copy(all, binaries)
	environment.Binaries, err = hashBinaries(all)
	return environment, err
}

// placed records which CPUs went to whom, and with a warning where processors will sleep that should not.
func placed(environment *results.Environment, p topologies.Placement) {
	environment.Placement = placement(p)
	if !p.Awake {
		return
	}
	awake, err := stayAwake(latencyDevice)
	if err != nil {
		environment.Warnings = append(environment.Warnings, err.Error()+": they sleep, so times and their spread are larger; run it as root")
		return
	}
	_ = awake.Close()
}

// placement says in words which CPUs went to whom.
func placement(p topologies.Placement) string {
	text := "shared"
	if len(p.Driver)+len(p.Proxies)+len(p.Workload) > 0 {
		text = fmt.Sprintf("driver %v, proxies %v, workload %v", p.Driver, p.Proxies, p.Workload)
	}
	if p.Awake {
		text += "; idle processors kept awake"
	}
	return text
}
