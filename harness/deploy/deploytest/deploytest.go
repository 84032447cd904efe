// Package deploytest is the suite that every Deployer passes.
//
// Its one invariant: a Deployer that passes leaves nothing behind, however it is ended: by Close, by a failed or cancelled Deploy, or
// by kill -9 of the harness. It does not judge what the deployed system answers; parity does.
package deploytest

import (
	"context"
	"io"
	"net"
	"net/http"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/harness/deploy"
	"crossroads/topologies"
)

// Fixture is what the suite needs of a Deployer under test.
type Fixture struct {
	// New makes a Deployer.
	New func(t *testing.T) deploy.Deployer
	// Arm is deployed: it must come up, with a gateway and at least one sidecar, and at least one of its processes must have started a
	// daemon (its own session, its parent gone) by the time it is ready.
	Arm *topologies.Arm
	// NeverReady is an arm of which one process runs and never says that it is ready; its log holds the words "still waiting".
	NeverReady *topologies.Arm
	// DiesAtStart is an arm of which one process ends at once; its log holds the words "cannot go on".
	DiesAtStart *topologies.Arm
	// Harness is a command that deploys Arm and closes it again, over and over, with a Deployer as New makes it. It writes a line once
	// it begins.
	Harness func(t *testing.T) *exec.Cmd
	// Left lists what is left of deployments of a harness, by its PID: processes, temporary files, containers.
	Left func(t *testing.T, harness int) []string
	// Self is the PID under which the deployments of this test process run.
	Self int
}

// Run runs the whole suite.
func Run(t *testing.T, f Fixture) {
	tests := []struct {
		name string
		test func(*testing.T, Fixture)
	}{
		{"deployed processes live and entries answer", answers},
		{"an exit that nobody asked for is reported", unaskedExit},
		{"a signal reaches its process", signals},
		{"what a fault ends is no exit, and starts again where it was", endsAndStarts},
		{"a process that is paused goes on", pauses},
		{"close leaves nothing and may be called again", closes},
		{"two deployments live side by side", sideBySide},
		{"a process that is never ready", neverReady},
		{"a process that ends at the start", diesAtStart},
		{"cancelling at any moment", cancelled},
		{"kill -9 of the harness at any moment", killedHarness},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.test(t, f)
			f.requireNothingLeft(t, f.Self)
		})
	}
}

// patience bounds waiting for what must happen; it says nothing about how fast it should.
const patience = 20 * time.Second

func (f Fixture) deploy(t *testing.T) deploy.Deployment {
	t.Helper()
	d, err := f.New(t).Deploy(t.Context(), f.Arm)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close(context.Background())) })
	return d
}

// requireNothingLeft waits: the kernel may take a moment to finish what was killed.
func (f Fixture) requireNothingLeft(t *testing.T, harness int) {
	t.Helper()
	var left []string
	require.Eventually(t, func() bool { left = f.Left(t, harness); return len(left) == 0 }, patience, 5*time.Millisecond,
		"left behind: %v", &left)
}

func answers(t *testing.T, f Fixture) {
	d := f.deploy(t)
	require.NotEmpty(t, d.Entries())
	for _, entry := range d.Entries() {
		response, err := http.Get(entry.URL + "/")
		require.NoError(t, err, "entry %s", entry.Name)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode, "entry %s: %s", entry.Name, body)
	}
	var ids, expected []string
	for _, p := range d.Processes() {
		ids = append(ids, p.ID)
		require.NoError(t, syscall.Kill(p.PID, 0), "%s has PID %d", p.ID, p.PID)
		require.FileExists(t, p.Log)
	}
	for _, n := range f.Arm.Processes() {
		expected = append(expected, n.ID)
	}
	require.ElementsMatch(t, expected, ids)
	require.NotEmpty(t, f.Left(t, f.Self), "Left must see a deployment that lives, or it proves nothing")
	require.NoError(t, d.Close(t.Context()))
}

func nextExit(t *testing.T, d deploy.Deployment) deploy.Exit {
	t.Helper()
	select {
	case exit, open := <-d.Exits():
		require.True(t, open, "exits were closed before one was reported")
		return exit
	case <-time.After(patience):
		require.Fail(t, "no exit was reported")
		return deploy.Exit{}
	}
}

func unaskedExit(t *testing.T, f Fixture) {
	d := f.deploy(t)
	victim := d.Processes()[0]
	before := time.Now()
	require.NoError(t, syscall.Kill(victim.PID, syscall.SIGKILL))
	exit := nextExit(t, d)
	require.Equal(t, victim.ID, exit.Process.ID)
	require.Equal(t, victim.PID, exit.Process.PID)
	require.Contains(t, exit.Reason, "signal 9")
	require.NotEmpty(t, exit.Log)
	require.False(t, exit.At.Before(before))
	require.NoError(t, d.Close(t.Context()))
	_, open := <-d.Exits()
	require.False(t, open, "ends by Close were asked for and are no exits")
}

func signals(t *testing.T, f Fixture) {
	d := f.deploy(t)
	victim := d.Processes()[len(d.Processes())-1]
	require.NoError(t, d.Signal(t.Context(), victim.ID, syscall.SIGKILL))
	exit := nextExit(t, d)
	require.Equal(t, victim.ID, exit.Process.ID)
	require.Error(t, d.Signal(t.Context(), victim.ID, syscall.SIGKILL), "it has ended")
	require.Error(t, d.Signal(t.Context(), "nobody-1", syscall.SIGKILL))
	require.NoError(t, d.Close(t.Context()))
}

func closes(t *testing.T, f Fixture) {
	d := f.deploy(t)
	processes := d.Processes()
	require.NoError(t, d.Close(t.Context()))
	require.Empty(t, f.Left(t, f.Self), "when Close returned nothing is left, not a moment later")
	for _, entry := range d.Entries() {
		response, err := http.Get(entry.URL + "/")
		if err == nil {
			require.NoError(t, response.Body.Close())
		}
		require.Error(t, err, "entry %s still answers", entry.Name)
	}
	for _, p := range processes {
		for purpose, address := range p.Ports {
			l, err := net.Listen("tcp", address)
			require.NoError(t, err, "port %s of %s", purpose, p.ID)
			require.NoError(t, l.Close())
		}
	}
	require.NoError(t, d.Close(t.Context()))
}

func sideBySide(t *testing.T, f Fixture) {
	deployer := f.New(t)
	one, err := deployer.Deploy(t.Context(), f.Arm)
	require.NoError(t, err)
	two, err := deployer.Deploy(t.Context(), f.Arm)
	require.NoError(t, err)
	require.NotEqual(t, one.Entries(), two.Entries())
	require.NoError(t, one.Close(t.Context()))
	for _, p := range two.Processes() {
		require.NoError(t, syscall.Kill(p.PID, 0), "closing one took %s of the other down", p.ID)
	}
	require.NoError(t, two.Close(t.Context()))
}

func requireNotReady(t *testing.T, f Fixture, arm *topologies.Arm, words string) {
	t.Helper()
	d, err := f.New(t).Deploy(t.Context(), arm)
	require.Nil(t, d)
	var notReady *deploy.NotReady
	require.ErrorAs(t, err, &notReady)
	require.NotEmpty(t, notReady.Process)
	require.NotEmpty(t, notReady.Reason)
	require.Contains(t, notReady.Log, words)
	require.Empty(t, f.Left(t, f.Self))
}

func neverReady(t *testing.T, f Fixture) { requireNotReady(t, f, f.NeverReady, "still waiting") }

func diesAtStart(t *testing.T, f Fixture) { requireNotReady(t, f, f.DiesAtStart, "cannot go on") }
