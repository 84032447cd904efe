package process_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/harness/deploy"
	"crossroads/harness/deploy/deploytest"
	"crossroads/harness/deploy/process"
	"crossroads/topologies"
)

// demoArm has one process of every kind.
func demoArm() *topologies.Arm {
	e := &topologies.Experiment{Version: 1, Name: "demo", Application: topologies.Application{Entry: "shop"}}
	e.Application.Services.Set("shop", topologies.Service{Replicas: 1})
	return &topologies.Arm{Name: "gateway+mesh", Experiment: e, Topology: topologies.Topology{
		Gateway: &topologies.Gateway{Use: "reference", Replicas: 1},
		Mesh:    &topologies.Mesh{Use: "reference", Sidecars: "both", MTLS: "strict", Balance: "round_robin", Breaker: "on"},
	}}
}

// behaving is a deployer whose arms say by their name how the workload behaves: see fakes.
type behaving struct{ dir string }

func (b behaving) Deploy(ctx context.Context, arm *topologies.Arm) (deploy.Deployment, error) {
	binaries := programs(b.dir)
	if special, known := binaries["workload-"+arm.Name]; known {
		binaries["workload"] = special
	}
	c := process.Config{Binaries: binaries, Dir: filepath.Join(b.dir, "logs"), Temp: b.dir, ReadyTimeout: time.Minute}
	if arm.Name == "mute" {
		c.ReadyTimeout = time.Second
	}
	d, err := process.New(c)
	if err != nil {
		return nil, err
	}
	return d.Deploy(ctx, arm)
}

func named(name string) *topologies.Arm {
	arm := demoArm()
	arm.Name = name
	return arm
}

func TestConformance(t *testing.T) {
	dir := t.TempDir()
	deploytest.Run(t, deploytest.Fixture{
		New:         func(*testing.T) deploy.Deployer { return behaving{dir} },
		Arm:         demoArm(),
		NeverReady:  named("mute"),
		DiesAtStart: named("dying"),
		Harness: func(t *testing.T) *exec.Cmd {
			self, err := os.Executable()
			require.NoError(t, err)
			c := exec.Command(self, "harness", dir)
			c.Stderr = os.Stderr
			return c
		},
		Left: func(t *testing.T, harness int) []string { return left(t, dir, harness) },
		Self: os.Getpid(),
	})
}

// left lists the processes and private directories of one harness's deployments.
func left(t *testing.T, temp string, harness int) []string {
	t.Helper()
	var found []string
	directories, err := filepath.Glob(filepath.Join(temp, fmt.Sprintf("crossroads-*-%d-*", harness)))
	require.NoError(t, err)
	found = append(found, directories...)
	for _, pid := range livingPIDs(t) {
		environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil {
			continue
		}
		for _, entry := range bytes.Split(environment, []byte{0}) {
			parts := strings.Split(string(entry), "-")
			if strings.HasPrefix(string(entry), "CROSSROADS_DEPLOYMENT=") && len(parts) > 2 && parts[2] == strconv.Itoa(harness) {
				found = append(found, fmt.Sprintf("process %d", pid))
			}
		}
	}
	return found
}

func livingPIDs(t *testing.T) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	require.NoError(t, err)
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// The suite's claims about daemons are worth something only if there is one.
func TestTheArmOfTheSuiteHasADaemon(t *testing.T) {
	dir := t.TempDir()
	d, err := behaving{dir}.Deploy(t.Context(), demoArm())
	require.NoError(t, err)
	require.Len(t, left(t, dir, os.Getpid()), len(d.Processes())+3, "directory, supervisor and daemon beside the processes")
	require.NoError(t, d.Close(t.Context()))
}

func TestAPortTakenMeanwhileIsReplaced(t *testing.T) {
	dir := t.TempDir()
	d, err := behaving{dir}.Deploy(t.Context(), named("evicted"))
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(dir, "second"), "the first two attempts found their port taken")
	require.NoError(t, d.Close(t.Context()))
	require.Empty(t, left(t, dir, os.Getpid()))
}

// A port may even be taken by a program that answers like ours; that must not pass for readiness.
func TestAnotherProgramOnThePortIsNotOurs(t *testing.T) {
	dir := t.TempDir()
	d, err := behaving{dir}.Deploy(t.Context(), named("impostor"))
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(dir, "taken"))
	logs, err := filepath.Glob(filepath.Join(dir, "logs", "*-impostor"))
	require.NoError(t, err)
	require.Len(t, logs, 2, "the first attempt was given up")
	require.NoError(t, d.Close(t.Context()))
	require.Empty(t, left(t, dir, os.Getpid()))
}

// supervisorOf is the parent of a deployment's processes.
func supervisorOf(t *testing.T, d deploy.Deployment) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.Processes()[0].PID))
	require.NoError(t, err)
	for _, line := range strings.Split(string(status), "\n") {
		if value, found := strings.CutPrefix(line, "PPid:\t"); found {
			pid, err := strconv.Atoi(value)
			require.NoError(t, err)
			return pid
		}
	}
	require.Fail(t, "no PPid line")
	return 0
}

