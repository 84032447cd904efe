//go:build soak

package gateway

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A thousand clients drip heads; each is put up with for ten seconds.
func TestSoakSlowClients(t *testing.T) { slowClients(t, 1000, 10*time.Second, 2000) }

func TestSoakReload(t *testing.T) { reloadUnderLoad(t, 2000, 100) }

// Processes are told to stop by SIGTERM, ten in a row.
func TestSoakStop(t *testing.T) {
	program := filepath.Join(t.TempDir(), "gateway")
	out, err := exec.Command("go", "build", "-o", program, "../cmd/gateway").CombinedOutput()
	require.NoError(t, err, "%s", out)
	address := bareOrigin(t)
	stopUnderLoad(t, 2000, 10, func() instance {
		var at [2]string
		for i := range at {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			at[i] = l.Addr().String()
			l.Close()
		}
		file := filepath.Join(t.TempDir(), "gateway.yaml")
		text := fmt.Sprintf("version: 1\nlisten: [{address: %q}]\nadmin: {address: %q}\ndrain: {delay: 500ms, grace: 20s}\n", at[0], at[1])
		require.NoError(t, os.WriteFile(file, []byte(text+upstreams(address)+everything), 0o600))
		c := exec.Command(program, "run", "--config", file)
		require.NoError(t, c.Start())
		i := instance{at[0], "http://" + at[1], func() error { return errors.Join(c.Process.Signal(syscall.SIGTERM), c.Wait()) }}
		t.Cleanup(func() { _ = c.Process.Kill() })
		require.Eventually(t, i.ready, time.Minute, 10*time.Millisecond)
		return i
	})
}

// A million requests, each with a path and forged fields of its own: what the gateway holds does not grow with them.
func TestSoakMillionRequests(t *testing.T) {
	const clients, requests = 8, 1_000_000
	first := serving(t, withAuth+withLimit+withLog)
	address := first.conn.RemoteAddr().String()
	run := func(from, to int) {
		var running sync.WaitGroup
		for k := range clients {
			running.Go(func() {
				c := dialed(t, address)
				for i := from + k; i < to; i += clients {
					c.request = fmt.Appendf(c.request[:0], "GET /a/%d?n=%d HTTP/1.1\r\nHost: h%d.example.com\r\nX-Forwarded-For: 10.%d.%d.%d\r\n"+
						"X-Request-Id: forged-%d\r\nX-Api-Key: demo\r\n\r\n", i, i, i%1000, i>>16&255, i>>8&255, i&255, i)
					c.call(t)
				}
			})
		}
		running.Wait()
	}
	run(0, requests/10) // tables, pools and buffers reach their size
	before, goroutines := memory(), runtime.NumGoroutine()
	run(requests/10, requests)
	after := memory()
	t.Logf("%d bytes after %d requests, %d after %d", before, requests/10, after, requests)
	require.Less(t, after-before, int64(2<<20))
	require.LessOrEqual(t, runtime.NumGoroutine(), goroutines+clients)
}
