package harness

import (
	"context"
	"errors"
	"fmt"
	"time"

	"crossroads/ci"
	"crossroads/harness/deploy"
	"crossroads/harness/load"
	"crossroads/harness/parity"
	"crossroads/proxies/config/units"
	"crossroads/results"
	"crossroads/topologies"
)

// Duet loads two arms at the same time, round after round, each with half of the rate, fresh processes and an origin of its own: what
// disturbs the machine disturbs both alike, and the ratio of the two hardly moves (Bulej et al., Duet Benchmarking, ICPE 2020). Which
// side starts first is swapped each round, and every so many rounds the baseline runs against itself.
type Duet struct {
	Experiment *topologies.Experiment // as DuetExperiment makes it
	Rules      *ci.Rules
	Scenario   string
	Run        *results.Run
	Deployers  map[string]deploy.Deployer // by arm: the same topology, in two versions
	Executable string                     // the crossroads program, which is also the driver's
	Note       func(text string)          // is told what each round showed
	Pairs      int                        // as many are enough; 0: until the last look
	Now        func() time.Time           // for the budget; nil: the clock

	arms   map[string]*topologies.Arm
	runner Runner // lends the jobs for the driver
}

// Unfit is an arm that does not do the work it is to be compared by.
type Unfit struct{ Arm, Probe, Text string }

func (e *Unfit) Error() string {
	return fmt.Sprintf("%s failed parity: %s: %s", e.Arm, e.Probe, e.Text)
}

// DuetExperiment makes the experiment of a duet from the topology of another one: the same arm three times, at half of the rate.
func DuetExperiment(from *topologies.Experiment, rules *ci.Rules, name string) (*topologies.Experiment, error) {
	s, known := rules.Scenarios.Get(name)
	if !known {
		return nil, fmt.Errorf("the rules have no scenario %s; they have %v", name, rules.Scenarios.Keys())
	}
	topology, known := from.Topologies.Get(s.Topology)
	if !known {
		return nil, fmt.Errorf("scenario %s: the experiment %s declares no topology %s; it has %v", name, from.Name, s.Topology, from.Topologies.Keys())
	}
	e := *from
	e.Name, e.Faults = name, nil // versions are compared undisturbed
	if s.Placement != nil {
		e.Placement = *s.Placement
	}
	e.Topologies.Clear()
	for _, arm := range []string{ci.Baseline, ci.Candidate, ci.Again} {
		e.Topologies.Set(arm, topology)
	}
	return &e, applyLoad(&e, rules, s)
}

// ExternalExperiment makes the experiment of a duet of two systems that somebody else runs.
func ExternalExperiment(baseline, candidate string, request topologies.Request, rules *ci.Rules, name string) (*topologies.Experiment, error) {
	s, known := rules.Scenarios.Get(name)
	if !known {
		return nil, fmt.Errorf("the rules have no scenario %s", name)
	}
	e := &topologies.Experiment{Version: 1, Name: name, Seed: 1}
	e.Load.SetDefaults()
	e.Load.Requests = []topologies.Request{request}
	e.Topologies.Set(ci.Baseline, topologies.Topology{External: &topologies.External{URL: baseline}})
	e.Topologies.Set(ci.Candidate, topologies.Topology{External: &topologies.External{URL: candidate}})
	e.Topologies.Set(ci.Again, topologies.Topology{External: &topologies.External{URL: baseline}})
	return e, applyLoad(e, rules, s)
}

func applyLoad(e *topologies.Experiment, rules *ci.Rules, s ci.Scenario) error {
	half := s.Rate / 2
	e.Load.Rates, e.Load.ReferenceRate = topologies.Rates{half}, half
	e.Load.Connections = topologies.Ints{s.Connections}
	e.Load.Warmup, e.Load.Duration, e.Load.DurationElsewhere = rules.Warmup, rules.Block, units.Duration(0)
	e.Load.Rounds = rules.Rounds()
	return recheck(e)
}

// NewDuetPlan plans every round of a duet up to the last look.
func NewDuetPlan(e *topologies.Experiment, rules *ci.Rules, now time.Time) (results.Plan, error) {
	p, err := NewPlan(e, now)
	if err != nil {
		return results.Plan{}, err
	}
	p.Trials = nil
	for round := 1; round <= rules.Rounds(); round++ {
		sides := [2]string{ci.Baseline, ci.Candidate}
		if rules.AA(round) {
			sides[1] = ci.Again
		}
		if (round+int(mix("first", 0, "", float64(e.Seed))&1))%2 == 0 {
			sides[0], sides[1] = sides[1], sides[0]
		}
		for _, arm := range sides {
			p.Trials = append(p.Trials, results.PlannedTrial{
				ID: fmt.Sprintf("r%03d-%s", round, arm), Order: len(p.Trials) + 1, Round: round, Arm: arm,
				Rate: e.Load.Rates[0].F(), Connections: e.Load.Connections[0], Seed: mix("schedule", round, fmt.Sprint(e.Seed), 0),
				Warmup: int64(e.Load.Warmup), Duration: int64(e.Load.Duration), Driver: driverName(e.Load),
			})
		}
	}
	return p, nil
}

