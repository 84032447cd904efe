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
)

// climbing are the flags of capacity.
type climbing struct {
	only             []string
	start, highest   string
	duration, warmup time.Duration
	runs             string
}

// capacity searches the highest rate that meets the objectives, for each topology.
func (a *app) capacity() *cobra.Command {
	k := &climbing{}
	c := &cobra.Command{
		Use: "capacity FILE", Short: "Find the highest rate that meets the objectives, for each topology",
		Long: `Capacity doubles the offered rate until a step misses the objectives of the experiment, bisects until the bracket is within 3%, and
confirms both ends: 3 of 3 steps at the lower one meet the objectives, 2 of 3 at the upper one miss them. It prints the bracket, never
a point, and the response times at 50% and 80% of its lower end. Every step has fresh processes. A step in which the instrument was
at fault is repeated and never counted against the target.`,
		Example: "  crossroads capacity single --only direct,gateway\n  crossroads capacity my.yaml --start 1k --highest 50k --duration 5s",
		Args:    cobra.ExactArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return a.findCapacity(c.Context(), k, args) },
	}
	f := c.Flags()
	f.StringSliceVar(&k.only, "only", nil, "topologies to search, by name")
	f.StringVar(&k.start, "start", "", "rate of the first step (default: the experiment's lowest)")
	f.StringVar(&k.highest, "highest", "200k", "rate beyond which it does not go")
	f.DurationVar(&k.duration, "duration", 0, "length of every measured block instead of the experiment's")
	f.DurationVar(&k.warmup, "warmup", 0, "length of every warm-up instead of the experiment's")
	f.StringVar(&k.runs, "results", filepath.Join("results", "runs"), "directory that keeps the runs")
	return c
}

// The bracket's width, and how many steps an arm may take.
const (
	bracketWidth = 0.03
	mostSteps    = 60
)

func (a *app) findCapacity(ctx context.Context, k *climbing, args []string) error {
	e, err := loadExperiment(args)
	if err != nil {
		return err
	}
	if err := (harness.Overrides{Only: k.only, Duration: k.duration, Warmup: k.warmup}).Apply(e); err != nil {
		return &exit{code: exitUsage, err: err, hint: "the experiment file and the flags together must make sense"}
	}
	search := harness.Search{Start: e.Load.Rates[0].F(), Width: bracketWidth, Steps: mostSteps}
	if k.start != "" {
		if search.Start, err = rate("--start", k.start); err != nil {
			return err
		}
	}
	if search.Highest, err = rate("--highest", k.highest); err != nil {
		return err
	}
	executable, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	s := harness.CapacitySession{Experiment: e, Executable: executable, Runs: k.runs, Search: search,
		Note: func(text string) { fmt.Fprintln(a.stderr, text) }}
	run, found, err := s.Do(ctx)
	var unfit *harness.Unfit
	switch {
	case errors.As(err, &unfit):
		return &exit{code: exitTarget, err: err, hint: "an arm must do what it declares before its capacity means something"}
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
func judged(found []harness.Capacity) error {
	var open []string
	for _, c := range found {
		if c.Low == 0 || c.High == 0 {
			open = append(open, c.Arm)
		}
	}
	if len(open) == 0 {
		return nil
	}
	return &exit{code: exitCannotJudge, printed: true, err: fmt.Errorf("no bracket for %s", strings.Join(open, ", ")), hint: "the notes say why"}
}

func (a *app) printCapacity(run *results.Run, found []harness.Capacity) error {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 2, 0, 2, ' ', 0)
	fmt.Fprintln(t, "arm\tcapacity\twidth\tp50, p99 at 50%\tp50, p99 at 80%\tsteps")
	for _, c := range found {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\n", c.Arm, bracket(c.Bracket), width(c.Bracket), waits(c, 0), waits(c, 1), c.Steps)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, c := range found {
		if c.Note != "" {
			fmt.Fprintf(&b, "%s: %s\n", c.Arm, c.Note)
		}
	}
	fmt.Fprintf(&b, "\nrecords  %s\n", run.Dir)
	return a.result(map[string]any{"capacities": found, "objectives": run.Plan.Objectives, "run": run.Dir}, b.String())
}

func bracket(b harness.Bracket) string {
	switch {
	case b.Low == 0 && b.High == 0:
		return "not known"
	case b.High == 0:
		return fmt.Sprintf("at least %.0f/s", b.Low)
	case b.Low == 0:
		return fmt.Sprintf("below %.0f/s", b.High)
	}
	return fmt.Sprintf("%.0f to %.0f/s", b.Low, b.High)
}

func width(b harness.Bracket) string {
	if b.Low == 0 || b.High == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f%%", 100*b.Width)
}

func waits(c harness.Capacity, i int) string {
	if i >= len(c.Below) {
		return "-"
	}
	b, m := c.Below[i], results.TimeQuantile(results.Response, 0.5)
	if b.P50 == nil {
		return string(b.Outcome)
	}
	text := m.Format(*b.P50)
	if b.P99 != nil {
		text += ", " + m.Format(*b.P99)
	}
	return text
}
