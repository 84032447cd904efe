package deploytest

import (
	"bufio"
	"context"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// moments is at how many random moments a deployment is cancelled, and a harness killed; half of them early, because bringing up is
// short and holds most of the states.
const moments = 12

func moment(i int) time.Duration {
	if i%2 == 0 {
		return time.Duration(rand.Int64N(int64(60 * time.Millisecond)))
	}
	return time.Duration(rand.Int64N(int64(600 * time.Millisecond)))
}

// cancelled cancels Deploy: either it was quick enough and the deployment is whole, or it says so and has cleaned up.
func cancelled(t *testing.T, f Fixture) {
	deployer := f.New(t)
	for i := range moments {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(moment(i), cancel)
		d, err := deployer.Deploy(ctx, f.Arm)
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
			require.Empty(t, f.Left(t, f.Self), "a Deploy that failed has cleaned up when it returns")
		} else {
			require.NoError(t, d.Close(ctx))
		}
		cancel()
	}
}

// killedHarness kills a harness that deploys and closes over and over. Nothing that it started may live on, daemons included.
func killedHarness(t *testing.T, f Fixture) {
	for i := range moments {
		harness := f.Harness(t)
		out, err := harness.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, harness.Start())
		_, err = bufio.NewReader(out).ReadString('\n')
		require.NoError(t, err, "the harness ended before it began")
		delay := moment(i)
		time.Sleep(delay)
		require.NoError(t, harness.Process.Signal(syscall.SIGKILL), "the harness ended by itself")
		_ = harness.Wait()
		f.requireNothingLeft(t, harness.Process.Pid)
	}
}
