package harness

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"time"

	"crossroads/ci"
	"crossroads/harness/deploy"
	"crossroads/harness/deploy/process"
	"crossroads/results"
	"crossroads/topologies"
)

// DuetSession is one sitting at a duet: its first, or one that resumes it.
type DuetSession struct {
	Experiment *topologies.Experiment // as DuetExperiment or ExternalExperiment makes it
	Rules      *ci.Rules
	Scenario   string
	Programs   map[string]map[string]string // by arm, Baseline and Candidate: programs by kind; of external systems "crossroads" alone
	Executable string
	Runs       string // directory of runs
	Resume     string // run directory to complete; "" begins a new one
	Pairs      int    // as many are enough; 0: until the last look
	Note       func(text string)
}

// Do prepares the run directory and plays the duet. The run is returned even with an error, where it exists.
func (s DuetSession) Do(ctx context.Context) (*results.Run, ci.Decision, error) {
	none := ci.Decision{Scenario: s.Scenario}
	run, err := s.open()
	if err != nil {
		return nil, none, err
	}
	defer run.Close()
	if err := run.Begin(time.Now()); err != nil {
		return run, none, err
	}
	for _, warning := range s.Rules.Warnings(s.Scenario) {
		s.Note("warning: " + warning)
	}
	decision, err := s.play(ctx, run)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err == nil {
		err = ci.WriteDecision(run, decision)
	}
	return run, decision, errors.Join(err, run.End(time.Now(), ending(err)))
}

func (s DuetSession) play(ctx context.Context, run *results.Run) (ci.Decision, error) {
	deployers := map[string]deploy.Deployer{}
	for _, arm := range []string{ci.Baseline, ci.Candidate} {
		d, err := process.New(process.Config{Binaries: s.Programs[arm], Dir: filepath.Join(run.Dir, results.LogsDir, arm)})
		if err != nil {
			return ci.Decision{Scenario: s.Scenario}, err
		}
		deployers[arm] = d
	}
	deployers[ci.Again] = deployers[ci.Baseline]
	duet := Duet{
		Experiment: s.Experiment, Rules: s.Rules, Scenario: s.Scenario, Run: run,
		Deployers: deployers, Executable: s.Executable, Note: s.Note, Pairs: s.Pairs,
	}
	defer keepAwake(s.Experiment.Placement)()
	return duet.Do(ctx)
}

func (s DuetSession) open() (*results.Run, error) {
	environment, err := results.CollectEnvironment(nil)
	if err != nil {
		return nil, err
	}
	placed(&environment, s.Experiment.Placement)
	if environment.Binaries, err = hashBinaries(s.programs()); err != nil {
		return nil, err
	}
	plan, err := NewDuetPlan(s.Experiment, s.Rules, time.Now())
	if err != nil {
		return nil, err
	}
	plan.Binaries, plan.Machine = environment.Binaries, environment.Machine
	if s.Resume == "" {
		resolved, err := topologies.Marshal(s.Experiment)
		if err != nil {
			return nil, fmt.Errorf("writing the resolved experiment: %w", err)
		}
		run, err := results.Create(s.Runs, plan, environment, resolved)
		if err != nil {
			return nil, err
		}
		return run, ci.WriteRules(run.Dir, s.Rules)
	}
	run, err := results.Open(s.Resume)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(run.Resumable(environment), run.SamePlan(plan)); err != nil {
		return nil, errors.Join(err, run.Close())
	}
	return run, nil
}

// programs lists every program that takes part, under a name that tells the versions apart.
func (s DuetSession) programs() map[string]string {
	all := map[string]string{}
	maps.Copy(all, s.Programs[ci.Baseline])
	for kind, path := range s.Programs[ci.Candidate] {
		if all[kind] != path {
			all[kind+"@"+ci.Candidate] = path
		}
	}
	return all
}
