package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/results"
)

// shop is a call graph that none of the ready files has: two levels, replicas at the leaf, a probability and declared errors.
const shop = `version: 1
name: shop
application:
  entry: web
  services:
    web:
      response: {size: 300B}
      script:
        - [{call: cart}, {call: ads, probability: 50%}]
    cart: {work: {cpu: 10us}, script: [{call: store, request: {size: 100B}}]}
    store: {replicas: 2, work: {wait: {fixed: 200us}}}
    ads: {errors: 1%}
topologies:
  direct: {}
  gateway: {gateway: {use: reference, stages: {key_auth: on, rate_limit: {rate: 100k, burst: 10k}}}}
  mesh: {mesh: {use: reference, sidecars: both, mtls: strict}}
  gateway+mesh: {extends: [gateway, mesh]}
load:
  rates: [100, 200]
  reference_rate: 100
  connections: 8
  warmup: 100ms
  duration: 400ms
  rounds: 2
  requests: [{method: GET, path: /, headers: {X-Api-Key: demo}}]
`

var (
	buildOnce sync.Once
	buildErr  error
	binDir    string
)

// programs builds the real programs once, into a directory whose name also tells their processes from all others.
func programs(t *testing.T) string {
	t.Helper()
	buildOnce.Do(func() {
		if binDir, buildErr = os.MkdirTemp("", "crossroads-e2e-"); buildErr != nil {
			return
		}
		// As the Makefile builds them, so that the two share the build cache.
		build := exec.Command("go", "build", "-trimpath", "-o", binDir+"/", "crossroads/harness/cmd/...", "crossroads/proxies/cmd/...")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			buildErr = fmt.Errorf("%w\n%s", err, out)
		}
	})
	require.NoError(t, buildErr)
	return binDir
}

// orphans lists the live processes of the programs, by executable.
func orphans(t *testing.T) []string {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	require.NoError(t, err)
	var found []string
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, binDir+"/") {
			found = append(found, link+" "+target)
		}
	}
	return found
}

func requireNoOrphans(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return len(orphans(t)) == 0 }, 10*time.Second, 20*time.Millisecond, "orphans: %v", orphans(t))
}

type bench struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
	runs           string
}

// start begins a bench in a fresh directory, or resumes one there.
func start(t *testing.T, dir string, args ...string) *bench {
	t.Helper()
	b := &bench{runs: filepath.Join(dir, "runs")}
	b.cmd = exec.Command(filepath.Join(programs(t), "crossroads"),
		append([]string{"bench", "--results", b.runs, "--reports", filepath.Join(dir, "html"), "--progress", "lines"}, args...)...)
	b.cmd.Dir = dir
	b.cmd.Stdout, b.cmd.Stderr = &b.stdout, &b.stderr
	require.NoError(t, b.cmd.Start())
	t.Cleanup(func() { _ = b.cmd.Process.Kill() })
	return b
}

func (b *bench) wait(t *testing.T) int {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- b.cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(3 * time.Minute):
		t.Fatalf("bench did not end\n%s", b.stderr.String())
	}
	return b.cmd.ProcessState.ExitCode()
}

// records opens the one run of the directory.
func (b *bench) records(t *testing.T) (*results.Run, []results.Trial) {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(b.runs, "shop-*"))
	require.NoError(t, err)
	require.Len(t, dirs, 1)
	run, err := results.Open(dirs[0])
	require.NoError(t, err)
	t.Cleanup(func() { _ = run.Close() })
	trials, _, err := run.Trials()
	require.NoError(t, err)
	return run, trials
}

func missing(t *testing.T, run *results.Run) []results.PlannedTrial {
	t.Helper()
	left, err := run.Missing()
	require.NoError(t, err)
	return left
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

func TestBenchMeasuresAllFourTopologies(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir, write(t, dir, "shop.yaml", shop))
	require.Equal(t, 0, b.wait(t), "%s", b.stderr.String())
	requireNoOrphans(t)
	run, trials := b.records(t)
	require.Len(t, trials, 16)
	require.Empty(t, missing(t, run))
	graphs, err := filepath.Glob(filepath.Join(run.Dir, results.GraphsDir, "*.json"))
	require.NoError(t, err)
	require.Len(t, graphs, 8, "of each trial with a control plane")
	for _, trial := range trials {
		require.NotEqual(t, results.Failed, trial.Outcome, "%s: %v", trial.ID, trial.Failure)
		require.Equal(t, trial.Counts.Planned, trial.Counts.Done+trial.Counts.Errors, "%s lost samples", trial.ID)
		require.EqualValues(t, trial.Rate*0.4, trial.Counts.Planned)
		require.Equal(t, trial.Counts.Errors, trial.Counts.Declared, "%s: only declared errors: %v", trial.ID, trial.Errors)
		require.NotEmpty(t, trial.Usage)
	}
	lines := strings.Split(strings.TrimSpace(b.stdout.String()), "\n")
	report := strings.Fields(lines[len(lines)-1])[1]
	page, err := os.ReadFile(filepath.Join(dir, report))
	if filepath.IsAbs(report) {
		page, err = os.ReadFile(report)
	}
	require.NoError(t, err, "the path of the report is printed last")
	for _, arm := range []string{"direct", "gateway", "mesh", "gateway+mesh"} {
		require.Contains(t, string(page), arm)
	}
}

func TestKilledHarnessLosesNothingAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	file := write(t, dir, "shop.yaml", shop)
	random := rand.New(rand.NewPCG(1, 2))
	b := start(t, dir, file, "--rates", "100")
	finished := 0
	for kill := 0; ; kill++ {
		require.Less(t, kill, 12, "the run never completes")
		time.Sleep(time.Duration(1500+random.IntN(2500)) * time.Millisecond)
		if b.cmd.Process.Signal(syscall.SIGKILL) != nil {
			break // it had ended by itself
		}
		if b.wait(t) == 0 {
			break
		}
		requireNoOrphans(t)
		run, trials := b.records(t)
		require.GreaterOrEqual(t, len(trials), finished, "a finished trial was lost")
		finished = len(trials)
		require.Equal(t, len(run.Plan.Trials), len(trials)+len(missing(t, run)))
		b = start(t, dir, "--resume", run.Dir)
		if kill == 4 {
			break
		}
	}
	require.Equal(t, 0, b.wait(t), "%s", b.stderr.String())
	requireNoOrphans(t)
	run, trials := b.records(t)
	require.Empty(t, missing(t, run))
	seen := map[string]bool{}
	for _, trial := range trials {
		require.False(t, seen[trial.ID], "%s is recorded twice", trial.ID)
		seen[trial.ID] = true
	}
	require.Len(t, seen, len(run.Plan.Trials))
}

func TestInterruptedRunKeepsWhatFinished(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			dir := t.TempDir()
			b := start(t, dir, write(t, dir, "shop.yaml", shop))
			time.Sleep(3 * time.Second)
			require.NoError(t, b.cmd.Process.Signal(signal))
			require.Equal(t, exitInterrupted, b.wait(t), "%s", b.stderr.String())
			require.Contains(t, b.stderr.String(), "--resume")
			requireNoOrphans(t)
			run, trials := b.records(t)
			require.Equal(t, len(run.Plan.Trials), len(trials)+len(missing(t, run)))
		})
	}
}

func TestKilledProxyFailsItsTrialAlone(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir, write(t, dir, "shop.yaml", shop), "--only", "direct,gateway", "--duration", "1500ms", "--rates", "100")
	pid := waitForLoadedGateway(t)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	require.Equal(t, 0, b.wait(t), "%s", b.stderr.String())
	_, trials := b.records(t)
	require.Len(t, trials, 4)
	failed := 0
	for _, trial := range trials {
		if trial.Outcome == results.Failed {
			failed++
			require.Equal(t, "gateway", trial.Arm)
			require.Contains(t, trial.Failure.Reason, "killed")
			require.Equal(t, "gateway-1", trial.Failure.Process)
		}
	}
	require.Equal(t, 1, failed)
	requireNoOrphans(t)
}

// waitForLoadedGateway finds the gateway once a driver runs beside it.
func waitForLoadedGateway(t *testing.T) int {
	t.Helper()
	pid := 0
	require.Eventually(t, func() bool {
		gateway, driver := 0, false
		for _, line := range orphans(t) {
			number, _ := strconv.Atoi(strings.Split(line, "/")[2])
			arguments, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", number))
			driver = driver || bytes.Contains(arguments, []byte("\x00drive"))
			if strings.HasSuffix(line, "/gateway") {
				gateway = number
			}
		}
		pid = gateway
		return gateway != 0 && driver
	}, time.Minute, 5*time.Millisecond)
	time.Sleep(600 * time.Millisecond) // into the measured block
	return pid
}

func TestRateBeyondTheMachineIsInvalidAndTheRunGoesOn(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir, write(t, dir, "shop.yaml", shop), "--only", "direct", "--rates", "100,400k", "--rounds", "1",
		"--driver", "vegeta") // the native driver takes millions a second up: there it would be the target that is too slow
	require.Equal(t, 0, b.wait(t), "%s", b.stderr.String())
	_, trials := b.records(t)
	require.Len(t, trials, 2)
	for _, trial := range trials {
		if trial.Rate == 400000 {
			require.Equal(t, results.Invalid, trial.Outcome)
			require.NotEmpty(t, trial.Reasons)
		}
	}
}

func TestResumeRefusesAnotherMachineOrProgram(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir, write(t, dir, "shop.yaml", shop), "--only", "direct", "--rates", "100", "--rounds", "1")
	require.Equal(t, 0, b.wait(t), "%s", b.stderr.String())
	run, _ := b.records(t)
	plan := filepath.Join(run.Dir, "plan.json")
	data, err := os.ReadFile(plan)
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(data, &fields))
	fields["machine"] = "another"
	changed, err := json.Marshal(fields)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(plan, changed, 0o600))
	again := start(t, dir, "--resume", run.Dir)
	require.Equal(t, exitCannotJudge, again.wait(t))
	require.Contains(t, again.stderr.String(), "machine")
}
