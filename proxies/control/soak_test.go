//go:build soak

package control

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/procfs"
	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/discovery"
	"crossroads/proxies/identity"
)

const (
	soakFleet   = 1000
	soakChanges = 20
	fleetSpec   = "CROSSROADS_SOAK_FLEET" // of the process that plays the fleet
)

// heard is a line of the fleet's process: how long every one of its proxies took, in milliseconds.
type heard struct{ Took []float64 }

// A thousand proxies, in a process of their own, hear of changes among a hundred services: how long it takes until each has put them into
// force, and what the control plane spends on it.
func TestSoakThousandSidecars(t *testing.T) {
	if spec := os.Getenv(fleetSpec); spec != "" {
		playFleet(t, spec)
		return
	}
	k := start(t)
	spec, err := json.Marshal(k.address("all.token"))
	require.NoError(t, err)
	self, err := procfs.Self()
	require.NoError(t, err)
	memory := func() int {
		st, err := self.NewStatus()
		require.NoError(t, err)
		return int(st.VmRSS)
	}
	cpu := func() time.Duration {
		var u syscall.Rusage
		require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	alone := memory()
	other := exec.Command(os.Args[0], "-test.run", "^TestSoakThousandSidecars$")
	other.Env = append(os.Environ(), fleetSpec+"="+string(spec))
	out, err := other.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, other.Start())
	defer func() { other.Process.Kill(); other.Wait() }()
	lines := bufio.NewReaderSize(out, 1<<20)
	hear := func() (h heard) {
		for {
			line, err := lines.ReadString('\n')
			require.NoError(t, err)
			if text, ok := strings.CutPrefix(line, "HEARD "); ok {
				require.NoError(t, json.Unmarshal([]byte(text), &h))
				return h
			}
		}
	}
	hear() // the first snapshots
	connected, before, began := memory(), cpu(), time.Now()
	f := &fleet{running: k}
	var took []float64
	for change := range soakChanges {
		f.publish(t, 100, change)
		took = append(took, hear().Took...)
	}
	require.Len(t, took, soakFleet*soakChanges)
	slices.Sort(took)
	p99 := took[len(took)*99/100]
	t.Logf("%d proxies, %d changes among 100 services in %.1f s: propagation p50 %.0f ms, p99 %.0f ms, longest %.0f ms; control plane: %.1f ms of CPU a change, "+
		"%.1f MiB alone, %.1f MiB with all streams (%.0f KiB each)", soakFleet, soakChanges, time.Since(began).Seconds(), took[len(took)/2], p99, took[len(took)-1],
		(cpu()-before).Seconds()*1e3/soakChanges, float64(alone)/(1<<20), float64(connected)/(1<<20), float64(connected-alone)/1024/soakFleet)
	require.Less(t, p99, 1000.0, "milliseconds")
}

// playFleet is the other process: it tells how long each change took, once every proxy knows it.
func playFleet(t *testing.T, spec string) {
	var at config.ControlAddress
	require.NoError(t, json.Unmarshal([]byte(spec), &at))
	source, err := identity.NewControlSource(t.Context(), config.Identity{TrustDomain: testDomain, ID: service("web"), Control: &at}, identity.Options{})
	require.NoError(t, err)
	require.NoError(t, source.Wait(t.Context()))
	applied := make(chan float64, soakFleet)
	for range soakFleet {
		client := discovery.New(at, source, func(s discovery.Snapshot) {
			applied <- time.Since(s.Published).Seconds() * 1e3
		}, discovery.Options{})
		go client.Run(context.Background())
	}
	for {
		var h heard
		for range soakFleet {
			h.Took = append(h.Took, <-applied)
		}
		text, err := json.Marshal(h)
		require.NoError(t, err)
		fmt.Printf("HEARD %s\n", text)
	}
}
