package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/ci"
	"crossroads/results"
)

// crossroadsIn runs the real program in a directory.
func crossroadsIn(t *testing.T, dir string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	c := exec.Command(filepath.Join(programs(t), "crossroads"), args...)
	c.Dir = dir
	var out, complaint bytes.Buffer
	c.Stdout, c.Stderr = &out, &complaint
	err := c.Run()
	if c.ProcessState == nil {
		require.NoError(t, err)
	}
	return out.String(), complaint.String(), c.ProcessState.ExitCode()
}

// duetRecords opens the one run of a directory and holds it against what every duet must have recorded.
func duetRecords(t *testing.T, dir, pattern string) (*results.Run, []results.Trial) {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(dir, pattern))
	require.NoError(t, err)
	require.Len(t, dirs, 1)
	run, err := results.Open(dirs[0])
	require.NoError(t, err)
	t.Cleanup(func() { _ = run.Close() })
	trials, warnings, err := run.Trials()
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.NotEmpty(t, trials)
	rounds := map[int][]results.Trial{}
	for _, trial := range trials {
		rounds[trial.Round] = append(rounds[trial.Round], trial)
		require.EqualValues(t, trial.Rate*time.Duration(trial.Duration).Seconds(), trial.Counts.Planned, "%s: %v", trial.ID, trial.Reasons)
		require.Equal(t, trial.Counts.Planned, trial.Counts.Done+trial.Counts.Errors, "%s lost samples", trial.ID)
	}
	for round, both := range rounds {
		require.Len(t, both, 2, "round %d", round)
		require.Less(t, both[0].Started.Sub(both[1].Started).Abs(), time.Second, "round %d: its sides ran at the same time", round)
	}
	return run, trials
}

func TestCompareTwoLiveSystems(t *testing.T) {
	var urls []string
	for range 2 {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Api-Key") != "demo" || r.URL.Path != "/orders" {
				w.WriteHeader(http.StatusForbidden)
			}
		}))
		t.Cleanup(s.Close)
		urls = append(urls, s.URL)
	}
	dir := t.TempDir()
	stdout, stderr, status := crossroadsIn(t, dir, "compare", "--baseline", urls[0], "--candidate", urls[1], "--header", "X-Api-Key: demo", "--path", "/orders",
		"--pairs", "2", "--rate", "400", "--margin", "service-p50=5%", "--budget", "3s", "--block", "500ms", "--warmup", "200ms", "--results", "runs", "--format", "json")
	require.Contains(t, []int{exitOK, exitCannotJudge}, status, "%s", stderr)
	var document struct {
		Verdict   ci.Verdict    `json:"verdict"`
		Decisions []ci.Decision `json:"decisions"`
		Runs      []string      `json:"runs"`
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &document), "exactly one document: %s", stdout)
	require.Equal(t, ci.Inconclusive, document.Verdict, "two pairs decide nothing")
	run, trials := duetRecords(t, filepath.Join(dir, "runs"), "compare-*")
	require.Equal(t, document.Decisions[0].Pairs == 0, status == exitCannotJudge)
	require.Equal(t, len(trials)/2, document.Decisions[0].Pairs+document.Decisions[0].AA+len(document.Decisions[0].Dropped), "every round is evidence or is dropped with a reason")
	for _, trial := range trials {
		require.True(t, trial.Host.Unmetered)
		require.Zero(t, trial.Counts.Errors)
	}
	stdout, stderr, status = crossroadsIn(t, dir, "verify", run.Dir)
	require.Equal(t, exitOK, status, "%s %s", stdout, stderr)
}

