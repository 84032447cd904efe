package process

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// supervised starts a supervisor, which the test binary plays, with a private directory and one process that ignores SIGTERM.
func supervised(t *testing.T) (s *supervision, private string, pid int) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	logs := t.TempDir()
	private = filepath.Join(t.TempDir(), "private")
	s, err = startSupervisor([]string{self, "supervise"}, "none", logs)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.input.Close(); _ = s.process.Wait() })
	require.NoError(t, s.send(command{Do: doOwn, Private: private}))
	require.Equal(t, eventOwned, (<-s.events).Event)
	require.NoError(t, s.send(command{Do: doStart, ID: "deaf-1", Path: self, Args: []string{"daemon"}, Log: filepath.Join(logs, "deaf-1.log")}))
	started := <-s.events
	require.Equal(t, eventStarted, started.Event)
	require.Equal(t, "deaf-1", started.ID)
	require.Eventually(t, func() bool { return slices.Equal(tail(filepath.Join(logs, "deaf-1.log")), []string{"deaf"}) },
		time.Minute, time.Millisecond)
	return s, private, started.PID
}

// drained reads the events to their end.
func drained(s *supervision) []event {
	var all []event
	for e := range s.events {
		all = append(all, e)
	}
	return all
}

func requireEverythingGone(t *testing.T, s *supervision, private string, pid int) {
	t.Helper()
	last := drained(s)
	require.Len(t, last, 2)
	require.Equal(t, event{Event: eventExited, ID: "deaf-1", PID: pid, Reason: "killed by signal 9 (killed)"}, last[0])
	require.Equal(t, eventStopped, last[1].Event)
	require.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH)
	require.NoDirExists(t, private)
}

func TestSupervisorKillsWhenItsInputEnds(t *testing.T) {
	s, private, pid := supervised(t)
	require.NoError(t, s.input.Close())
	requireEverythingGone(t, s, private, pid)
}

// What it does not understand it cannot obey; then it is safest that nothing runs.
func TestSupervisorKillsOnNonsense(t *testing.T) {
	s, private, pid := supervised(t)
	_, err := s.input.WriteString("{\"do\": 7}\n")
	require.NoError(t, err)
	requireEverythingGone(t, s, private, pid)
}

func TestSupervisorKillsOnSIGTERM(t *testing.T) {
	s, private, pid := supervised(t)
	require.NoError(t, s.process.Process.Signal(syscall.SIGTERM))
	requireEverythingGone(t, s, private, pid)
}

func TestSupervisorDoesNotHearTheTerminal(t *testing.T) {
	s, private, pid := supervised(t)
	require.NoError(t, s.process.Process.Signal(syscall.SIGINT))
	require.NoError(t, s.process.Process.Signal(syscall.SIGHUP))
	require.NoError(t, s.send(command{Do: doStart, ID: "none-1", Path: "/nowhere", Log: filepath.Join(t.TempDir(), "log")}))
	refused := <-s.events
	require.Equal(t, eventRefused, refused.Event)
	require.Equal(t, "none-1", refused.ID)
	require.NoError(t, s.input.Close())
	requireEverythingGone(t, s, private, pid)
}

func TestPoliteEndTurnsIntoForce(t *testing.T) {
	s, private, pid := supervised(t)
	over := make(chan struct{})
	var last []event
	go func() {
		defer close(over)
		last = drained(s)
	}()
	s.end(context.Background(), 20*time.Millisecond, over)
	require.Len(t, last, 2)
	require.Contains(t, last[0].Reason, "signal 9")
	require.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH)
	require.NoDirExists(t, private)
}

func TestASecondOwnerIsRefused(t *testing.T) {
	s, private, pid := supervised(t)
	require.NoError(t, s.send(command{Do: doOwn, Private: private}))
	require.Equal(t, eventRefused, (<-s.events).Event)
	require.NoError(t, s.input.Close())
	requireEverythingGone(t, s, private, pid)
}
