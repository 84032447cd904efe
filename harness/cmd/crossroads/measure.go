package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"crossroads/harness"
	"crossroads/results"
	"crossroads/topologies"
)

// measuring is what bench and run have in common.
type measuring struct {
	rates            string
	rounds           int
	duration, warmup time.Duration
	only             []string
	driver, resume   string
	seed             uint64
	keep             bool
	runs             string
	progress         string
}

func (m *measuring) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&m.rates, "rates", "", "offered rates instead of the experiment's, such as 500,1k or 1k..8k*2")
	f.IntVar(&m.rounds, "rounds", 0, "rounds instead of the experiment's; fewer than 6 give no interval")
	f.DurationVar(&m.duration, "duration", 0, "length of every measured block")
	f.DurationVar(&m.warmup, "warmup", 0, "length of every warm-up")
	f.StringSliceVar(&m.only, "only", nil, "topologies to run, by name")
	f.StringVar(&m.driver, "driver", "", "native or vegeta")
	f.Uint64Var(&m.seed, "seed", 0, "seed instead of the experiment's")
	f.StringVar(&m.resume, "resume", "", "complete this run directory instead of beginning a run")
	f.BoolVar(&m.keep, "keep", false, "keep processes alive over rounds: a quick look, and the report says so")
	f.StringVar(&m.runs, "results", filepath.Join("results", "runs"), "directory that keeps the runs")
	f.StringVar(&m.progress, "progress", "", "bar, lines or json (default: bar on a terminal, else lines)")
}

// experiment reads the file and applies the flags.
func (m *measuring) experiment(args []string) (*topologies.Experiment, error) {
	if m.resume != "" {
		if len(args) > 0 {
			return nil, usage("--resume takes the experiment from the run: leave out %s", args[0])
		}
		return topologies.Load(filepath.Join(m.resume, "experiment.yaml"))
	}
	e, err := loadExperiment(args)
	if err != nil {
		return nil, err
	}
	var rates topologies.Rates
	if m.rates != "" {
		if rates, err = topologies.ParseRates(m.rates); err != nil {
			return nil, usage("--rates: %w", err)
		}
	}
	o := harness.Overrides{Rates: rates, Rounds: m.rounds, Duration: m.duration, Warmup: m.warmup, Only: m.only, Driver: m.driver, Seed: m.seed}
	if err := o.Apply(e); err != nil {
		return nil, &exit{code: exitUsage, err: err, hint: "the experiment file and the flags together must make sense: see `crossroads plan`"}
	}
	return e, nil
}

// measure carries the experiment out.
func (a *app) measure(ctx context.Context, m *measuring, args []string) (*results.Run, error) {
	e, err := m.experiment(args)
	if err != nil {
		return nil, err
	}
	s, err := a.session(m, e)
	if err != nil {
		return nil, err
	}
	return sit(ctx, s)
}

// session is the first sitting at an experiment, or one that goes on with --resume.
func (a *app) session(m *measuring, e *topologies.Experiment) (harness.Session, error) {
	executable, err := os.Executable()
	if err != nil {
		return harness.Session{}, fmt.Errorf("finding this program: %w", err)
	}
	progress, err := harness.NewProgress(m.style(a.stderr), a.stderr)
	if err != nil {
		return harness.Session{}, &exit{code: exitUsage, err: err}
	}
	return harness.Session{Experiment: e, Executable: executable, Runs: m.runs, Resume: m.resume, Keep: m.keep, Progress: progress}, nil
}

// sit carries a sitting out.
func sit(ctx context.Context, s harness.Session) (*results.Run, error) {
	run, sum, err := s.Do(ctx)
	if errors.Is(err, context.Canceled) {
		return run, &exit{code: exitInterrupted, err: errors.New("interrupted; what finished is kept"),
			hint: "complete the run with --resume " + run.Dir}
	}
	if err != nil {
		return run, err
	}
	return run, verdict(sum, run)
}

// measureInTurn makes a round of each experiment before the next round of any, so that what drifts for minutes meets all of them alike.
// Runs are in the order of the experiments; after an error they are those that were begun.
func (a *app) measureInTurn(ctx context.Context, m *measuring, experiments []*topologies.Experiment) ([]*results.Run, error) {
	var sessions []harness.Session
	rounds := 0
	for _, e := range experiments {
		s, err := a.session(m, e)
		if err != nil {
			return nil, err
		}
		sessions, rounds = append(sessions, s), max(rounds, e.Load.Rounds)
	}
	var runs []*results.Run
	for round := 1; round <= rounds; round++ {
		for i := range sessions {
			s := &sessions[i]
			if s.Experiment.Load.Rounds < round {
				continue
			}
			s.UpTo = round
			run, err := sit(ctx, *s)
			if round == 1 && run != nil {
				runs = append(runs, run)
				s.Resume = run.Dir
			}
			var stopped *exit
			if errors.As(err, &stopped) && stopped.code == exitInterrupted {
				stopped.hint = "complete each of these with `crossroads run --resume`: " + strings.Join(dirs(runs), " ")
			}
			if err != nil {
				return runs, err
			}
		}
	}
	return runs, nil
}