// Do runs rounds until the verdict stands, the budget is used up, or no round is left. What it returns is decided from the records
// alone; with an error what finished is kept and can be resumed.
func (d *Duet) Do(ctx context.Context) (ci.Decision, error) {
	if err := d.prepare(); err != nil {
		return ci.Decision{Scenario: d.Scenario}, err
	}
	began := d.Now()
	for ran := 0; ; ran++ {
		trials, _, err := d.Run.Trials()
		if err != nil {
			return ci.Decision{Scenario: d.Scenario}, err
		}
		decision := d.Rules.Decide(d.Scenario, d.Run.Plan, trials)
		if decision.Final {
			return decision, nil
		}
		planned, attempt, left := next(d.Run.Plan, trials)
		spent := d.Now().Sub(began)
		switch {
		case !left:
			decision.Stopped = "every planned round has run"
			return decision, nil
		case d.Pairs > 0 && decision.Pairs >= d.Pairs:
			decision.Stopped = fmt.Sprintf("%d pairs were asked for", d.Pairs)
			return decision, nil
		case min(ran, ci.Wasted(trials)) >= hopeless:
			decision.Stopped = fmt.Sprintf("%d rounds in a row are no evidence: this machine cannot judge now", hopeless)
			return decision, nil
		case d.Rules.Budget > 0 && spent >= d.Rules.Budget.D():
			decision.Stopped = fmt.Sprintf("the budget of %s is used up", d.Rules.Budget)
			return decision, nil
		}
		if err := d.round(ctx, planned, attempt); err != nil {
			return decision, err
		}
	}
}

// hopeless is how many rounds in a row without evidence end a sitting. Going on would use up the planned rounds for nothing; resuming
// later, on a quiet machine, does not.
const hopeless = 12

func (d *Duet) prepare() error {
	d.arms = map[string]*topologies.Arm{}
	for _, arm := range d.Experiment.Arms() {
		d.arms[arm.Name] = arm
	}
	arrivals, err := load.DeclaredArrivals(d.Experiment.Load.Arrivals, ".")
	d.runner = Runner{Experiment: d.Experiment, arrivals: arrivals}
	if d.Now == nil {
		d.Now = time.Now
	}
	return err
}

// next is the first round that lacks a record of either side. A round of which only one side was recorded, because the harness was
// killed in between, is run again as a whole: its sides must have run at the same time.
func next(p results.Plan, trials []results.Trial) (round [2]results.PlannedTrial, attempt int, ok bool) {
	recorded := map[string]int{}
	for _, t := range trials {
		recorded[t.ID] = t.Attempt
	}
	for i := 0; i+1 < len(p.Trials); i += 2 {
		a, b := p.Trials[i], p.Trials[i+1]
		if recorded[a.ID] == 0 || recorded[b.ID] == 0 {
			return [2]results.PlannedTrial{a, b}, max(recorded[a.ID], recorded[b.ID]) + 1, true
		}
	}
	return round, 0, false
}

// round brings both sides up, proves that they do the same work, loads them at the same time and records both.
func (d *Duet) round(ctx context.Context, planned [2]results.PlannedTrial, attempt int) error {
	trials := [2]results.Trial{newTrial(planned[0]), newTrial(planned[1])}
	deployed, err := d.deploy(ctx, &trials)
	if err == nil && trials[0].Failure == nil && trials[1].Failure == nil {
		err = d.load(ctx, &trials, deployed)
	}
	for _, running := range deployed {
		if running != nil {
			err = errors.Join(err, closeDeployment(running))
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	for i := range trials {
		trials[i].Attempt = attempt
		results.Judge(&trials[i])
		if err := d.Run.Append(trials[i]); err != nil {
			return fmt.Errorf("recording trial %s: %w", trials[i].ID, err)
		}
	}
	d.tell(trials)
	return nil
}

func (d *Duet) tell(trials [2]results.Trial) {
	s, _ := d.Rules.Scenarios.Get(d.Scenario)
	for _, p := range ci.Pairs(trials[:]) {
		d.Note(fmt.Sprintf("round %d/%d  %s", p.Round, d.Rules.Rounds(), p.Progress(s.Names())))
	}
}

// deploy brings the sides up in their order and probes them. A side that does not come up has failed, and is recorded as such.
func (d *Duet) deploy(ctx context.Context, trials *[2]results.Trial) (deployed [2]deploy.Deployment, err error) {
	for i := range trials {
		t := &trials[i]
		began := time.Now()
		running, err := d.Deployers[t.Arm].Deploy(ctx, d.arms[t.Arm])
		var notReady *deploy.NotReady
		switch {
		case errors.As(err, &notReady) && ctx.Err() == nil:
			t.Failure = &results.Failure{Process: notReady.Process, Reason: "never ready: " + notReady.Reason, Log: notReady.Log}
			return deployed, nil
		case err != nil:
			return deployed, fmt.Errorf("deploying %s: %w", t.Arm, err)
		}
		deployed[i], t.ReadyIn = running, int64(time.Since(began))
	}
	for i := range trials {
		arm := trials[i].Arm
		failures := parity.Check(ctx, d.arms[arm], deployed[i])
		if ctx.Err() != nil {
			return deployed, ctx.Err()
		}
		if len(failures) > 0 {
			return deployed, &Unfit{Arm: arm, Probe: failures[0].Probe, Text: failures[0].Text}
		}
	}
	return deployed, nil
}