func TestGateRunsBothVersionsAndGoesOnWhereItStopped(t *testing.T) {
	dir := t.TempDir()
	gateway := filepath.Join(programs(t), "gateway")
	args := []string{"gate", "--baseline", gateway, "--candidate", gateway, "--pairs", "2", "--block", "300ms", "--warmup", "200ms", "--results", "runs", "--junit", "gate.xml"}
	c := exec.Command(filepath.Join(binDir, "crossroads"), args...)
	c.Dir = dir
	var complaint bytes.Buffer
	c.Stderr = &complaint
	require.NoError(t, c.Start())
	t.Cleanup(func() { _ = c.Process.Kill() })
	journal := filepath.Join(dir, "runs", "forward-*", results.TrialsFile)
	require.Eventually(t, func() bool {
		files, _ := filepath.Glob(journal)
		info, err := os.Stat(strings.Join(files, ""))
		return err == nil && info.Size() > 0
	}, time.Minute, 20*time.Millisecond)
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	_ = c.Wait()
	requireNoOrphans(t)
	if code := c.ProcessState.ExitCode(); code != exitInterrupted {
		t.Fatalf("exit code %d: %s", code, complaint.String())
	}
	require.Contains(t, complaint.String(), "--resume")
	junit, err := os.ReadFile(filepath.Join(dir, "gate.xml"))
	require.NoError(t, err)
	require.Contains(t, string(junit), "<error", "an interrupted gate is no pass")

	dirs, err := filepath.Glob(filepath.Dir(journal))
	require.NoError(t, err)
	require.Len(t, dirs, 1)
	stdout, stderr, status := crossroadsIn(t, dir, append(args, "--resume", dirs[0], "--budget", "3s")...)
	require.Equal(t, exitCannotJudge, status, "%s %s", stdout, stderr)
	require.Contains(t, stdout, "INCONCLUSIVE")
	requireNoOrphans(t)
	run, trials := duetRecords(t, filepath.Join(dir, "runs"), "forward-*")
	for _, trial := range trials {
		require.NotEqual(t, results.Failed, trial.Outcome, "%v", trial.Failure)
		kinds := map[string]int{}
		for _, u := range trial.Usage {
			kinds[u.Kind]++
		}
		require.Equal(t, map[string]int{"gateway": 1, "workload": 1, "driver": 1}, kinds, "each side has its own processes and no other's")
	}
	stdout, stderr, status = crossroadsIn(t, dir, "verify", run.Dir)
	require.Equal(t, exitOK, status, "%s %s", stdout, stderr)
}

// The build that can be made worse is one that nothing else builds: the self-test must find it, use it, and leave nothing.
func TestSelfTestCollectsAndGoesOn(t *testing.T) {
	dir := t.TempDir()
	root, err := filepath.Abs(filepath.Join("..", "..", ".."))
	require.NoError(t, err)
	args := []string{"gate", "--self-test", "--self-test-aa", "2", "--self-test-injected", "1", "--block", "300ms", "--warmup", "200ms", "--results", dir}
	stdout, stderr, status := crossroadsIn(t, root, append(args, "--budget", "1ms")...)
	require.Equal(t, exitCannotJudge, status, "%s", stderr)
	require.Contains(t, stdout, "false failures             none yet")
	_, before := duetRecords(t, dir, "selftest-forward")
	require.Len(t, before, 2, "a round that has begun is finished")
	stdout, stderr, status = crossroadsIn(t, root, args...)
	require.Equal(t, exitCannotJudge, status, "%s %s", stdout, stderr)
	requireNoOrphans(t)
	_, after := duetRecords(t, dir, "selftest-forward")
	require.Equal(t, before, after[:2])
	run := filepath.Join(dir, "selftest-forward")
	require.FileExists(t, run+".summary.txt")
	stdout, stderr, status = crossroadsIn(t, root, "verify", run)
	require.Equal(t, exitOK, status, "%s %s", stdout, stderr)
	study, err := os.ReadFile(ci.StudyPath(run))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(ci.StudyPath(run), bytes.Replace(study, []byte(`"aa_pairs": `), []byte(`"aa_pairs": 9`), 1), 0o644))
	stdout, _, status = crossroadsIn(t, root, "verify", run)
	require.Equal(t, exitCannotJudge, status, "a study that does not follow from its pairs")
	require.Contains(t, stdout, "aa_pairs")
	require.Len(t, after, 4, "without four A/A pairs that are evidence no change has a size, and none is injected")
}

