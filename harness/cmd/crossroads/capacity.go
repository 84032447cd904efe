package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"crossroads/harness"
	"crossroads/proxies/config/units"
	"crossroads/results"
	"crossroads/results/capacity"
	"crossroads/topologies"
)

// climbing are the flags of capacity.
type climbing struct {
	only             []string
	start, highest   string
	duration, warmup time.Duration
	repeat, fine     int
	runs, resume     string
}

// capacity searches the highest rate that meets the objectives, for each topology.
func (a *app) capacity() *cobra.Command {
	k := &climbing{}
	c := &cobra.Command{
		Use: "capacity FILE", Short: "Find the highest rate that meets the objectives, for each topology",
		Long: `Capacity doubles the offered rate until a step misses the objectives of the experiment, then goes up and down: up after a step that
met them, down after one that missed, in ever smaller strides, and at last by 3% for --fine steps. It prints the two rates, 3% apart, between
which the share of steps that meet the objectives falls through a half, never a point, in which range that lies with 95%, and the
response times at 50% and 80% of the lower one. Every step has fresh processes. A step in which the instrument was at fault is repeated
and never counted against the target.

With --repeat the whole search is made several times, each knowing nothing of the others. All searches take turns step by step, so that
arms and repetitions meet the same machine; how far apart the repetitions are is printed. A search that was cut short goes on
with --resume: no finished trial is lost.
` + "`crossroads report RUN`" + ` writes its report, and ` + "`crossroads verify RUN`" + ` computes that again from the records.`,
		Example: "  crossroads capacity single --only direct,gateway\n  crossroads capacity storefront --repeat 3 --duration 10s\n" +
			"  crossroads capacity my.yaml --start 1k --highest 50k --duration 5s\n  crossroads capacity --resume results/runs/ID",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.findCapacity(c.Context(), k, args) },
	}
	f := c.Flags()
	f.StringSliceVar(&k.only, "only", nil, "topologies to search, by name")
	f.StringVar(&k.start, "start", "", "rate of the first step (default: the experiment's lowest)")
	f.StringVar(&k.highest, "highest", "200k", "rate beyond which it does not go")
	f.DurationVar(&k.duration, "duration", 0, "length of every measured block instead of the experiment's")
	f.DurationVar(&k.warmup, "warmup", 0, "length of every warm-up (default: the experiment's, at least 2s)")
	f.IntVar(&k.fine, "fine", fineSteps, "steps of 3% up or down that each search makes; more of them make it surer")
	f.IntVar(&k.repeat, "repeat", 1, "whole searches of each topology")
	f.StringVar(&k.runs, "results", filepath.Join("results", "runs"), "directory that keeps the runs")
	f.StringVar(&k.resume, "resume", "", "go on with the search of this run directory; the search is that of the run")
	return c
}

// The bracket's width, how many steps of that width are made, and how many others one repetition of an arm may take.
const (
	bracketWidth = 0.03
	fineSteps    = 16
	otherSteps   = 60
)

// warmEnough is how long a step's fresh processes are loaded before it counts, at least: what they do once, such as the handshakes of a
// mesh whose pools grow, takes CPU time in the first second, and where CPU time is short one slow second decides about the p99 of ten.
const warmEnough = 2 * time.Second

// session is the search that the arguments ask for.
func (k *climbing) session(args []string) (s harness.CapacitySession, err error) {
	if k.resume != "" {
		if len(args) > 0 {
			return s, usage("--resume takes the experiment from the run: leave out %s", args[0])
		}
		e, err := topologies.Load(filepath.Join(k.resume, results.ExperimentFile))
		if err != nil {
			return s, &exit{code: exitUsage, err: err, hint: "name the directory of a search, such as results/runs/capacity-ID"}
		}
		return harness.CapacitySession{Experiment: e, Resume: k.resume}, nil
	}
	if len(args) == 0 {
		return s, usage("capacity needs an experiment FILE, or --resume RUN")
	}
	e, err := loadExperiment(args)
	if err != nil {
		return s, err
	}
	if err := (harness.Overrides{Only: k.only, Duration: k.duration, Warmup: k.warmup}).Apply(e); err != nil {
		return s, &exit{code: exitUsage, err: err, hint: "the experiment file and the flags together must make sense"}
	}
	if k.warmup == 0 {
		e.Load.Warmup = max(e.Load.Warmup, units.Duration(warmEnough))
	}
	if k.repeat < 1 {
		return s, usage("--repeat %d: a search is made at least once", k.repeat)
	}
	if k.fine < 4 {
		return s, usage("--fine %d: a search makes at least 4 fine steps", k.fine)
	}
	search := results.Search{Start: e.Load.Rates[0].F(), Width: bracketWidth, Fine: k.fine, Steps: k.fine + otherSteps, Repeat: k.repeat}
	if k.start != "" {
		if search.Start, err = rate("--start", k.start); err != nil {
			return s, err
		}
	}
	if search.Highest, err = rate("--highest", k.highest); err != nil {
		return s, err
	}
	return harness.CapacitySession{Experiment: e, Runs: k.runs, Search: search}, nil
}

