package deploytest

import (
	"context"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/harness/deploy"
)

// process finds a process by its id.
func process(t *testing.T, d deploy.Deployment, id string) deploy.Process {
	t.Helper()
	for _, p := range d.Processes() {
		if p.ID == id {
			return p
		}
	}
	require.Fail(t, "no process "+id)
	return deploy.Process{}
}

// ask asks the first entry, over a connection of its own.
func ask(d deploy.Deployment, timeout time.Duration) (int, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: timeout}
	response, err := client.Get(d.Entries()[0].URL + "/")
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

// endsAndStarts ends every process in turn, by both signals, and starts it again.
func endsAndStarts(t *testing.T, f Fixture) {
	d := f.deploy(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, p := range d.Processes() {
		require.Error(t, d.Start(ctx, p.ID), "%s runs", p.ID)
		for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGKILL} {
			before := process(t, d, p.ID)
			require.NoError(t, d.End(ctx, p.ID, s))
			require.ErrorIs(t, syscall.Kill(before.PID, 0), syscall.ESRCH, "%s was ended by %v", p.ID, s)
			require.Error(t, d.End(ctx, p.ID, s), "it has ended")
			require.Error(t, d.Pause(ctx, p.ID, true), "it has ended")
			require.NoError(t, d.Start(ctx, p.ID))
			after := process(t, d, p.ID)
			require.NotEqual(t, before.PID, after.PID)
			require.Equal(t, before.Ports, after.Ports)
		}
	}
	status, err := ask(d, patience)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	require.Error(t, d.End(ctx, "nobody-1", syscall.SIGKILL))
	require.Error(t, d.Start(ctx, "nobody-1"))
	require.Empty(t, d.Exits(), "all of these ends were asked for")

	last := process(t, d, d.Processes()[0].ID)
	require.NoError(t, syscall.Kill(last.PID, syscall.SIGKILL))
	require.Equal(t, last.ID, nextExit(t, d).Process.ID, "nobody asked for this end, although it had been started again")
	require.Error(t, d.Start(ctx, last.ID), "what died by itself stays dead")
	require.NoError(t, d.Close(t.Context()))
	_, open := <-d.Exits()
	require.False(t, open)
	require.Error(t, d.Start(ctx, last.ID), "a deployment that was closed")
}

func pauses(t *testing.T, f Fixture) {
	d := f.deploy(t)
	gate := d.Processes()[len(d.Processes())-1]
	require.NoError(t, d.Pause(t.Context(), gate.ID, true))
	require.Eventually(t, func() bool { _, err := ask(d, 100*time.Millisecond); return err != nil }, patience, time.Millisecond, "it still answers")
	require.NoError(t, d.Pause(t.Context(), gate.ID, false))
	status, err := ask(d, patience)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	require.NoError(t, d.Pause(t.Context(), gate.ID, true), "closing takes a paused process down too")
	require.NoError(t, d.Close(t.Context()))
}
