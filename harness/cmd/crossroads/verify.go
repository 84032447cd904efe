package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"crossroads/ci"
	"crossroads/reports"
	"crossroads/results"
)

// verified is what verify found.
type verified struct {
	Run     string   `json:"run"`
	Records int      `json:"records"` // trials read, each with its checksum
	Looked  int      `json:"checks"`  // of histograms, counts and outcomes
	Numbers int      `json:"numbers"` // of the report and the decisions, computed again
	Faults  []string `json:"faults,omitempty"`
}

// verify computes everything that was made from the records of a run again.
func (a *app) verify() *cobra.Command {
	var html string
	c := &cobra.Command{
		Use: "verify RUN", Short: "Compute every number of a report again from the records",
		Long: `Verify reads the records of a run, checks each against its checksum, its histograms against its counts and its outcome against its
evidence, builds the report, the gate's decisions and the study of a self-test again, and compares them number by number with what was written. It exits with 4
where anything differs: that report cannot be believed.`,
		Example: "  crossroads verify results/runs/latest",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := filepath.EvalSymlinks(args[0])
			if err != nil {
				return &exit{code: exitCannotJudge, err: err, hint: "name a run directory, such as one in results/runs"}
			}
			return a.verifyRun(dir, html)
		},
	}
	c.Flags().StringVar(&html, "reports", filepath.Join("reports", "html"), "directory that keeps the reports")
	return c
}

func (a *app) verifyRun(dir, html string) error {
	run, err := openRun(dir)
	if err != nil {
		return err
	}
	defer run.Close()
	trials, warnings, err := run.Trials()
	if err != nil {
		return err
	}
	v := verified{Run: run.Dir, Records: len(trials)}
	for _, w := range warnings {
		if w.Kind == results.Corrupt || w.Kind == results.Unplanned {
			v.Faults = append(v.Faults, w.String())
		}
	}
	looked, faults := ci.Audit(trials)
	v.Looked, v.Faults = looked, append(v.Faults, faults...)
	numbers, differences, err := ci.Recheck(run, trials)
	if err != nil {
		return err
	}
	more, unlike, err := ci.RecheckStudy(run, trials)
	if err != nil {
		return err
	}
	numbers += more
	v.Numbers, v.Faults = numbers, append(append(v.Faults, differences...), unlike...)
	file := filepath.Join(html, run.Plan.ID, "report.json")
	stored, err := os.ReadFile(file)
	switch {
	case err == nil:
		err = v.report(run, file, stored)
	case errors.Is(err, os.ErrNotExist) && numbers > 0:
		err = nil // a duet has a decision, and a self-test a study: neither needs a report
	case errors.Is(err, os.ErrNotExist):
		return &exit{code: exitCannotJudge, err: fmt.Errorf("there is no report %s and no decision to verify", file), hint: "write it with `crossroads report " + dir + "`"}
	}
	if err != nil {
		return err
	}
	return a.printVerified(&v)
}

// report builds the report again and compares.
func (v *verified) report(run *results.Run, file string, stored []byte) error {
	again, err := reports.Build(run)
	if err != nil {
		return err
	}
	numbers, differences, err := ci.Diff(stored, again)
	if err != nil {
		return &exit{code: exitCannotJudge, err: fmt.Errorf("%s: %w", file, err)}
	}
	v.Numbers += numbers
	for _, d := range differences {
		v.Faults = append(v.Faults, "report.json "+d)
	}
	return nil
}

// maxFaults bounds what is printed; with --format json all of them are.
const maxFaults = 20

func (a *app) printVerified(v *verified) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d records, %d checks of histograms, counts and outcomes, %d numbers computed again\n", v.Run, v.Records, v.Looked, v.Numbers)
	for _, f := range v.Faults[:min(maxFaults, len(v.Faults))] {
		fmt.Fprintf(&b, "  differs: %s\n", f)
	}
	if n := len(v.Faults) - maxFaults; n > 0 {
		fmt.Fprintf(&b, "  and %d more\n", n)
	}
	if err := a.result(v, b.String()); err != nil {
		return err
	}
	if len(v.Faults) > 0 {
		return &exit{code: exitCannotJudge, printed: true, err: fmt.Errorf("%d differences: what was written does not follow from the records", len(v.Faults)),
			hint: "rebuild the report with `crossroads report " + v.Run + "` and look at the records' warnings"}
	}
	return nil
}