func (a *app) findCapacity(ctx context.Context, k *climbing, args []string) error {
	s, err := k.session(args)
	if err != nil {
		return err
	}
	if s.Executable, err = os.Executable(); err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	s.Note = func(text string) { fmt.Fprintln(a.stderr, text) }
	run, found, err := s.Do(ctx)
	var unfit *harness.Unfit
	switch {
	case errors.As(err, &unfit):
		return &exit{code: exitTarget, err: err, hint: "an arm must do what it declares before its capacity means something"}
	case errors.Is(err, context.Canceled):
		return &exit{code: exitInterrupted, err: errors.New("interrupted; what finished is kept"), hint: "go on with --resume " + run.Dir}
	case err != nil:
		return err
	}
	if err := a.printCapacity(run, found); err != nil {
		return err
	}
	return judged(found)
}

func rate(flag, text string) (float64, error) {
	var c units.Count
	if err := c.UnmarshalText([]byte(text)); err != nil || c <= 0 {
		return 0, usage("%s %s: write a rate such as 500 or 2k", flag, text)
	}
	return c.F(), nil
}

// judged says with its exit code where no bracket was found.
func judged(found []capacity.Arm) error {
	var open []string
	for _, c := range found {
		if c.Low == 0 || c.High == 0 {
			open = append(open, c.Name)
		}
	}
	if len(open) == 0 {
		return nil
	}
	return &exit{code: exitCannotJudge, printed: true, err: fmt.Errorf("no bracket for %s", strings.Join(open, ", ")), hint: "the notes say why"}
}

func (a *app) printCapacity(run *results.Run, found []capacity.Arm) error {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 2, 0, 2, ' ', 0)
	fmt.Fprintln(t, "arm\trepetition\tcapacity\twidth\t95% interval\tp50, p99 at 50%\tp50, p99 at 80%\tsteps")
	for _, c := range found {
		for _, r := range c.Repetitions {
			fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%d\n", c.Name, r.Number, r.Bracket, width(r.Bracket), ends(r.Range), waits(r, 0), waits(r, 1), r.Steps)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, c := range found {
		if c.Spread > 0 {
			fmt.Fprintf(&b, "%s: %d repetitions within %s, %.1f%% apart; 95%% interval of all together %s\n", c.Name, len(c.Repetitions), capacity.Bracket{Low: c.Low, High: c.High}, 100*c.Spread, ends(c.Range))
		}
		for _, r := range c.Repetitions {
			if r.Note != "" {
				fmt.Fprintf(&b, "%s, repetition %d: %s\n", c.Name, r.Number, r.Note)
			}
		}
	}
	fmt.Fprintf(&b, "\nrecords  %s\n", run.Dir)
	return a.result(map[string]any{"capacities": found, "objectives": run.Plan.Objectives, "run": run.Dir}, b.String())
}

func width(b capacity.Bracket) string {
	if b.Low == 0 || b.High == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f%%", 100*b.Width)
}

func ends(of [2]float64) string {
	return capacity.Bracket{Low: of[0], High: of[1]}.String()
}

func waits(r capacity.Repetition, i int) string {
	if i >= len(r.Below) {
		return "-"
	}
	b, m := r.Below[i], results.TimeQuantile(results.Response, 0.5)
	if b.P50 == nil {
		return string(b.Outcome)
	}
	text := m.Format(*b.P50)
	if b.P99 != nil {
		text += ", " + m.Format(*b.P99)
	}
	return text
}
