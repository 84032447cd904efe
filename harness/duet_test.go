package harness

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/ci"
	"crossroads/results"
	"crossroads/topologies"
)

func forwardDuet(t *testing.T) (*topologies.Experiment, *ci.Rules) {
	t.Helper()
	rules := ci.Standard()
	data, known := topologies.Ready("single")
	require.True(t, known)
	from, err := topologies.Parse("single.yaml", data)
	require.NoError(t, err)
	e, err := DuetExperiment(from, &rules, "forward")
	require.NoError(t, err)
	require.Greater(t, from.Topologies.Len(), 3, "the experiment itself stays as it is")
	return e, &rules
}

func TestDuetExperimentIsOneTopologyThreeTimes(t *testing.T) {
	e, rules := forwardDuet(t)
	require.Equal(t, []string{ci.Baseline, ci.Candidate, ci.Again}, e.Topologies.Keys())
	require.Equal(t, e.Topologies.At(ci.Baseline), e.Topologies.At(ci.Candidate))
	require.Equal(t, 1000.0, e.Load.Rates[0].F(), "half of the rate each")
	require.Equal(t, topologies.Placement{Proxies: topologies.Ints{0}, Driver: topologies.Ints{1}, Workload: topologies.Ints{1}, Awake: true}, e.Placement, "what the rules say")
	_, err := DuetExperiment(e, rules, "forwrd")
	require.ErrorContains(t, err, "no scenario forwrd")
	_, err = DuetExperiment(e, rules, "forward")
	require.ErrorContains(t, err, "no topology gateway-all")
}

func TestDuetPlanSwapsAndRepeats(t *testing.T) {
	e, rules := forwardDuet(t)
	p, err := NewDuetPlan(e, rules, noon)
	require.NoError(t, err)
	require.Len(t, p.Trials, 2*rules.Rounds())
	first := map[string]int{}
	for i := 0; i < len(p.Trials); i += 2 {
		a, b := p.Trials[i], p.Trials[i+1]
		require.Equal(t, a.Round, b.Round)
		require.Equal(t, a.Seed, b.Seed, "both sides get the same schedule")
		require.Equal(t, [3]float64{a.Rate, float64(a.Connections), float64(a.Duration)}, [3]float64{b.Rate, float64(b.Connections), float64(b.Duration)})
		require.Less(t, a.Order, b.Order)
		arms := []string{a.Arm, b.Arm}
		require.Contains(t, arms, ci.Baseline)
		if a.Round%5 == 0 {
			require.Contains(t, arms, ci.Again)
			continue
		}
		require.Contains(t, arms, ci.Candidate)
		first[a.Arm]++
	}
	require.InDelta(t, first[ci.Baseline], first[ci.Candidate], 2)
	again, err := NewDuetPlan(e, rules, noon)
	require.NoError(t, err)
	require.Equal(t, p, again)
}

func TestAHalfRecordedRoundIsRunAgainAsAWhole(t *testing.T) {
	e, rules := forwardDuet(t)
	p, err := NewDuetPlan(e, rules, noon)
	require.NoError(t, err)
	record := func(i, attempt int) results.Trial {
		return results.Trial{PlannedTrial: p.Trials[i], Attempt: attempt}
	}
	round, attempt, left := next(p, nil)
	require.True(t, left)
	require.Equal(t, []int{1, 1}, []int{round[0].Round, attempt})
	round, attempt, _ = next(p, []results.Trial{record(0, 1), record(1, 1), record(3, 1)})
	require.Equal(t, []int{2, 2}, []int{round[0].Round, attempt}, "its sides must have run at the same time")
	var all []results.Trial
	for i := range p.Trials {
		all = append(all, record(i, 1))
	}
	_, _, left = next(p, all)
	require.False(t, left)
}

