package harness

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"crossroads/harness/deploy"
	"crossroads/harness/load"
	"crossroads/harness/parity"
	"crossroads/results"
	"crossroads/topologies"
)

// Runner carries out a plan.
type Runner struct {
	Experiment *topologies.Experiment
	Run        *results.Run
	Deployer   deploy.Deployer
	Executable string        // the crossroads program, which is also the driver's
	Keep       bool          // processes outlive their round
	UpTo       int           // later rounds are left out; 0: none
	Grace      time.Duration // after a block, for samples under way; 0: their whole timeout
	Progress   Progress

	arms     map[string]*topologies.Arm
	arrivals load.Arrivals
	kept     map[string]deploy.Deployment
}

// Summary says how a run went, by counts of trials.
type Summary struct {
	Outcomes map[results.Outcome]int
	Excluded int // arms that parity or readiness kept out of a round
}

// Do runs every planned trial that has no record yet. It returns ctx's error where it was interrupted; what finished is kept.
func (r *Runner) Do(ctx context.Context) (Summary, error) {
	r.arms = map[string]*topologies.Arm{}
	for _, arm := range r.Experiment.Arms() {
		r.arms[arm.Name] = arm
	}
	var err error
	if r.arrivals, err = load.DeclaredArrivals(r.Experiment.Load.Arrivals, "."); err != nil {
		return Summary{}, err
	}
	r.kept = map[string]deploy.Deployment{}
	defer r.closeKept()

	missing, err := r.Run.Missing()
	if err != nil {
		return Summary{}, err
	}
	if r.UpTo > 0 {
		missing = slices.DeleteFunc(missing, func(t results.PlannedTrial) bool { return t.Round > r.UpTo })
	}
	r.Progress.Begin(r.Run.Plan, missing)
	defer r.Progress.End()

	sum := Summary{Outcomes: map[results.Outcome]int{}}
	for _, visit := range visits(missing) {
		if err := r.visit(ctx, visit, &sum); err != nil {
			return sum, err
		}
	}
	return sum, nil
}

// visits groups trials that follow each other in the plan and share a deployment: one arm in one round.
func visits(trials []results.PlannedTrial) [][]results.PlannedTrial {
	var groups [][]results.PlannedTrial
	for i, t := range trials {
		if i == 0 || t.Arm != trials[i-1].Arm || t.Round != trials[i-1].Round {
			groups = append(groups, nil)
		}
		last := len(groups) - 1
		groups[last] = append(groups[last], t)
	}
	return groups
}

// visit runs one arm's trials of one round. Where a process dies the trial failed and the rest get a fresh deployment.
func (r *Runner) visit(ctx context.Context, trials []results.PlannedTrial, sum *Summary) error {
	for len(trials) > 0 {
		d, readyIn, err := r.deploy(ctx, trials[0])
		if err != nil {
			return r.neverReady(ctx, trials, err, sum)
		}
		if excluded, err := r.excluded(ctx, trials[0], d); excluded || err != nil {
			sum.Excluded++
			return errors.Join(err, r.release(trials[0].Arm, d, true))
		}
		active := r.active(ctx, trials[0], d)
		note := func(t *results.Trial) { t.ReadyIn, t.Active = int64(readyIn), active }
		done, whole, err := r.trials(ctx, trials, d, note, sum)
		if closing := r.release(trials[0].Arm, d, !whole); err == nil {
			err = closing
		}
		if err != nil {
			return err
		}
		trials = trials[done:]
	}
	return nil
}

// trials runs trials until one of them left a process dead; it returns how many have a record, and whether all processes are
// alive. note adds what is known of the deployment.
func (r *Runner) trials(ctx context.Context, trials []results.PlannedTrial, d deploy.Deployment, note func(*results.Trial), sum *Summary) (int, bool, error) {
	for i, planned := range trials {
		r.Progress.Start(planned)
		t, whole, err := r.trial(ctx, planned, d)
		if err != nil {
			return i, false, err
		}
		note(&t)
		if whole {
			r.keepGraph(ctx, planned, d)
		}
		if err := r.record(t, sum); err != nil {
			return i, false, err
		}
		if !whole {
			return i + 1, false, nil
		}
	}
	return len(trials), true, nil
}

func (r *Runner) record(t results.Trial, sum *Summary) error {
	results.Judge(&t)
	if err := r.Run.Append(t); err != nil {
		return fmt.Errorf("recording trial %s: %w", t.ID, err)
	}
	sum.Outcomes[t.Outcome]++
	r.Progress.Done(t)
	return nil
}

// deploy brings an arm up, or hands back one that was kept, and says how long it took to become ready.
func (r *Runner) deploy(ctx context.Context, t results.PlannedTrial) (deploy.Deployment, time.Duration, error) {
	if d, alive := r.kept[t.Arm]; alive {
		return d, 0, nil
	}
	r.Progress.Deploy(t)
	began := time.Now()
	d, err := r.Deployer.Deploy(ctx, r.arms[t.Arm])
	return d, time.Since(began), err
}

