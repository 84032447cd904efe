package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"crossroads/harness"
	"crossroads/reports"
	"crossroads/topologies"
)

// featured is what features prints with --format json: the matrix, and what it is made of.
type featured struct {
	harness.Features
	Tables []*reports.Table `json:"tables"`
}

// features deploys the arms of experiments and has them asked, without a load.
func (a *app) features() *cobra.Command {
	var only []string
	c := &cobra.Command{
		Use: "features [FILE...]", Short: "Ask every proxy what it does, without a load: a matrix of proxies and features",
		Long: `Features deploys each topology of the experiments, has the probes of parity ask it for what is declared, takes it down again, and
prints who did what: seen to act, told by the proxy itself, refused with the reason, or not asked. Without FILE it takes the ready
experiments whose names begin with rivals-. It exits with 5 where a topology did not come up or did otherwise than declared.`,
		Example: "  crossroads features\n  crossroads features my.yaml --only nginx,gateway",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = slices.DeleteFunc(topologies.ReadyNames(), func(name string) bool { return !strings.HasPrefix(name, "rivals-") })
			}
			all := featured{}
			for _, file := range args {
				if err := a.ask(c.Context(), file, only, &all.Features); err != nil {
					return err
				}
			}
			return a.printFeatures(&all)
		},
	}
	c.Flags().StringSliceVar(&only, "only", nil, "topologies to ask, by name")
	return c
}

// ask adds what the arms of one experiment did.
func (a *app) ask(ctx context.Context, file string, only []string, all *harness.Features) error {
	e, err := loadExperiment([]string{file})
	if err != nil {
		return err
	}
	if err := (harness.Overrides{Only: only}).Apply(e); err != nil {
		return &exit{code: exitUsage, err: err}
	}
	executable, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	logs, err := os.MkdirTemp("", "crossroads-features-")
	if err != nil {
		return fmt.Errorf("making a directory for logs: %w", err)
	}
	defer os.RemoveAll(logs)
	f, err := harness.Ask(ctx, e, executable, logs, func(text string) { fmt.Fprintln(a.stderr, text) })
	if err != nil {
		return err
	}
	prefix := func(arm string) string { return e.Name + "/" + arm } // two files may have an arm of one name
	for _, arm := range f.Arms {
		arm.Name = prefix(arm.Name)
		all.Arms = append(all.Arms, arm)
	}
	for _, s := range f.Sightings {
		s.Arm = prefix(s.Arm)
		all.Sightings = append(all.Sightings, s)
	}
	for _, failure := range f.Failures {
		failure.Arm = prefix(failure.Arm)
		all.Failures = append(all.Failures, failure)
	}
	all.Refused, all.Absent = append(all.Refused, f.Refused...), append(all.Absent, f.Absent...)
	return nil
}

func (a *app) printFeatures(all *featured) error {
	all.Tables = reports.FeatureTables(all.Arms, all.Sightings, all.Refused)
	var text bytes.Buffer
	if err := reports.PrintTables(&text, all.Tables, a.colour(), a.width()); err != nil {
		return err
	}
	for _, f := range all.Failures {
		fmt.Fprintf(&text, "\nfailed: %s: %s: %s\n", f.Arm, f.Probe, f.Text)
	}
	for _, n := range all.Absent {
		fmt.Fprintf(&text, "\nnot asked: %s: %s\n  hint: %s\n", n.Arm, n.Reason, n.Mend)
	}
	if err := a.result(all, text.String()); err != nil {
		return err
	}
	if n := len(all.Failures) + len(all.Absent); n > 0 {
		return &exit{code: exitTarget, printed: true, err: errors.New("not every topology did what it declares"), hint: "the reasons stand below the matrix"}
	}
	return nil
}
