package sidecar

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ill is a replica that can be told to fail or to be slow, and keeps when it was asked.
type ill struct {
	sick  atomic.Pointer[string] // nil: well
	mu    sync.Mutex
	asked []time.Time // while sick
	well  time.Time   // of the first answer after it
}

func (p *ill) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	now := time.Now()
	kind := p.sick.Load()
	p.mu.Lock()
	if kind != nil {
		p.asked = append(p.asked, now)
	} else if p.asked != nil && p.well.IsZero() {
		p.well = now
	}
	p.mu.Unlock()
	switch {
	case kind == nil:
	case *kind == "failing":
		w.WriteHeader(http.StatusInternalServerError)
	default:
		time.Sleep(200 * time.Millisecond)
	}
	io.WriteString(w, "ok")
}

// bout is what a time of illness did to users and to the replica.
type bout struct {
	calls, failed int
	p99           time.Duration // of the calls that began a second after the onset or later
	late          int           // of those: failed
	trip          time.Duration // from the onset to the last call before the breaker held
	before        int           // calls to the ill replica until then
	gaps          []time.Duration
	recovery      time.Duration // from being well to the first call again
}

func (b bout) row(kind, mode string) string {
	return fmt.Sprintf("%-7s breaker %-3s: %4d calls, %4d failed (%d from the second second on), p99 from then on %5.1f ms; tripped %3.0f ms after the onset, "+
		"%d calls to it before; %d probes, pauses %v; used again %.1f s after it was well", kind, mode, b.calls, b.failed, b.late,
		b.p99.Seconds()*1e3, b.trip.Seconds()*1e3, b.before, len(b.gaps), b.gaps, b.recovery.Seconds())
}

// tripped lets one of three replicas be ill for a time under load at a rate.
func tripped(t *testing.T, kind, mode string, lasts time.Duration, rate float64) bout {
	t.Helper()
	sick := &ill{}
	orders := start(t, "orders", fmt.Sprintf(`mtls: off
outbound:
  listen: "127.0.0.1:0"
  upstreams:
    stock: {endpoints: [{address: %q}, {address: %q}, {address: %q}], breaker: {mode: %q, slow_call: 100ms}}
`, says(t, "ok"), application(t, sick), says(t, "ok"), mode))
	address := orders.Address("outbound").String()
	type call struct {
		at     time.Duration
		took   time.Duration
		failed bool
	}
	var mu sync.Mutex
	var calls []call
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	run := func(d time.Duration, onset time.Time, until func() bool) {
		var all sync.WaitGroup
		due := time.NewTicker(time.Duration(float64(time.Second) / rate))
		defer due.Stop()
		for end := time.Now().Add(d); time.Now().Before(end) && (until == nil || !until()); <-due.C {
			all.Go(func() {
				began := time.Now()
				err := (&load{}).call(client, address, "stock")
				mu.Lock()
				defer mu.Unlock()
				calls = append(calls, call{began.Sub(onset), time.Since(began), err != nil})
			})
		}
		all.Wait()
	}
	run(200*time.Millisecond, time.Now(), nil)
	calls = nil
	onset := time.Now()
	sick.sick.Store(&kind)
	run(lasts, onset, nil)
	cured := time.Now()
	sick.sick.Store(nil)
	during := calls
	run(20*time.Second, onset, func() bool {
		sick.mu.Lock()
		defer sick.mu.Unlock()
		return !sick.well.IsZero()
	})
	b := bout{calls: len(during)}
	var settled []time.Duration
	for _, c := range during {
		if c.failed {
			b.failed++
		}
		if c.at >= min(time.Second, lasts/2) {
			settled = append(settled, c.took)
			if c.failed {
				b.late++
			}
		}
	}
	slices.Sort(settled)
	b.p99 = settled[len(settled)*99/100]
	sick.mu.Lock()
	defer sick.mu.Unlock()
	b.recovery = sick.well.Sub(cured)
	for i, at := range sick.asked {
		if i > 0 && at.Sub(sick.asked[i-1]) >= 500*time.Millisecond {
			b.gaps = append(b.gaps, at.Sub(sick.asked[i-1]).Round(10*time.Millisecond))
		} else if len(b.gaps) == 0 {
			b.before, b.trip = i+1, at.Sub(onset)
		} else {
			b.gaps = append(b.gaps, 0) // a second call in the time of one probe
		}
	}
	return b
}

// A replica that fails is left alone but for single probes, and used again when it is well; its users hardly notice.
func TestBreakerSparesUsers(t *testing.T) {
	t.Parallel() // it waits more than it works
	b := tripped(t, "failing", "on", 3*time.Second, 100)
	t.Log(b.row("failing", "on"))
	require.LessOrEqual(t, b.failed, b.before+len(b.gaps))
	require.Less(t, b.before, 60, "a run of seven failures, and what was on its way")
	require.NotContains(t, b.gaps, time.Duration(0), "one probe at a time")
	require.NotZero(t, b.gaps)
	require.LessOrEqual(t, b.late, 2, "probes")
	require.Less(t, b.recovery, 20*time.Second)
}