func TestSelfTestPlanIsBlindedAndStable(t *testing.T) {
	rules := ci.Standard()
	data, _ := topologies.Ready("single")
	from, err := topologies.Parse("single.yaml", data)
	require.NoError(t, err)
	s := SelfTest{From: from, Rules: &rules, Scenario: "forward", AA: 30, Each: 10}
	e, err := s.experiment()
	require.NoError(t, err)
	p, err := s.plan(e)
	require.NoError(t, err)
	arms := map[string]int{}
	firstHalf := map[string]int{}
	for i, trial := range p.Trials {
		arms[trial.Arm]++
		if i < len(p.Trials)/2 {
			firstHalf[trial.Arm]++
		}
	}
	require.Equal(t, map[string]int{ci.Baseline: 60, ci.Again: 30, "injected-a": 10, "injected-b": 10, "injected-c": 10}, arms)
	for _, arm := range injectedArms {
		require.NotContains(t, []int{0, 10}, firstHalf[arm], "the changes are spread over the whole")
	}
	again, err := s.plan(e)
	require.NoError(t, err)
	require.Equal(t, p.Trials, again.Trials, "a later sitting goes on with the same plan")
	onlyAA, _, left := nextOf(p, nil, true)
	require.True(t, left)
	require.Contains(t, []string{onlyAA[0].Arm, onlyAA[1].Arm}, ci.Again)
}

// repository makes a repository with two commits: one whose gateway builds, and then one whose gateway does not.
func repository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	git := func(args ...string) {
		c := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"}, args...)...)
		out, err := c.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	put := func(name, text string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	git("init", "-q", "-b", "main")
	put("go.mod", "module example.com/small\n\ngo 1.21\n")
	put("proxies/cmd/gateway/main.go", "package main\n\nfunc main() { println(\"first\") }\n")
	git("add", ".")
	git("commit", "-q", "-m", "first")
	git("tag", "good")
	put("proxies/cmd/gateway/main.go", "package main\n\nfunc main() { broken }\n")
	git("commit", "-q", "-a", "-m", "second")
	return dir
}

func TestBuilderBuildsACommitAndLeavesNothing(t *testing.T) {
	dir := repository(t)
	b := Builder{Dir: dir, Out: t.TempDir()}
	v, err := b.Baseline(t.Context(), "gateway", "good")
	require.NoError(t, err)
	out, err := exec.Command(v.Path).CombinedOutput()
	require.NoError(t, err)
	require.Equal(t, "first\n", string(out))
	require.Contains(t, v.Text, "good (commit ")

	for name, why := range map[string]string{
		"":         "nothing was named",
		"mian":     "it is no program, and no commit",
		"--help":   "it is no program, and no commit",
		"main":     "building the gateway",
		"good:xyz": "it is no program, and no commit",
	} {
		_, err := b.Baseline(t.Context(), "gateway", name)
		var none *NoVersion
		require.ErrorAs(t, err, &none, name)
		require.ErrorContains(t, err, why)
	}
	_, err = b.Tree(t.Context(), "gateway")
	require.ErrorContains(t, err, "building the gateway")
	trees, err := exec.Command("git", "-C", dir, "worktree", "list").Output()
	require.NoError(t, err)
	require.Len(t, strings.Split(strings.TrimSpace(string(trees)), "\n"), 1, "%s", trees)

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = b.Baseline(gone, "gateway", "good")
	require.ErrorIs(t, err, context.Canceled)
}

func TestBinariesAsVersions(t *testing.T) {
	dir := t.TempDir()
	program, note := filepath.Join(dir, "gateway"), filepath.Join(dir, "note")
	require.NoError(t, os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755))
	require.NoError(t, os.WriteFile(note, []byte("text"), 0o644))
	b := Builder{Dir: dir, Out: dir}
	v, err := b.Baseline(t.Context(), "gateway", program)
	require.NoError(t, err)
	require.Equal(t, program, v.Path)
	_, err = b.Baseline(t.Context(), "gateway", note)
	require.ErrorContains(t, err, "cannot be executed")
	_, err = Binary(filepath.Join(dir, "nowhere"))
	require.ErrorContains(t, err, "no program")
}
