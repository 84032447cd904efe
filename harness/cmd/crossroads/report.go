package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"crossroads/ci"
	"crossroads/reports"
	"crossroads/results"
)

// bench is the whole pipeline: deploy, load, record, report.
func (a *app) bench() *cobra.Command {
	m := &measuring{}
	var html string
	c := &cobra.Command{
		Use: "bench [FILE]", Short: "Deploy, load, record and report an experiment",
		Long: "Bench carries out an experiment (without FILE: the ready storefront) and writes its report. The paths are printed last.",
		Example: "  crossroads bench\n  crossroads bench my.yaml --rates 500,1k --rounds 6\n" +
			"  crossroads bench --resume results/runs/ID     complete an interrupted run",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			run, err := a.measure(c.Context(), m, args)
			if run == nil {
				return err
			}
			// What finished is reported even where the run was cut short; the report then says that it is partial.
			return errors.Join(err, a.writeReport(run.Dir, html))
		},
	}
	m.flags(c)
	c.Flags().StringVar(&html, "reports", filepath.Join("reports", "html"), "directory that keeps the reports")
	return c
}

// reportVerb rebuilds reports from records.
func (a *app) reportVerb() *cobra.Command {
	var html string
	c := &cobra.Command{
		Use: "report RUN...", Short: "Rebuild HTML, PNG and Markdown from the records of a run, or the study of a self-test",
		Long: `Report builds the page, figures and summary of each RUN from its records. Of the collections of self-tests it makes one study, which it
writes beside the first.`,
		Example: "  crossroads report results/runs/latest\n  crossroads report results/baselines/selftest-forward results/baselines/more/selftest-forward",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if done, err := a.studyOf(args); done || err != nil {
				return err
			}
			if a.format == "json" && len(args) > 1 {
				return usage("--format json writes one document: name one RUN")
			}
			for _, dir := range args {
				if err := a.writeReport(dir, html); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().StringVar(&html, "reports", filepath.Join("reports", "html"), "directory that keeps the reports")
	return c
}

// writeReport builds the report of a run directory and prints the matrix, and last the paths.
func (a *app) writeReport(dir, html string) error {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return &exit{code: exitUsage, err: err, hint: "name a run directory, such as one in results/runs"}
	}
	run, err := results.Open(dir)
	if err != nil {
		return &exit{code: exitUsage, err: err, hint: "name a run directory, such as one in results/runs"}
	}
	defer run.Close()
	report, err := reports.Build(run)
	if errors.Is(err, reports.ErrNothing) {
		return &exit{code: exitCannotJudge, err: err, hint: "complete the run with `crossroads bench --resume " + dir + "`"}
	}
	if err != nil {
		return err
	}
	target := filepath.Join(html, run.Plan.ID)
	if err := reports.Write(target, report); err != nil {
		return err
	}
	if err := errors.Join(results.MarkLatest(html, run.Plan.ID), results.MarkLatest(filepath.Dir(dir), filepath.Base(dir))); err != nil {
		return err
	}
	paths := map[string]string{
		"run": run.Dir, "report": filepath.Join(target, "index.html"),
		"figures": filepath.Join(target, "figures"), "summary": filepath.Join(target, "summary.md"),
	}
	if a.format == "json" {
		return a.result(map[string]any{"paths": paths, "report": report}, "")
	}
	if err := reports.Terminal(a.stdout, report, a.colour(), a.width()); err != nil {
		return fmt.Errorf("printing the report: %w", err)
	}
	var b strings.Builder
	for _, name := range []string{"run", "summary", "figures", "report"} {
		fmt.Fprintf(&b, "%-8s %s\n", name, paths[name])
	}
	_, err = fmt.Fprintf(a.stdout, "\n%s", b.String())
	return err
}

// studyOf examines the collections of self-tests, all of them as one, and writes the study beside the first. done is false where these
// are runs of another kind.
func (a *app) studyOf(dirs []string) (done bool, err error) {
	var runs []*results.Run
	for _, dir := range dirs {
		run, err := results.Open(dir)
		if err != nil {
			return false, nil // said by whoever writes its report
		}
		defer run.Close()
		if !ci.IsSelfTest(run) {
			return false, nil
		}
		runs = append(runs, run)
	}
	study, err := ci.StudyOf(runs[0], runs[1:]...)
	if err != nil {
		return false, &exit{code: exitCannotJudge, err: err}
	}
	text, err := writeStudy(runs[0].Dir, study)
	if err != nil {
		return false, err
	}
	return true, a.result(map[string]any{"studies": []ci.Study{study}}, text)
}
