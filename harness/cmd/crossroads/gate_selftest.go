package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"crossroads/ci"
	"crossroads/harness"
)

// injectedTag builds a proxy that can be made worse on purpose; see proxies/gateway/injected.go.
const injectedTag = "crossroads_injected"

// selfTest collects pairs without and with injected changes, and prints how often the gate is right.
func (a *app) selfTest(ctx context.Context, g *gating) error {
	if g.baseline != "" || g.candidate != "" {
		return usage("--self-test takes the working tree against itself: leave out --baseline and --candidate")
	}
	rules, _, err := g.rules()
	if err != nil {
		return err
	}
	executable, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	built, err := os.MkdirTemp("", "crossroads-selftest-")
	if err != nil {
		return fmt.Errorf("making room for the programs: %w", err)
	}
	defer os.RemoveAll(built)
	var studies []ci.Study
	var text strings.Builder
	for _, name := range g.chosen(rules) {
		study, dir, err := a.selfTestOf(ctx, g, rules, name, executable, built)
		if errors.Is(err, context.Canceled) {
			return &exit{code: exitInterrupted, err: errors.New("interrupted; what finished is kept"), hint: "the same command goes on where this one stopped"}
		}
		if err != nil {
			return err
		}
		studies = append(studies, study)
		written, err := writeStudy(dir, study)
		if err != nil {
			return err
		}
		text.WriteString(written)
	}
	if g.summary != "" {
		if err := toFile(g.summary, os.O_APPEND, func(w io.Writer) error { _, err := fmt.Fprintf(w, "```\n%s```\n", text.String()); return err }); err != nil {
			return err
		}
	}
	if err := a.result(map[string]any{"studies": studies}, text.String()); err != nil {
		return err
	}
	if slices.ContainsFunc(studies, func(s ci.Study) bool { return s.False.Of == 0 }) {
		return &exit{code: exitCannotJudge, printed: true, err: errors.New("too few pairs yet for the rates"), hint: "the same command collects more; the machine must be idle"}
	}
	return nil
}

func (a *app) selfTestOf(ctx context.Context, g *gating, rules *ci.Rules, name, executable, built string) (ci.Study, string, error) {
	declared, _ := rules.Scenarios.Get(name)
	if declared.Program != "gateway" {
		return ci.Study{}, "", &exit{code: exitCannotJudge, err: fmt.Errorf("scenario %s: only the gateway has a build that can be made worse, not the %s", name, declared.Program)}
	}
	from, err := loadExperiment([]string{declared.Experiment})
	if err != nil {
		return ci.Study{}, "", err
	}
	programs, err := harness.Binaries(executable)
	if err != nil {
		return ci.Study{}, "", err
	}
	version, err := harness.Builder{Dir: ".", Out: built, Tags: []string{injectedTag}}.Tree(ctx, declared.Program)
	if err != nil {
		return ci.Study{}, "", err
	}
	s := harness.SelfTest{
		From: from, Rules: rules, Scenario: name, Executable: executable, Program: declared.Program,
		Programs: withProgram(programs, declared.Program, version.Path),
		Root:     cmp.Or(g.runs, filepath.Join("results", "baselines")), AA: g.aa, Each: g.each, Budget: g.budget,
		Note: func(text string) { fmt.Fprintf(a.stderr, "%s  %s\n", name, text) },
	}
	run, study, err := s.Do(ctx)
	if err != nil {
		return study, "", duetError(err, nil)
	}
	return study, run.Dir, nil
}
