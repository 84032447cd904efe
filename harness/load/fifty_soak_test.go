//go:build soak

package load

import (
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"crossroads/results"
)

// The state to be held, and a block long enough for every connection to carry a request.
const (
	heldConnections = 50_000
	heldRate        = 1000
	heldFor         = 55 * time.Second
)

// TestSoakFiftyThousandConnections opens 50,000 keep-alive connections and sends 1,000 requests a second over all of them in turn, so
// that each is used at least once. A process holds as many connections as it may open files, on either side, and an address of the
// origin takes as many as there are ephemeral ports: so there are as many pairs of driver and origin as that needs, each with two
// addresses. No request may fail, and no connection may be opened but at the start.
func TestSoakFiftyThousandConnections(t *testing.T) {
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	pairs := 1 + heldConnections/(int(limit.Cur)-100)
	each := (heldConnections + pairs - 1) / pairs
	before, slab := kernelTCP(t), slabKiB(t)
	var all sync.WaitGroup
	var held sync.Once
	got, errs := make([]*Result, pairs), make([]error, pairs)
	for i := range pairs {
		first := startOrigin(t)
		port := first[strings.LastIndex(first, ":"):]
		job := Job{
			Target: Target{Entries: []string{"http://127.0.0.1" + port, "http://127.0.0.2" + port}, Requests: []Request{{Method: "GET", Path: "/"}},
				Connections: each, Timeout: 5 * time.Second},
			Rate: heldRate / float64(pairs), Seed: uint64(i), Warmup: time.Second, Duration: heldFor, Driver: DriverNative, Pacing: Economical,
		}
		all.Go(func() {
			pid := 0
			got[i], errs[i] = RunObserved(t.Context(), job, os.Args[0], func(e Event) {
				switch e.Event {
				case EventReady:
					pid = e.PID
				case EventBlockEnd:
					t.Logf("driver %d: %d KiB resident, %.1f KiB a connection", i+1, residentKiB(pid), float64(residentKiB(pid))/float64(each))
					held.Do(func() {
						now := kernelTCP(t)
						t.Logf("kernel: %d TCP sockets more than before, %d KiB of buffers and %d KiB of objects more", now.sockets-before.sockets, now.kib-before.kib, slabKiB(t)-slab)
					})
				}
			})
		})
	}
	all.Wait()
	for i, r := range got {
		require.NoError(t, errs[i])
		slip, err := r.Times[results.Slip].Decode()
		require.NoError(t, err)
		response, err := r.Times[results.Response].Decode()
		require.NoError(t, err)
		t.Logf("driver %d of %d, %d connections: %d of %d answered, %d connections opened within the block, errors %v, slip p50 %v, response p50 %v p99 %v, CPU %.1f us a request",
			i+1, pairs, each, r.Counts.Done, r.Counts.Planned, r.Driver.Dials, r.Errors, time.Duration(results.Quantile(slip, 0.5)),
			time.Duration(results.Quantile(response, 0.5)), time.Duration(results.Quantile(response, 0.99)), float64(r.Driver.CPU)/float64(r.Counts.Done)/1e3)
		require.Equal(t, r.Counts.Planned, r.Counts.Done, "%v", r.Errors)
		require.Zero(t, r.Driver.Dials, "every connection was open before the start and stayed so")
	}
}