func dirs(runs []*results.Run) []string {
	var all []string
	for _, run := range runs {
		all = append(all, run.Dir)
	}
	return all
}

// verdict turns a run in which nothing could be measured into exit code 5: the system under test did not start or failed parity.
func verdict(sum harness.Summary, run *results.Run) error {
	ran := 0
	for outcome, n := range sum.Outcomes {
		if outcome != results.Failed {
			ran += n
		}
	}
	if ran == 0 && sum.Outcomes[results.Failed]+sum.Excluded > 0 {
		return &exit{code: exitTarget, err: errors.New("the system under test did not start or failed parity in every trial"),
			hint: "the reasons stand in " + filepath.Join(run.Dir, "trials.jsonl") + " and exclusions.jsonl, the output of its processes in logs/ beside them"}
	}
	return nil
}

// style chooses how progress is shown: a bar only on a terminal.
func (m *measuring) style(w io.Writer) string {
	if m.progress != "" {
		return m.progress
	}
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return "bar"
		}
	}
	return "lines"
}

// runVerb deploys, loads and records.
func (a *app) runVerb() *cobra.Command {
	m := &measuring{}
	c := &cobra.Command{
		Use: "run FILE", Short: "Deploy, load and record an experiment, without a report",
		Example: "  crossroads run topologies/single.yaml --only direct,gateway --rounds 6\n  crossroads run --resume results/runs/ID",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 && m.resume == "" {
				return usage("run needs an experiment FILE, or --resume RUN")
			}
			run, err := a.measure(c.Context(), m, args)
			if run == nil || err != nil {
				return err
			}
			return a.result(map[string]string{"run": run.Dir}, run.Dir+"\n")
		},
	}
	m.flags(c)
	return c
}

// result writes the one thing that stdout carries.
func (a *app) result(document any, text string) error {
	if a.format == "json" {
		encoded, err := json.Marshal(document)
		if err != nil {
			return fmt.Errorf("writing the result: %w", err)
		}
		text = string(encoded) + "\n"
	}
	_, err := io.WriteString(a.stdout, text)
	return err
}

// planVerb prints every trial in order.
func (a *app) planVerb() *cobra.Command {
	m := &measuring{}
	c := &cobra.Command{
		Use: "plan [FILE]", Short: "Print every trial in order, with its seed and the time it takes",
		Example: "  crossroads plan topologies/storefront.yaml --rounds 2",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			e, err := m.experiment(args)
			if err != nil {
				return err
			}
			plan, err := harness.NewPlan(e, time.Now())
			if err != nil {
				return err
			}
			if a.format == "json" {
				return a.result(plan, "")
			}
			return printPlan(a.stdout, e, plan)
		},
	}
	m.flags(c)
	return c
}

func printPlan(w io.Writer, e *topologies.Experiment, plan results.Plan) error {
	t := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s: %d arms, %d rounds, %d trials, about %s\n\n", plan.Name, len(plan.Arms), plan.Rounds, len(plan.Trials), harness.Length(plan).Round(time.Second))
	fmt.Fprintln(t, "arm\tgateway\tmesh\tmTLS\tproxies before the entry\tproxies on each edge\tprocesses\tports")
	for _, arm := range plan.Arms {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\n", arm.Name, dash(arm.Gateway), dash(arm.Mesh), dash(arm.MTLS), arm.EntryHops, arm.EdgeHops, arm.Processes, ports(arm))
	}
	printFaults(t, e)
	fmt.Fprintln(t, "\ntrial\tround\tarm\trate\tconnections\twarm-up\tblock\tseed of the schedule\tdriver")
	for _, trial := range plan.Trials {
		fmt.Fprintf(t, "%d\t%d\t%s\t%g/s\t%d\t%s\t%s\t%016x\t%s\n", trial.Order, trial.Round, trial.Arm, trial.Rate, trial.Connections,
			time.Duration(trial.Warmup), time.Duration(trial.Duration), trial.Seed, trial.Driver)
	}
	return t.Flush()
}

// printFaults says what goes wrong in every trial, and in which arms it meets anybody.
func printFaults(w io.Writer, e *topologies.Experiment) {
	if len(e.Faults) == 0 {
		return
	}
	fmt.Fprintln(w, "\nfault\tat\tfor\twhat\tarms")
	for i := range e.Faults {
		f := &e.Faults[i]
		var arms []string
		for _, arm := range e.Arms() {
			if len(f.Targets(arm)) > 0 {
				arms = append(arms, arm.Name)
			}
		}
		lasts := f.For.String()
		if f.For == 0 {
			lasts = "ever"
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n", i+1, f.At, lasts, f.Text(), strings.Join(arms, ", "))
	}
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func ports(arm results.ArmInfo) string {
	if arm.External != "" {
		return arm.External
	}
	return "free ones on loopback"
}