func TestASupervisorKilledTakesEverythingWithIt(t *testing.T) {
	dir := t.TempDir()
	d, err := behaving{dir}.Deploy(t.Context(), demoArm())
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(supervisorOf(t, d), syscall.SIGKILL))
	reported := map[string]bool{}
	for range d.Processes() {
		select {
		case exit := <-d.Exits():
			reported[exit.Process.ID] = true
			require.Contains(t, exit.Reason, "supervisor")
		case <-time.After(20 * time.Second):
			require.Fail(t, "an exit was not reported")
		}
	}
	require.Len(t, reported, len(d.Processes()))
	require.NoError(t, d.Close(t.Context()))
	require.Empty(t, left(t, dir, os.Getpid()), "daemons included")
}

// When harness and supervisor are killed together, daemons and files can only be swept by the next start.
func TestTheNextStartSweepsWhatBothLeft(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	require.NoError(t, err)
	killed := exec.Command(self, "harness", dir, "stay")
	out, err := killed.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, killed.Start())
	lines := bufio.NewScanner(out)
	for _, line := range []string{"deploying", "deployed"} {
		require.True(t, lines.Scan())
		require.Equal(t, line, lines.Text())
	}
	supervisor := childOf(t, killed.Process.Pid)
	require.NoError(t, syscall.Kill(supervisor, syscall.SIGSTOP)) // so that it cannot clean up
	require.NoError(t, killed.Process.Kill())
	_ = killed.Wait()
	require.NotEmpty(t, left(t, dir, killed.Process.Pid))
	removed, err := process.Sweep(dir)
	require.NoError(t, err)
	require.NotEmpty(t, removed)
	require.Eventually(t, func() bool { return len(left(t, dir, killed.Process.Pid)) == 0 }, 20*time.Second, 5*time.Millisecond)
}

// childOf finds the one child of a harness: the supervisor.
func childOf(t *testing.T, harness int) int {
	t.Helper()
	for _, pid := range livingPIDs(t) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && strings.Fields(string(stat[bytes.LastIndexByte(stat, ')'):]))[2] == strconv.Itoa(harness) {
			return pid
		}
	}
	require.Fail(t, "the harness has no child")
	return 0
}

func TestSweepLeavesOthersAlone(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"crossroads-notes", "crossroads-0-1-1-abc", "something-1-2-3-4"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
	}
	d, err := behaving{dir}.Deploy(t.Context(), demoArm())
	require.NoError(t, err)
	removed, err := process.Sweep(dir)
	require.NoError(t, err)
	require.Empty(t, removed)
	require.NoError(t, d.Close(t.Context()))
	missing, err := process.Sweep(filepath.Join(dir, "not there"))
	require.NoError(t, err)
	require.Empty(t, missing)
}

// A program that cannot be started is no fault of the system under test: the run must end, not count failed trials.
func TestAProgramThatIsMissing(t *testing.T) {
	dir := t.TempDir()
	binaries := programs(dir)
	binaries["sidecar"] = filepath.Join(dir, "nowhere")
	d, err := process.New(process.Config{Binaries: binaries, Dir: filepath.Join(dir, "logs"), Temp: dir})
	require.NoError(t, err)
	_, err = d.Deploy(t.Context(), demoArm())
	require.ErrorContains(t, err, "starting sidecar-shop-1")
	require.ErrorContains(t, err, "no such file")
	var notReady *deploy.NotReady
	require.False(t, errors.As(err, &notReady))
	require.Empty(t, left(t, dir, os.Getpid()))
}

func TestPlacementIsInherited(t *testing.T) {
	arm := demoArm()
	arm.Experiment.Placement = topologies.Placement{Proxies: topologies.Ints{0}}
	d, err := behaving{t.TempDir()}.Deploy(t.Context(), arm)
	require.NoError(t, err)
	for _, p := range d.Processes() {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
		require.NoError(t, err)
		require.Equal(t, p.Kind != deploy.KindWorkload, strings.Contains(string(status), "Cpus_allowed_list:\t0\n"), p.ID)
	}
	require.NoError(t, d.Close(t.Context()))
	arm.Experiment.Placement.Workload = topologies.Ints{1000}
	_, err = behaving{t.TempDir()}.Deploy(t.Context(), arm)
	require.ErrorContains(t, err, "CPU 1000")
}

func TestExternalSystemsAreLeftAlone(t *testing.T) {
	arm := &topologies.Arm{Name: "before", Topology: topologies.Topology{External: &topologies.External{URL: "http://127.0.0.1:1"}}}
	d, err := behaving{t.TempDir()}.Deploy(t.Context(), arm)
	require.NoError(t, err)
	require.Equal(t, []deploy.Entry{{Name: "before", URL: "http://127.0.0.1:1"}}, d.Entries())
	require.Empty(t, d.Processes())
	require.Error(t, d.Signal(t.Context(), "before", syscall.SIGTERM))
	require.NoError(t, d.Close(t.Context()))
}
