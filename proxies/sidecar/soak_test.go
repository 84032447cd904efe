//go:build soak

package sidecar

import (
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/config/units"
)

// soaked is 1,000 calls a second by one sidecar over few connections, and 50 a second by another that gives every connection up, so
// that handshakes never cease: each call of the latter costs as much CPU as ten of the former.
type soaked struct {
	all     []*running
	calls   *load
	strange *load
}

func (m *mesh) soak() *soaked {
	orders, audit := m.sidecar("orders", "outbound: {listen: \"127.0.0.1:0\", discover: true}\n"), m.sidecar("audit", caller)
	return &soaked{[]*running{orders, audit}, orders.paced("stock", 20, 50), audit.paced("stock", 1, 50)}
}

func (s *soaked) achieved(t *testing.T) {
	t.Helper()
	s.calls.achieved(t)
	s.strange.achieved(t)
}

// achieved stops the load, of which no call may have failed, and wants the declared rate of it: less would be another test.
func (l *load) achieved(t *testing.T) {
	t.Helper()
	lasted := time.Since(l.began).Seconds()
	l.unharmed(t)
	rate := float64(l.done.Load()) / lasted
	t.Logf("%.0f calls a second for %.0f s, declared were %.0f", rate, lasted, l.declared)
	require.GreaterOrEqual(t, rate, 0.95*l.declared, "this machine could not give it, or something else ran on it")
}

// Leaves live for twenty seconds and rotate every ten; the root rotates once, at its operator's pace. 1,000/s for two minutes, and
// connections are given up all the time, so that handshakes never cease: no call fails.
func TestSoakRotation(t *testing.T) {
	m := newMesh(t, func(c *config.Control) { c.Lifetime = units.Duration(20 * time.Second) })
	stock := m.sidecar("stock", inbound(says(t, "one")))
	follow := m.sidecar("stock", inbound(says(t, "two")))
	m.stock(stock.inboundAt(), follow.inboundAt())
	load := m.soak()
	everybody := append(load.all, stock, follow)
	began := time.Now()
	time.Sleep(20 * time.Second)
	m.rotateRoot(false, func() { time.Sleep(5 * time.Second) }, everybody...)
	t.Logf("the root was replaced within %s of the begin", time.Since(began).Round(time.Second))
	time.Sleep(time.Until(began.Add(2 * time.Minute)))
	load.achieved(t)
	for _, r := range everybody {
		s := r.source.Stats()
		t.Logf("%s: %d rotations, %d failed", r.config.Service, s.Rotations, s.Failures)
		require.GreaterOrEqual(t, s.Rotations, uint64(9))
	}
}

// The control plane is gone for a minute under 1,000/s; endpoints change meanwhile, and an SVID comes due and is tried for again.
func TestSoakControlPlaneGone(t *testing.T) {
	m := newMesh(t, func(c *config.Control) { c.Lifetime = units.Duration(150 * time.Second) })
	one := m.sidecar("stock", inbound(says(t, "one")))
	two := m.sidecar("stock", inbound(says(t, "two")))
	m.stock(one.inboundAt())
	load := m.soak()
	orders, l := load.all[0], load.calls
	time.Sleep(40 * time.Second) // of the lifetime; renewal is due at 75
	m.end()
	gone := time.Now()
	m.stock(one.inboundAt(), two.inboundAt())
	time.Sleep(time.Minute)
	_, early := l.seen.Load("two")
	require.False(t, early)
	failures := orders.source.Stats().Failures
	require.NotZero(t, failures, "it was due while nobody answered")
	require.Less(t, failures, uint64(12), "and tried with growing pauses")
	m.start()
	back := time.Now()
	l.hears(t, "two")
	t.Logf("gone for %s; %d tries at an SVID; the endpoint that came meanwhile was called %s after the return",
		back.Sub(gone).Round(time.Second), failures, time.Since(back).Round(time.Millisecond))
	require.Eventually(t, func() bool { return orders.source.Stats().LastError == "" }, time.Minute, time.Millisecond)
	l.more(t, 1000)
	load.achieved(t)
}

// One of three replicas fails for ten seconds and is slow for ten: what users see, and what the breaker did.
func TestSoakBreaker(t *testing.T) {
	for _, kind := range []string{"failing", "slow"} {
		for _, mode := range []string{"off", "on"} {
			b := tripped(t, kind, mode, 10*time.Second, 300)
			t.Log(b.row(kind, mode))
		}
	}
	var used syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	t.Logf("%d goroutines at the end, %d s of CPU", runtime.NumGoroutine(), used.Utime.Sec+used.Stime.Sec)
}
