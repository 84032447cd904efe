package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"crossroads/ci"
	"crossroads/harness"
	"crossroads/proxies/config/units"
	"crossroads/results"
)

// gating are the flags of gate.
type gating struct {
	baseline, candidate   string
	file                  string
	scenarios, resume     []string
	block, warmup, budget time.Duration
	pairs                 int
	runs, junit, summary  string
	selfTest              bool
	aa, each              int
}

// rulesHere is where a repository keeps its rules.
const rulesHere = "ci/gates.yaml"

// gateVerb builds two versions of a program and runs them side by side.
func (a *app) gateVerb() *cobra.Command {
	g := &gating{}
	c := &cobra.Command{
		Use: "gate --baseline GITREF|BINARY", Short: "Is the new version worse? Build both, run them side by side: pass, fail or cannot judge",
		Long: `Gate takes two versions of a proxy, loads them at the same time in pairs of blocks, and holds the difference against the rules in
ci/gates.yaml. The baseline is a commit of the repository here (it is built in a worktree of its own, which is removed afterwards) or a
binary; the candidate is a binary or, without --candidate, what the working tree builds.

Exit codes: 0 pass; 3 fail; 4 cannot judge, which is never a pass: no such baseline, too few pairs, a noisy machine, absent data;
5 a version did not start or does not do the same work.`,
		Example: `  crossroads gate --baseline main
  crossroads gate --baseline v1.2.0 --junit gate.xml --summary gate.md
  crossroads gate --self-test --budget 1h          prove it on this machine, an hour at a time
  crossroads gate --baseline ./gateway-old --candidate ./gateway-new --rules my-gates.yaml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if g.selfTest {
				return a.selfTest(c.Context(), g)
			}
			return a.gate(c.Context(), g)
		},
	}
	f := c.Flags()
	f.StringVar(&g.baseline, "baseline", "", "the version to compare with: a commit, branch or tag, or a binary")
	f.StringVar(&g.candidate, "candidate", "", "the version to judge: a binary (default: built from the working tree)")
	f.StringVar(&g.file, "rules", "", "file of rules (default "+rulesHere+", or the rules that come with the program)")
	f.StringSliceVar(&g.scenarios, "scenario", nil, "scenarios of the rules to run (default: all; the verdict is then on these alone)")
	f.DurationVar(&g.block, "block", 0, "length of a block instead of the rules'")
	f.DurationVar(&g.warmup, "warmup", 0, "length of a warm-up instead of the rules'")
	f.DurationVar(&g.budget, "budget", 0, "time for each scenario instead of the rules'; without a verdict by then it is inconclusive")
	f.IntVar(&g.pairs, "pairs", 0, "stop after as many pairs (default: the last look)")
	f.StringVar(&g.runs, "results", "", "directory that keeps the records (default results/runs; of the self-test results/baselines)")
	f.StringSliceVar(&g.resume, "resume", nil, "run directories to complete, with the same flags as before")
	f.BoolVar(&g.selfTest, "self-test", false, "prove the gate here: collect pairs without and with injected changes, for --budget at a time, and print its rates")
	f.IntVar(&g.aa, "self-test-aa", 340, "rounds of the self-test without a change")
	f.IntVar(&g.each, "self-test-injected", 70, "rounds of the self-test with each of the three changes")
	f.StringVar(&g.junit, "junit", "", "write JUnit XML to this file")
	f.StringVar(&g.summary, "summary", os.Getenv("GITHUB_STEP_SUMMARY"), "append a Markdown summary to this file (default: $GITHUB_STEP_SUMMARY)")
	return c
}

// rules reads the rules and applies the flags.
func (g *gating) rules() (*ci.Rules, string, error) {
	file, rules := g.file, &ci.Rules{}
	if _, err := os.Stat(rulesHere); file == "" && err == nil {
		file = rulesHere
	}
	if file == "" {
		standard := ci.Standard()
		rules, file = &standard, "the rules that come with the program"
	} else {
		read, err := ci.LoadRules(file)
		if errors.Is(err, os.ErrNotExist) {
			return nil, file, &exit{code: exitCannotJudge, err: err, hint: "without rules nothing can pass"}
		}
		if err != nil {
			return nil, file, err
		}
		rules = read
	}
	for _, override := range []struct {
		flag time.Duration
		into *units.Duration
	}{{g.block, &rules.Block}, {g.warmup, &rules.Warmup}, {g.budget, &rules.Budget}} {
		if override.flag > 0 {
			*override.into = units.Duration(override.flag)
		}
	}
	for _, name := range g.scenarios {
		if _, known := rules.Scenarios.Get(name); !known {
			return nil, file, &exit{code: exitCannotJudge, err: fmt.Errorf("--scenario %s: %s has no such scenario; it has %s", name, file, strings.Join(rules.Scenarios.Keys(), ", "))}
		}
	}
	return rules, file, nil
}

func (a *app) gate(ctx context.Context, g *gating) error {
	g.runs = cmp.Or(g.runs, filepath.Join("results", "runs"))
	rules, file, err := g.rules()
	if err != nil {
		return err
	}
	if err := g.resumable(rules); err != nil {
		return err
	}
	executable, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	built, err := os.MkdirTemp("", "crossroads-gate-")
	if err != nil {
		return fmt.Errorf("making room for the programs: %w", err)
	}
	defer os.RemoveAll(built)
	s := &side{app: a, g: g, rules: rules, executable: executable, builder: harness.Builder{Dir: ".", Out: built}, versions: map[string][2]harness.Version{}}
	var decisions []ci.Decision
	for _, name := range g.chosen(rules) {
		decision, err := s.scenario(ctx, name)
		if err != nil {
			return errors.Join(err, a.writeGate(g, append(decisions, ci.Decision{Scenario: name, Reasons: []string{err.Error()}}), nil))
		}
		decisions = append(decisions, decision)
	}
	notes := append(s.notes(), "Rules: "+file)
	if err := a.writeGate(g, decisions, notes); err != nil {
		return err
	}
	if err := a.decided(decisions, s.runs...); err != nil {
		return err
	}
	return gateError(decisions)
}

// resumable refuses a run that belongs to none of the scenarios: it would be left as it is without a word.
func (g *gating) resumable(rules *ci.Rules) error {
	for _, dir := range g.resume {
		run, err := openRun(dir)
		if err != nil {
			return err
		}
		if err := run.Close(); err != nil {
			return err
		}
		if !slices.Contains(g.chosen(rules), run.Plan.Name) {
			return &exit{code: exitCannotJudge, err: fmt.Errorf("--resume %s: it is a run of %q, which is no scenario of this gate", dir, run.Plan.Name)}
		}
	}
	return nil
}

func (g *gating) chosen(rules *ci.Rules) []string {
	if len(g.scenarios) > 0 {
		return g.scenarios
	}
	return rules.Scenarios.Keys()
}

// side brings the versions of the programs to the scenarios.
type side struct {
	app        *app
	g          *gating
	rules      *ci.Rules
	executable string
	builder    harness.Builder
	versions   map[string][2]harness.Version // by program
	runs       []string
}

func (s *side) notes() []string {
	var notes []string
	for _, program := range slices.Sorted(maps.Keys(s.versions)) {
		v := s.versions[program]
		notes = append(notes, fmt.Sprintf("%s: baseline %s, candidate %s", program, v[0].Text, v[1].Text))
	}
	return notes
}

func (s *side) both(ctx context.Context, program string) ([2]harness.Version, error) {
	if v, have := s.versions[program]; have {
		return v, nil
	}
	var v [2]harness.Version
	var err error
	if v[0], err = s.builder.Baseline(ctx, program, s.g.baseline); err != nil {
		var none *harness.NoVersion
		if errors.As(err, &none) {
			err = &exit{code: exitCannotJudge, err: err, hint: "--baseline takes a commit, branch or tag of the repository here, or the path of a " + program}
		}
		return v, err
	}
	if s.g.candidate != "" {
		v[1], err = harness.Binary(s.g.candidate)
	} else {
		v[1], err = s.builder.Tree(ctx, program)
	}
	if err != nil {
		return v, &exit{code: exitCannotJudge, err: err, hint: "name the version to judge with --candidate BINARY"}
	}
	s.versions[program] = v
	return v, nil
}

func (s *side) scenario(ctx context.Context, name string) (ci.Decision, error) {
	none := ci.Decision{Scenario: name}
	declared, _ := s.rules.Scenarios.Get(name)
	versions, err := s.both(ctx, declared.Program)
	if err != nil {
		return none, err
	}
	from, err := loadExperiment([]string{declared.Experiment})
	if err != nil {
		return none, err
	}
	e, err := harness.DuetExperiment(from, s.rules, name)
	if err != nil {
		return none, &exit{code: exitCannotJudge, err: err, hint: "the rules must name a topology of the experiment"}
	}
	programs, err := harness.Binaries(s.executable)
	if err != nil {
		return none, err
	}
	session := harness.DuetSession{
		Experiment: e, Rules: s.rules, Scenario: name, Executable: s.executable, Runs: s.g.runs, Pairs: s.g.pairs, Resume: s.resume(name),
		Programs: map[string]map[string]string{
			ci.Baseline: withProgram(programs, declared.Program, versions[0].Path), ci.Candidate: withProgram(programs, declared.Program, versions[1].Path)},
		Note: func(text string) { fmt.Fprintf(s.app.stderr, "%s  %s\n", name, text) },
	}
	fmt.Fprintf(s.app.stderr, "%s: baseline %s, candidate %s; about %s to the first look, %s to the last\n", name, versions[0].Text, versions[1].Text,
		s.rules.Length(s.rules.Looks[0]).Round(time.Second), s.rules.Length(s.rules.Looks[len(s.rules.Looks)-1]).Round(time.Second))
	run, decision, err := session.Do(ctx)
	if run != nil {
		s.runs = append(s.runs, run.Dir)
	}
	if err != nil {
		return none, duetError(err, run)
	}
	return decision, nil
}

// resume finds the run of a scenario among those to complete.
func (s *side) resume(name string) string {
	for _, dir := range s.g.resume {
		if run, err := results.Open(dir); err == nil {
			_ = run.Close()
			if run.Plan.Name == name {
				return dir
			}
		}
	}
	return ""
}

func withProgram(programs map[string]string, kind, path string) map[string]string {
	changed := maps.Clone(programs)
	changed[kind] = path
	return changed
}

// writeGate writes what machines read: JUnit XML and the step summary. It is written for a gate that could not judge too, because a
// missing file looks like nothing to report.
func (a *app) writeGate(g *gating, decisions []ci.Decision, notes []string) error {
	if g.junit != "" {
		if err := toFile(g.junit, os.O_TRUNC, func(w io.Writer) error { return ci.JUnit(w, decisions) }); err != nil {
			return err
		}
	}
	if g.summary != "" {
		return toFile(g.summary, os.O_APPEND, func(w io.Writer) error { return ci.Markdown(w, decisions, notes) })
	}
	return nil
}

func toFile(path string, mode int, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|mode, 0o644)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
