package upstream

import (
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/config/units"
	"crossroads/proxies/exchange"
)

func TestHealthCountsChecksInARow(t *testing.T) {
	for _, c := range []struct {
		name     string
		down, up int
		checks   string // p passed, f failed
		states   string // after each: U up, D down
	}{
		{"three down, one up", 3, 1, "fffpff", "UUDUUU"},
		{"a pass ends the run", 3, 1, "ffpffp", "UUUUUU"},
		{"at once", 1, 1, "fpf", "DUD"},
		{"slow to come back", 2, 3, "ffppfppp", "UDDDDDDU"},
		{"it stays down", 2, 1, "fffff", "UDDDD"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := health{toDown: c.down, toUp: c.up}
			states, was := "", false
			for _, k := range c.checks {
				changed := h.observe(k == 'p')
				require.Equal(t, h.down != was, changed)
				was = h.down
				states += map[bool]string{true: "D", false: "U"}[h.down]
			}
			require.Equal(t, c.states, states)
		})
	}
}

func TestChecksAreSpread(t *testing.T) {
	require.Equal(t, 2700*time.Millisecond, spread(3*time.Second, 0))
	require.Equal(t, 3*time.Second, spread(3*time.Second, 0.5))
	require.InDelta(t, float64(3300*time.Millisecond), float64(spread(3*time.Second, 0.999999)), float64(time.Millisecond))
}

func often(down, up int) *config.Health {
	return &config.Health{Path: "/healthz", Interval: units.Duration(5 * time.Millisecond), Timeout: units.Duration(2 * time.Second), Down: down, Up: up}
}

// patient is an origin that answers checks as it is told, and everything else with 200.
func patient(t *testing.T, sick *atomic.Bool) *origin {
	return startOrigin(t, func(c net.Conn, r *http.Request) bool {
		if r.URL.Path == "/healthz" && sick.Load() {
			return say("HTTP/1.1 503 Sick\r\nContent-Length: 0\r\n\r\n")(c, r)
		}
		return say(ok)(c, r)
	})
}

func TestASickEndpointGetsNoRequests(t *testing.T) {
	var sick, never atomic.Bool
	a, b := patient(t, &sick), patient(t, &never)
	u, h := listening(t, config.Upstream{Health: often(3, 1), Panic: 0.5}, a.address, b.address)
	require.True(t, u.Endpoints()[0].Ready, "well until shown otherwise")
	sick.Store(true)
	require.Eventually(t, func() bool { return u.Endpoints()[0].Down }, 5*time.Second, time.Millisecond)
	require.False(t, u.Endpoints()[0].Ready)
	served := u.Endpoints()[0].Served
	for range 10 {
		status, _, _ := forward(t, u, "GET", nil)
		require.Equal(t, 200, status)
	}
	require.Equal(t, served, u.Endpoints()[0].Served)
	require.GreaterOrEqual(t, h.of("check failed"), 3)
	sick.Store(false)
	require.Eventually(t, func() bool { return u.Endpoints()[0].Ready }, 5*time.Second, time.Millisecond)
	forward(t, u, "GET", nil)
	forward(t, u, "GET", nil)
	require.Greater(t, u.Endpoints()[0].Served, served)
	require.Zero(t, u.Endpoints()[0].Failed, "checks are no requests")
}

func TestPanicThreshold(t *testing.T) {
	for _, c := range []struct {
		n, down   int
		threshold float64
		sick      bool
	}{
		{1, 1, 0.5, true}, {2, 1, 0.5, false}, {2, 2, 0.5, true}, {3, 1, 0.5, false}, {3, 2, 0.5, true}, {4, 2, 0.5, false},
		{4, 3, 0.5, true}, {10, 5, 0.5, false}, {10, 6, 0.5, true}, {10, 10, 0, false}, {10, 1, 1, true}, {0, 0, 0.5, false},
	} {
		f := &fleet{endpoints: endpoints(make([]int, c.n)...)}
		for _, e := range f.endpoints[:c.down] {
			e.down.Store(true)
		}
		f.assess(c.threshold)
		require.Equal(t, c.sick, f.sick.Load(), "%+v", c)
	}
}

