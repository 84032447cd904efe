package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"crossroads/harness/deploy/process"
	"crossroads/results"
	"crossroads/topologies"
)

// Session is one sitting at a run: the run's first, or one that resumes it.
type Session struct {
	Experiment *topologies.Experiment
	Executable string // the crossroads program; the others lie beside it
	Runs       string // directory of runs
	Resume     string // run directory to complete; "" begins a new one
	Keep       bool
	Progress   Progress
	Tools      map[string]string // versions of rival proxies that take part
}

// Do prepares the run directory, carries out what is missing of the plan and returns the run with what became of it. The run is
// returned even with an error, where it exists.
func (s Session) Do(ctx context.Context) (*results.Run, Summary, error) {
	binaries, err := Binaries(s.Executable)
	if err != nil {
		return nil, Summary{}, err
	}
	run, experiment, err := s.open(binaries)
	if err != nil {
		return nil, Summary{}, err
	}
	defer run.Close()
	if run.Plan.KeptAlive {
		s.Keep = true
	}
	logs := filepath.Join(run.Dir, "logs")
	if err := os.MkdirAll(logs, 0o755); err != nil {
		return run, Summary{}, fmt.Errorf("making the directory for logs: %w", err)
	}
	deployer, err := process.New(process.Config{Binaries: binaries, Dir: logs})
	if err != nil {
		return run, Summary{}, err
	}
	runner := Runner{Experiment: experiment, Run: run, Deployer: deployer, Executable: s.Executable, Keep: s.Keep, Progress: s.Progress}
	sum, err := runner.Do(ctx)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return run, sum, err
}

// open begins a new run, or opens one to resume and refuses where plan, binaries or machine differ.
func (s Session) open(binaries map[string]string) (*results.Run, *topologies.Experiment, error) {
	hashes, err := hashBinaries(binaries)
	if err != nil {
		return nil, nil, err
	}
	environment, err := results.CollectEnvironment(s.Tools)
	if err != nil {
		return nil, nil, err
	}
	environment.Binaries = hashes
	environment.Placement = placement(s.Experiment)
	if s.Resume != "" {
		return s.reopen(environment)
	}
	plan, err := NewPlan(s.Experiment, time.Now())
	if err != nil {
		return nil, nil, err
	}
	plan.Binaries, plan.Machine, plan.KeptAlive = hashes, environment.Machine, s.Keep
	resolved, err := topologies.Marshal(s.Experiment)
	if err != nil {
		return nil, nil, err
	}
	run, err := results.Create(s.Runs, plan, environment, resolved)
	return run, s.Experiment, err
}

func (s Session) reopen(now results.Environment) (*results.Run, *topologies.Experiment, error) {
	run, err := results.Open(s.Resume)
	if err != nil {
		return nil, nil, err
	}
	if err := run.Resumable(now); err != nil {
		return nil, nil, errors.Join(err, run.Close())
	}
	file := filepath.Join(run.Dir, "experiment.yaml")
	experiment, err := topologies.Load(file)
	if err != nil {
		return nil, nil, errors.Join(err, run.Close())
	}
	return run, experiment, nil
}

// placement says in words which CPUs went to whom.
func placement(e *topologies.Experiment) string {
	if e == nil || len(e.Placement.Driver)+len(e.Placement.Proxies)+len(e.Placement.Workload) == 0 {
		return "shared"
	}
	return fmt.Sprintf("driver %v, proxies %v, workload %v", e.Placement.Driver, e.Placement.Proxies, e.Placement.Workload)
}