// release takes a deployment down, or keeps it for the next round.
func (r *Runner) release(arm string, d deploy.Deployment, broken bool) error {
	if r.Keep && !broken {
		r.kept[arm] = d
		return nil
	}
	delete(r.kept, arm)
	return closeDeployment(d)
}

func (r *Runner) closeKept() {
	for arm, d := range r.kept {
		if err := closeDeployment(d); err != nil {
			r.Progress.Note(fmt.Sprintf("taking %s down: %v", arm, err))
		}
	}
}

// closeDeployment has its own deadline: a run that was interrupted still takes everything down.
func closeDeployment(d deploy.Deployment) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := d.Close(ctx); err != nil {
		return fmt.Errorf("taking the deployment down: %w", err)
	}
	return nil
}

const closeTimeout = 10 * time.Second

// neverReady records every trial of the visit as failed: an arm that does not come up counts against it. Any other error, a full
// disk or a cancelled context, ends the run.
func (r *Runner) neverReady(ctx context.Context, trials []results.PlannedTrial, cause error, sum *Summary) error {
	var notReady *deploy.NotReady
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !errors.As(cause, &notReady) {
		return fmt.Errorf("deploying %s: %w", trials[0].Arm, cause)
	}
	for _, planned := range trials {
		r.Progress.Start(planned)
		t := newTrial(planned)
		t.Failure = &results.Failure{Process: notReady.Process, Reason: "never ready: " + notReady.Reason, Log: notReady.Log}
		if err := r.record(t, sum); err != nil {
			return err
		}
	}
	return nil
}

// excluded probes an arm before it is loaded. A probe that fails keeps the arm out of the round, loudly.
func (r *Runner) excluded(ctx context.Context, t results.PlannedTrial, d deploy.Deployment) (bool, error) {
	seen := parity.Look(ctx, r.arms[t.Arm], d)
	if ctx.Err() != nil {
		return true, ctx.Err()
	}
	if err := r.see(t, seen); err != nil {
		return true, err
	}
	for _, f := range seen.Failures {
		r.Progress.Note(fmt.Sprintf("round %d: %s is excluded: %s: %s", t.Round, t.Arm, f.Probe, f.Text))
		if err := r.Run.Exclude(results.Exclusion{Round: t.Round, Arm: t.Arm, Probe: f.Probe, Text: f.Text}); err != nil {
			return true, err
		}
	}
	return len(seen.Failures) > 0, nil
}

// see records what the probes saw, whether they let the arm in or not.
func (r *Runner) see(t results.PlannedTrial, seen parity.Seen) error {
	if len(seen.Probes)+len(seen.Handshakes) == 0 {
		return nil
	}
	return r.Run.See(results.Sighting{Round: t.Round, Arm: t.Arm, Probes: seen.Probes, Handshakes: seen.Handshakes})
}

// active is what the proxies say they do. Parity asked the same a moment ago, so that no answer now is worth a word and no more.
func (r *Runner) active(ctx context.Context, t results.PlannedTrial, d deploy.Deployment) []results.Active {
	active, err := parity.Active(ctx, r.arms[t.Arm], d)
	if err != nil && ctx.Err() == nil {
		r.Progress.Note(fmt.Sprintf("round %d: %s: the stages in force are not recorded: %v", t.Round, t.Arm, err))
	}
	return active
}

// target is what the driver needs to know of a deployment.
func (r *Runner) target(t results.PlannedTrial, d deploy.Deployment) load.Target {
	l := r.Experiment.Load
	arm, _ := r.Experiment.Arm(t.Arm)
	target := load.Target{Connections: t.Connections, Timeout: l.Timeout.D(), Entries: urls(deploy.EntriesOf(d, arm, r.Experiment.Application.Entry))}
	if len(target.Entries) == 0 {
		target.Entries = urls(d.Entries()) // no request goes to the entry as a whole
	}
	target.Ledger = r.Experiment.Ledgers()
	if entries := d.Entries(); len(entries) > 0 {
		target.Roots = entries[0].Roots // one authority vouches for all entries of a deployment
	}
	for _, request := range l.Requests {
		sent := load.Request{Method: request.Method, Path: request.Path, Weight: request.Weight, Body: make([]byte, request.Body.Size)}
		for i := range sent.Body {
			sent.Body[i] = 'x'
		}
		for name, value := range request.Headers.All() {
			sent.Headers = append(sent.Headers, [2]string{name, value})
		}
		for _, call := range arm.ClientCalls(&request) {
			sent.InOrder = arm.InOrder()
			sent.Calls = append(sent.Calls, load.Call{
				Entries: urls(deploy.EntriesOf(d, arm, call.Service)), Path: call.Path,
				Headers: append([][2]string{{"Host", call.Service}}, sent.Headers...),
			})
		}
		target.Requests = append(target.Requests, sent)
	}
	return target
}

func urls(entries []deploy.Entry) []string {
	var all []string
	for _, entry := range entries {
		all = append(all, entry.URL)
	}
	return all
}
