package main

import (
	"fmt"
	"strings"

	"crossroads/ci"
	"crossroads/results"
)

// compareRuns holds two stored runs against each other, for information only.
func (a *app) compareRuns(before, after string, force bool) error {
	var runs [2]*results.Run
	var trials [2][]results.Trial
	var warnings []string
	for i, dir := range []string{before, after} {
		run, err := openRun(dir)
		if err != nil {
			return err
		}
		defer run.Close()
		found, damaged, err := run.Trials()
		if err != nil {
			return err
		}
		for _, w := range damaged {
			warnings = append(warnings, run.Plan.ID+": "+w.String())
		}
		runs[i], trials[i] = run, found
	}
	differences := ci.Differences(runs[0], runs[1])
	if len(differences) > 0 && !force {
		return &exit{code: exitCannotJudge, err: fmt.Errorf("these runs cannot be compared: %s", strings.Join(differences, "; ")),
			hint: "--force compares them all the same, and says so"}
	}
	shifts := ci.Shifts(trials[0], trials[1], ci.Stored())
	if len(shifts) == 0 {
		return &exit{code: exitCannotJudge, err: fmt.Errorf("the runs %s and %s have no valid trials of the same arm at the same rate", runs[0].Plan.ID, runs[1].Plan.ID)}
	}
	var b strings.Builder
	for _, w := range append(differences, warnings...) {
		fmt.Fprintf(&b, "WARNING: %s\n", w)
	}
	if err := ci.TextShifts(&b, shifts); err != nil {
		return err
	}
	return a.result(map[string]any{"before": runs[0].Plan.ID, "after": runs[1].Plan.ID, "differences": differences, "warnings": warnings, "shifts": shifts}, b.String())
}

// openRun opens a run directory that a user named.
func openRun(dir string) (*results.Run, error) {
	run, err := results.Open(dir)
	if err != nil {
		return nil, &exit{code: exitCannotJudge, err: err, hint: "name a run directory, such as one in results/runs"}
	}
	return run, nil
}