func TestWhereAllAreDownTheChecksAreNotBelieved(t *testing.T) {
	var sick atomic.Bool
	sick.Store(true)
	a, b := patient(t, &sick), patient(t, &sick)
	allDown := func(u *Upstream) func() bool {
		return func() bool { return u.Endpoints()[0].Down && u.Endpoints()[1].Down }
	}
	u, _ := listening(t, config.Upstream{Health: often(1, 1), Panic: 0.5}, a.address, b.address)
	require.Eventually(t, allDown(u), 5*time.Second, time.Millisecond)
	status, _, _ := forward(t, u, "GET", nil)
	require.Equal(t, 200, status)

	u, _ = listening(t, config.Upstream{Health: often(1, 1)}, a.address, b.address)
	require.Eventually(t, allDown(u), 5*time.Second, time.Millisecond)
	x := newExchange("GET", nil)
	require.Equal(t, exchange.Failed, u.Forward(x))
	require.Equal(t, "no_endpoint", x.Fault.Reason, "without a threshold they always are")
	require.Equal(t, "health checks hold every endpoint for down", x.Fault.Detail)
}

func TestCheckJudges(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(net.Conn, *http.Request) bool
		well   bool
	}{
		"200": {say(ok), true}, "204": {say("HTTP/1.1 204 No Content\r\n\r\n"), true},
		"302": {say("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"), false},
		"500": {say("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"), false}, "no answer": {hangUp, false}, "silence": {silence, false},
		"interim first": {say("HTTP/1.1 102 Wait\r\n\r\n" + ok), true}, "no HTTP": {say("hello\r\n\r\n"), false},
	} {
		t.Run(name, func(t *testing.T) {
			o := startOrigin(t, c.answer)
			u := start(t, config.Upstream{}, o.address)
			check := config.Health{Path: "/healthz", Timeout: units.Duration(2 * time.Second)}
			if name == "silence" {
				check.Timeout = units.Duration(50 * time.Millisecond)
			}
			require.Equal(t, c.well, u.fleet.Load().endpoints[0].check(check))
		})
	}
	u := start(t, config.Upstream{}, deadAddress(t))
	require.False(t, u.fleet.Load().endpoints[0].check(*often(1, 1)))
}

func TestChecksEndWithTheEndpoint(t *testing.T) {
	o := startOrigin(t, say(ok))
	u, h := listening(t, config.Upstream{Health: often(3, 1)}, o.address)
	require.Eventually(t, func() bool { return h.of("check passed") > 1 }, 5*time.Second, time.Millisecond)
	gone := u.fleet.Load().endpoints[0]
	u.Update(nil)
	<-gone.stop
	u.Update([]config.Endpoint{{Address: o.address}})
	kept := u.fleet.Load().endpoints[0]
	u.Close()
	<-kept.stop
	u.Close()
}

// TestHealthProperties: a state changes exactly when the last checks, as many as it takes, all spoke against it.
func TestHealthProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(18, 19))
	for range 200 {
		h := health{toDown: 1 + r.IntN(5), toUp: 1 + r.IntN(5)}
		var since []bool // checks since the last change
		for range 200 {
			passed, was := r.IntN(2) == 0, h.down
			since = append(since, passed)
			need := h.toDown
			if was {
				need = h.toUp
			}
			against := len(since) >= need
			for _, p := range since[max(0, len(since)-need):] {
				against = against && p == was
			}
			require.Equal(t, against, h.observe(passed))
			require.Equal(t, was != against, h.down)
			if against {
				since = nil
			}
		}
	}
}

func BenchmarkHealth(b *testing.B) {
	h := health{toDown: 3, toUp: 1}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		h.observe(i%3 == 0)
	}
}