// A gateway of the ordinary build is not made slower by what stands in its environment; that of the other build refuses what it
// does not understand.
func TestOrdinaryGatewaysCannotBeInjected(t *testing.T) {
	config := write(t, t.TempDir(), "gateway.yaml", `version: 1
name: gateway-1
listen: [{address: "127.0.0.1:0"}]
admin: {address: "127.0.0.1:0"}
upstreams: {app: {endpoints: [{address: "127.0.0.1:1"}]}}
routes: [{name: app, backends: [{upstream: app}]}]
`)
	build := exec.Command("go", "build", "-trimpath", "-tags", injectedTag, "-o", filepath.Join(programs(t), "injected"), "crossroads/proxies/cmd/gateway")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	symbols := func(program string) bool {
		text, err := os.ReadFile(filepath.Join(binDir, program))
		require.NoError(t, err)
		return bytes.Contains(text, []byte("CROSSROADS_INJECTED"))
	}
	require.False(t, symbols("gateway"), "the ordinary build does not even know the name")
	require.True(t, symbols("injected"))
	c := exec.Command(filepath.Join(binDir, "injected"), "run", "--config", config)
	c.Env = append(os.Environ(), "CROSSROADS_INJECTED=slow")
	out, err = c.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "write spin=DURATION")
}

// storedRun makes a run directory with one valid trial on a machine.
func storedRun(t *testing.T, root, id, machine string) string {
	t.Helper()
	planned := results.PlannedTrial{ID: "r1-gateway", Round: 1, Arm: "gateway", Rate: 100, Connections: 1}
	run, err := results.Create(root, results.Plan{ID: id, Name: id, Machine: machine, Trials: []results.PlannedTrial{planned}}, results.Environment{Machine: machine}, []byte("the same\n"))
	require.NoError(t, err)
	trial := results.Trial{PlannedTrial: planned, Outcome: results.Valid, Counts: results.Counts{Done: 100}, Usage: []results.Usage{{Kind: "gateway", CPU: 1e6}}}
	require.NoError(t, run.Append(trial))
	require.NoError(t, run.Close())
	return run.Dir
}

func TestCompareStoredRunsRefusesUnlikeMachines(t *testing.T) {
	dir := t.TempDir()
	one, two, other := storedRun(t, dir, "one", "m1"), storedRun(t, dir, "two", "m1"), storedRun(t, dir, "other", "m2")
	stdout, stderr, status := crossroadsIn(t, dir, "compare", one, two)
	require.Equal(t, exitOK, status, "%s", stderr)
	require.Contains(t, stdout, "without a verdict")
	_, stderr, status = crossroadsIn(t, dir, "compare", one, other)
	require.Equal(t, exitCannotJudge, status)
	require.Contains(t, stderr, "different machines")
	stdout, _, status = crossroadsIn(t, dir, "compare", one, other, "--force")
	require.Equal(t, exitOK, status)
	require.Contains(t, stdout, "WARNING: they ran on different machines")
}

func TestVerifyFindsAChangedNumber(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir, write(t, dir, "shop.yaml", shop), "--only", "direct", "--rates", "100", "--rounds", "1")
	require.Equal(t, 0, b.wait(t), "%s", b.stderr.String())
	run, _ := b.records(t)
	stdout, stderr, status := crossroadsIn(t, dir, "verify", run.Dir, "--reports", "html")
	require.Equal(t, exitOK, status, "%s %s", stdout, stderr)
	file := filepath.Join(dir, "html", run.Plan.ID, "report.json")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	changed := bytes.Replace(text, []byte(`"schema": 1`), []byte(`"schema": 7`), 1)
	require.NotEqual(t, text, changed)
	require.NoError(t, os.WriteFile(file, changed, 0o600))
	stdout, _, status = crossroadsIn(t, dir, "verify", run.Dir, "--reports", "html")
	require.Equal(t, exitCannotJudge, status)
	require.Contains(t, stdout, "$.schema: stored 7, computed 1")
}
