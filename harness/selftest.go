package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"crossroads/ci"
	"crossroads/harness/deploy"
	"crossroads/harness/deploy/process"
	"crossroads/results"
	"crossroads/results/stats"
	"crossroads/topologies"
)

// SelfTest collects the pairs that prove a gate: the baseline against itself, and against itself made worse by known amounts, in a
// random order, under names that say nothing. It may be interrupted and goes on where it stopped.
type SelfTest struct {
	From       *topologies.Experiment
	Rules      *ci.Rules
	Scenario   string
	Programs   map[string]string // by kind; that of the scenario's program is the build that can be made worse
	Program    string
	Executable string
	Root       string        // directory that keeps the collection
	AA, Each   int           // rounds without a change, and with each of the changes
	Budget     time.Duration // of this sitting; 0: until all rounds have run
	Note       func(text string)
}

// pilot is how many usable A/A pairs must have said what the baseline costs before a change is sized by it.
const pilot = 4

// injectedArms are the blinded names. Which change is which is drawn from the seed and stands in injected.json.
var injectedArms = []string{"injected-a", "injected-b", "injected-c"}

// Do collects what is missing, within the budget, and examines what is there.
func (s SelfTest) Do(ctx context.Context) (*results.Run, ci.Study, error) {
	e, err := s.experiment()
	if err != nil {
		return nil, ci.Study{}, err
	}
	run, err := s.open(e)
	if err != nil {
		return nil, ci.Study{}, err
	}
	defer run.Close()
	if err := run.Begin(time.Now()); err != nil {
		return run, ci.Study{}, err
	}
	err = s.collect(ctx, e, run)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err = errors.Join(err, run.End(time.Now(), ending(err))); err != nil {
		return run, ci.Study{}, err
	}
	study, err := ci.StudyOf(run)
	return run, study, err
}

func (s SelfTest) experiment() (*topologies.Experiment, error) {
	e, err := DuetExperiment(s.From, s.Rules, s.Scenario)
	if err != nil {
		return nil, err
	}
	topology := e.Topologies.At(ci.Baseline)
	e.Topologies.Clear()
	for _, arm := range append([]string{ci.Baseline, ci.Again}, injectedArms...) {
		e.Topologies.Set(arm, topology)
	}
	return e, recheck(e)
}

// open begins the collection, or goes on with the one that lies there.
func (s SelfTest) open(e *topologies.Experiment) (*results.Run, error) {
	environment, err := results.CollectEnvironment(nil)
	if err != nil {
		return nil, err
	}
	placed(&environment, e.Placement)
	if environment.Binaries, err = hashBinaries(s.Programs); err != nil {
		return nil, err
	}
	plan, err := s.plan(e)
	if err != nil {
		return nil, err
	}
	plan.Binaries, plan.Machine = environment.Binaries, environment.Machine
	run, err := results.Open(filepath.Join(s.Root, plan.ID))
	if errors.Is(err, fs.ErrNotExist) {
		resolved, err := topologies.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("writing the resolved experiment: %w", err)
		}
		if run, err = results.Create(s.Root, plan, environment, resolved); err != nil {
			return nil, err
		}
		return run, ci.WriteRules(run.Dir, s.Rules)
	}
	if err != nil {
		return nil, err
	}
	if err := errors.Join(run.Resumable(environment), run.SamePlan(plan)); err != nil {
		return nil, errors.Join(err, run.Close())
	}
	return run, nil
}

