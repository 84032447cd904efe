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
	"crossroads/topologies"
)

// CapacitySession searches the capacity of every arm of an experiment. Every step is a trial with fresh processes and has its record.
type CapacitySession struct {
	Experiment *topologies.Experiment
	Executable string // the crossroads program; the others lie beside it
	Runs       string // directory of runs
	Search     Search
	Note       func(text string)
}

// Capacity is what was found of an arm.
type Capacity struct {
	Arm string `json:"arm"`
	Bracket
	Below []Below `json:"below,omitempty"`
}

// Below is the arm at a share of its capacity: what a user would wait there.
type Below struct {
	Share   float64         `json:"share"` // of the bracket's lower end
	Rate    float64         `json:"rate"`
	Outcome results.Outcome `json:"outcome"`
	P50     *float64        `json:"p50_seconds,omitempty"` // of the response time; none where the trial is no evidence for it
	P99     *float64        `json:"p99_seconds,omitempty"`
}

// The shares of the capacity at which an arm is measured once more, and what a step may cost beyond its block.
var belowShares = []float64{0.5, 0.8}

const (
	stepRepeats = 3               // tries at a step whose trials are invalid
	stepGrace   = 2 * time.Second // for samples under way; later ones are errors, which a step above the capacity has anyway
)

// Do searches arm by arm. The run is returned even with an error, where it exists.
func (s CapacitySession) Do(ctx context.Context) (*results.Run, []Capacity, error) {
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
	run, err := s.create(binaries, used)
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

func (s CapacitySession) create(binaries map[string]string, used rivals.Set) (*results.Run, error) {
	session := Session{Experiment: s.Experiment}
	environment, err := session.environment(binaries, used)
	if err != nil {
		return nil, err
	}
	plan, err := NewPlan(s.Experiment, time.Now())
	if err != nil {
		return nil, err
	}
	plan.ID, plan.Trials, plan.Adaptive, plan.Rounds = "capacity-"+plan.ID, nil, true, 0
	plan.Binaries, plan.Machine = environment.Binaries, environment.Machine
	resolved, err := topologies.Marshal(s.Experiment)
	if err != nil {
		return nil, fmt.Errorf("writing the resolved experiment: %w", err)
	}
	return results.Create(s.Runs, plan, environment, resolved)
}

func (s CapacitySession) search(ctx context.Context, run *results.Run, binaries map[string]string, used rivals.Set) ([]Capacity, error) {
	deployer, err := process.New(process.Config{Binaries: binaries, Dir: filepath.Join(run.Dir, results.LogsDir), Rivals: used.Renderers()})
	if err != nil {
		return nil, err
	}
	arrivals, err := load.DeclaredArrivals(s.Experiment.Load.Arrivals, ".")
	if err != nil {
		return nil, err
	}
	runner := Runner{Experiment: s.Experiment, Run: run, Deployer: deployer, Executable: s.Executable, Grace: stepGrace, arrivals: arrivals}
	var all []Capacity
	for _, arm := range s.Experiment.Arms() {
		climb := &climb{runner: &runner, arm: arm, objectives: run.Plan.Objectives, note: s.Note}
		c := Capacity{Arm: arm.Name}
		if c.Bracket, err = s.Search.Find(ctx, climb.step); err != nil {
			return all, err
		}
		for _, share := range belowShares {
			if c.Low == 0 {
				break
			}
			below, err := climb.below(ctx, share, c.Low)
			if err != nil {
				return all, err
			}
			c.Below = append(c.Below, below)
		}
		all = append(all, c)
	}
	return all, nil
}

// climb is the search on one arm.
type climb struct {
	runner     *Runner
	arm        *topologies.Arm
	objectives []results.Objective
	note       func(string)
	trials     int
}

// step answers for one rate. A trial that is no evidence is repeated, a few times.
func (c *climb) step(ctx context.Context, rate float64) (Answer, error) {
	why := ""
	for range stepRepeats {
		t, err := c.trial(ctx, rate)
		if err != nil {
			return Unknown, err
		}
		answer, text := meets(&t, c.objectives)
		c.note(fmt.Sprintf("%s  %g/s  %s", c.arm.Name, rate, text))
		if answer != Unknown {
			return answer, nil
		}
		why = text
	}
	return Unknown, fmt.Errorf("%w at %g/s in %d tries: %s", errNoEvidence, rate, stepRepeats, why)
}

// below measures the arm at a share of its capacity.
func (c *climb) below(ctx context.Context, share, low float64) (Below, error) {
	t, err := c.trial(ctx, share*low)
	if err != nil {
		return Below{}, err
	}
	b := Below{Share: share, Rate: share * low, Outcome: t.Outcome}
	if t.Outcome == results.Valid { // a latency is never quoted at a rate that was not achieved
		for q, into := range map[float64]**float64{0.50: &b.P50, 0.99: &b.P99} {
			if v, ok := results.TimeQuantile(results.Response, q).Of(&t); ok {
				*into = &v
			}
		}
	}
	return b, nil
}

// trial deploys the arm, proves on its first trial that it does what it declares, loads it once and records what happened.
func (c *climb) trial(ctx context.Context, rate float64) (results.Trial, error) {
	l := c.runner.Experiment.Load
	c.trials++
	planned := results.PlannedTrial{
		ID: fmt.Sprintf("%s-%03d", c.arm.Name, c.trials), Order: c.trials, Round: 1, Arm: c.arm.Name, Rate: rate,
		Connections: l.Connections[0], Seed: mix("capacity", c.trials, fmt.Sprint(c.runner.Experiment.Seed), rate),
		Warmup: int64(l.Warmup), Duration: int64(l.Duration), Driver: driverName(l),
	}
	d, err := c.runner.Deployer.Deploy(ctx, c.arm)
	if err != nil {
		return results.Trial{}, fmt.Errorf("deploying %s: %w", c.arm.Name, err)
	}
	t, err := c.probed(ctx, planned, d)
	if err = errors.Join(err, closeDeployment(d)); err != nil {
		return t, err
	}
	results.Judge(&t)
	return t, c.runner.Run.Append(t)
}

func (c *climb) probed(ctx context.Context, planned results.PlannedTrial, d deploy.Deployment) (results.Trial, error) {
	if c.trials == 1 {
		if failures := parity.Check(ctx, c.arm, d); len(failures) > 0 && ctx.Err() == nil {
			return results.Trial{}, &Unfit{Arm: c.arm.Name, Probe: failures[0].Probe, Text: failures[0].Text}
		}
	}
	t, _, err := c.runner.trial(ctx, planned, d)
	return t, err
}

// meets holds one trial against the objectives. Failed and saturated trials miss them; a trial that is no evidence, or has too few
// samples for an objective, answers nothing.
func meets(t *results.Trial, objectives []results.Objective) (Answer, string) {
	switch t.Outcome {
	case results.Failed, results.Saturated:
		return Misses, fmt.Sprintf("misses: %s: %s", t.Outcome, t.Reasons[0].Text)
	case results.Valid:
	default:
		return Unknown, "no evidence: " + t.Reasons[0].Text
	}
	for _, o := range objectives {
		v, ok := objectiveMetric(o).Of(t)
		if !ok {
			return Unknown, "no evidence: too few samples for " + o.Text
		}
		if !holds(o, v) {
			return Misses, fmt.Sprintf("misses %s: %s", o.Text, objectiveMetric(o).Format(v))
		}
	}
	return Meets, "meets the objectives"
}

func objectiveMetric(o results.Objective) results.Metric {
	switch o.Metric {
	case "errors":
		return results.ErrorShare()
	case "achieved":
		return results.Achieved()
	}
	return results.TimeQuantile(results.Response, o.Quantile/100)
}

func holds(o results.Objective, v float64) bool {
	switch o.Op {
	case "<":
		return v < o.Value
	case "<=":
		return v <= o.Value
	case ">":
		return v > o.Value
	}
	return v >= o.Value
}
