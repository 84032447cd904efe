package operate

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWatchWaitsUntilAFileIsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var is atomic.Value
		var changes atomic.Int64
		is.Store("a")
		go Watch(ctx, time.Second, func() string { return is.Load().(string) }, func() { changes.Add(1) })
		after := func(want int64, states ...string) {
			t.Helper()
			for _, s := range states {
				synctest.Wait()
				is.Store(s)
				time.Sleep(time.Second)
			}
			synctest.Wait()
			require.Equal(t, want, changes.Load())
		}
		time.Sleep(500 * time.Millisecond) // between two looks from here on
		after(0, "a", "a")
		after(0, "b", "c", "d") // it is being written
		after(1, "d")
		after(1, "d", "d", "d")
		after(1, "", "", "d", "d") // away for a while, and back as it was
		after(1, "", "e")
		after(2, "e")
		stop()
		synctest.Wait()
	})
}

func TestFileIdentity(t *testing.T) {
	dir := t.TempDir()
	a, b, link := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "link")
	require.Empty(t, FileIdentity(a))
	require.NoError(t, os.WriteFile(a, []byte("1"), 0o600))
	require.NoError(t, os.WriteFile(b, []byte("2"), 0o600))
	require.NoError(t, os.Symlink(a, link))
	first := FileIdentity(link)
	require.Equal(t, first, FileIdentity(link))
	require.NoError(t, os.Remove(link))
	require.NoError(t, os.Symlink(b, link))
	require.NotEqual(t, first, FileIdentity(link), "the link was swapped")
}