// plan shuffles all rounds. Its ID is the same every time, so that a sitting finds what earlier ones left.
func (s SelfTest) plan(e *topologies.Experiment) (results.Plan, error) {
	p, err := NewPlan(e, time.Now())
	if err != nil {
		return p, err
	}
	p.ID, p.Trials = "selftest-"+s.Scenario, nil
	var right []string
	for range s.AA {
		right = append(right, ci.Again)
	}
	for _, arm := range injectedArms {
		for range s.Each {
			right = append(right, arm)
		}
	}
	random := rand.New(rand.NewPCG(e.Seed, mix("selftest", 0, s.Scenario, 0)))
	random.Shuffle(len(right), func(i, j int) { right[i], right[j] = right[j], right[i] })
	p.Rounds = len(right)
	for i, arm := range right {
		sides := [2]string{ci.Baseline, arm}
		if random.IntN(2) == 0 {
			sides[0], sides[1] = sides[1], sides[0]
		}
		for _, arm := range sides {
			p.Trials = append(p.Trials, results.PlannedTrial{
				ID: fmt.Sprintf("r%04d-%s", i+1, arm), Order: len(p.Trials) + 1, Round: i + 1, Arm: arm,
				Rate: e.Load.Rates[0].F(), Connections: e.Load.Connections[0], Seed: mix("schedule", i+1, fmt.Sprint(e.Seed), 0),
				Warmup: int64(e.Load.Warmup), Duration: int64(e.Load.Duration), Driver: driverName(e.Load),
			})
		}
	}
	return p, nil
}

// collect runs rounds until the budget is used up or none is left.
func (s SelfTest) collect(ctx context.Context, e *topologies.Experiment, run *results.Run) error {
	d := &Duet{Experiment: e, Rules: s.Rules, Scenario: s.Scenario, Run: run, Executable: s.Executable, Note: func(string) {}}
	if err := d.prepare(); err != nil {
		return err
	}
	baseline, err := process.New(process.Config{Binaries: s.Programs, Dir: filepath.Join(run.Dir, results.LogsDir, ci.Baseline)})
	if err != nil {
		return err
	}
	d.Deployers = map[string]deploy.Deployer{ci.Baseline: baseline, ci.Again: baseline}
	injected, err := ci.ReadInjected(run.Dir)
	if err != nil {
		return err
	}
	defer keepAwake(e.Placement)()
	for began := time.Now(); s.Budget == 0 || time.Since(began) < s.Budget; {
		trials, _, err := run.Trials()
		if err != nil {
			return err
		}
		if injected == nil {
			if injected, err = s.size(run, trials); err != nil {
				return err
			}
		}
		if injected != nil && len(d.Deployers) == 2 {
			if err := s.deployers(d, run, injected); err != nil {
				return err
			}
		}
		planned, attempt, left := nextOf(run.Plan, trials, injected == nil)
		if !left {
			return nil
		}
		if err := d.round(ctx, planned, attempt); err != nil {
			return err
		}
		s.Note(fmt.Sprintf("round %d of %d recorded", planned[0].Round, run.Plan.Rounds))
	}
	return nil
}

// nextOf is next, of the A/A rounds alone where the changes have no size yet.
func nextOf(p results.Plan, trials []results.Trial, onlyAA bool) ([2]results.PlannedTrial, int, bool) {
	if onlyAA {
		var aa []results.PlannedTrial
		for i := 0; i+1 < len(p.Trials); i += 2 {
			if p.Trials[i].Arm == ci.Again || p.Trials[i+1].Arm == ci.Again {
				aa = append(aa, p.Trials[i], p.Trials[i+1])
			}
		}
		p.Trials = aa
	}
	return next(p, trials)
}

// size makes the changes once the first A/A pairs have said what the baseline costs, and writes them down.
func (s SelfTest) size(run *results.Run, trials []results.Trial) ([]ci.Injected, error) {
	var pairs []ci.Pair
	for _, p := range ci.Pairs(trials) {
		if p.AA && p.Usable() {
			pairs = append(pairs, p)
		}
	}
	if len(pairs) < pilot {
		return nil, nil
	}
	level := func(name string) float64 {
		m, _ := ci.MetricNamed(name)
		var values []float64
		for _, p := range pairs {
			if left, _, ok := p.Levels(m); ok {
				values = append(values, left)
			}
		}
		if len(values) == 0 {
			return 0
		}
		return stats.Median(values)
	}
	cpu, p50, p99 := level("cpu-"+s.Program), level("service-p50"), level("service-p99")
	if cpu == 0 || p50 == 0 || p99 == 0 {
		return nil, nil
	}
	spin := func(d time.Duration) string { return fmt.Sprintf("spin=%dns", d.Nanoseconds()) }
	seconds := func(v float64) time.Duration { return time.Duration(v * float64(time.Second)) }
	var delays []float64
	for _, p := range pairs {
		service, err := p.Left.Times[results.Service].Decode()
		if err != nil {
			return nil, fmt.Errorf("sizing a delay by trial %s: %w", p.Left.ID, err)
		}
		delays = append(delays, delayFor(service, 0.10, delayedShare))
	}
	delay := seconds(stats.Median(delays))
	changes := []ci.Injected{
		{Text: spin(time.Duration(0.05 * cpu)), Metric: "cpu-" + s.Program, Size: "+5%", Pairs: s.Rules.Looks[0]},
		{Text: spin(seconds(0.03 * p50)), Metric: "service-p50", Size: "+3%", Pairs: s.Rules.Looks[min(1, len(s.Rules.Looks)-1)]},
		{Text: fmt.Sprintf("delay=%dns share=%g", delay.Nanoseconds(), delayedShare), Metric: "service-p99", Size: "+10%", Pairs: s.Rules.Looks[len(s.Rules.Looks)-1]},
	}
	arms := append([]string{}, injectedArms...)
	random := rand.New(rand.NewPCG(run.Plan.Seed, mix("blind", 0, s.Scenario, 0)))
	random.Shuffle(len(arms), func(i, j int) { arms[i], arms[j] = arms[j], arms[i] })
	for i := range changes {
		changes[i].Arm = arms[i]
	}
	text, err := json.MarshalIndent(changes, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing which changes are injected: %w", err)
	}
	if err := os.WriteFile(filepath.Join(run.Dir, ci.InjectedFile), append(text, '\n'), 0o644); err != nil {
		return nil, fmt.Errorf("writing which changes are injected: %w", err)
	}
	return changes, nil
}

// delayedShare of all requests are delayed to lift the p99.
const delayedShare = 0.015

// delayFor is how much a share of the requests, above 1%, must be delayed to lift the p99 by a change such as 0.10, in seconds. Where
// F is the share of undelayed requests above a time, the lifted p99 t is where (1-share) F(t) + share F(t-delay) = 1%.
func delayFor(service *hdrhistogram.Histogram, change, share float64) float64 {
	const tail = 0.01
	lifted := (1 + change) * float64(results.Quantile(service, 1-tail))
	above := 0.0 // of the undelayed requests, share above the lifted p99
	for _, bar := range service.Distribution() {
		if float64(bar.From) > lifted {
			above += float64(bar.Count)
		}
	}
	above /= float64(service.TotalCount())
	among := (tail - (1-share)*above) / share // of the delayed ones, share that must be above it
	return (lifted - float64(results.Quantile(service, 1-among))) / 1e9
}

// deployers make one for each change. The program is the same file on both sides; a script of one line gives it the change, so that
// not even the layout of the binary differs.
func (s SelfTest) deployers(d *Duet, run *results.Run, injected []ci.Injected) error {
	for _, i := range injected {
		dir, err := filepath.Abs(filepath.Join(run.Dir, results.LogsDir, i.Arm))
		if err != nil {
			return fmt.Errorf("finding the directory of the logs: %w", err)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("making the directory of the logs: %w", err)
		}
		script := filepath.Join(dir, s.Program)
		text := fmt.Sprintf("#!/bin/sh\nCROSSROADS_INJECTED='%s' exec '%s' \"$@\"\n", i.Text, s.Programs[s.Program])
		if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
			return fmt.Errorf("writing the script of a change: %w", err)
		}
		programs := map[string]string{}
		for kind, path := range s.Programs {
			programs[kind] = path
		}
		programs[s.Program] = script
		if d.Deployers[i.Arm], err = process.New(process.Config{Binaries: programs, Dir: dir}); err != nil {
			return err
		}
	}
	return nil
}
