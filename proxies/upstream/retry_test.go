package upstream

import (
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/config/units"
	"crossroads/proxies/exchange"
	"crossroads/proxies/wire"
)

const (
	unavailable = "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"
	limited     = "HTTP/1.1 429 Slow Down\r\nContent-Length: 0\r\n\r\n"
)

func retrying(attempts int, codes ...int) *exchange.Route {
	return &exchange.Route{Retry: exchange.Retry{Attempts: attempts, On: codes, Backoff: time.Millisecond, MaxBackoff: 2 * time.Millisecond}}
}

func TestBackoffIsFullJitter(t *testing.T) {
	r := exchange.Retry{Backoff: 25 * time.Millisecond, MaxBackoff: 250 * time.Millisecond}
	for attempts, bound := range map[int]time.Duration{1: 25, 2: 50, 3: 100, 4: 200, 5: 250, 9: 250} {
		require.Equal(t, bound*time.Millisecond, backoff(r, attempts, 1))
		require.Equal(t, bound*time.Millisecond/2, backoff(r, attempts, 0.5))
		require.Zero(t, backoff(r, attempts, 0), "full: anything down to nothing")
	}
	require.Zero(t, backoff(exchange.Retry{}, 3, 0.9))
}

func TestLoadShedIsNeverRetried(t *testing.T) {
	for name, answer := range map[string]string{
		"429":                       limited,
		"503 with Retry-After":      "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nbusy",
		"overloaded, says the mesh": "HTTP/1.1 503 Busy\r\nX-Mesh-Error: overloaded\r\nContent-Length: 0\r\n\r\n",
		"limited, says the mesh":    "HTTP/1.1 503 Busy\r\nX-Mesh-Error: rate_limited\r\nContent-Length: 0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			a, b := startOrigin(t, say(answer)), startOrigin(t, say(answer))
			u, h := listening(t, config.Upstream{}, a.address, b.address)
			status, _, _ := forward(t, u, "GET", retrying(3, 503))
			require.Contains(t, []int{429, 503}, status)
			require.EqualValues(t, 1, a.requests.Load()+b.requests.Load())
			require.Zero(t, h.of("retried"))
		})
	}
}

func TestRetryGoesToAnotherEndpoint(t *testing.T) {
	a, b, c := startOrigin(t, say(unavailable)), startOrigin(t, say(unavailable)), startOrigin(t, say(unavailable))
	for _, balance := range []string{"round_robin", "least_request", "peak_ewma", "random", "hash"} {
		u, h := listening(t, config.Upstream{Balance: balance}, a.address, b.address, c.address)
		before := [3]int64{a.requests.Load(), b.requests.Load(), c.requests.Load()}
		status, body, _ := forward(t, u, "GET", retrying(5, 503))
		require.Equal(t, 503, status)
		require.Equal(t, "busy", body, "the last answer is returned as it is")
		for i, o := range []*origin{a, b, c} {
			require.Equal(t, before[i]+1, o.requests.Load(), balance)
		}
		require.Equal(t, 2, h.of("retried"))
		require.Zero(t, u.budget.flying.Load())
	}
}

func TestALoneEndpointIsAskedAgain(t *testing.T) {
	var served atomic.Int64
	o := startOrigin(t, func(c net.Conn, r *http.Request) bool {
		if served.Add(1) < 3 {
			return say(unavailable)(c, r)
		}
		return say(ok)(c, r)
	})
	u, h := listening(t, config.Upstream{}, o.address)
	status, _, _ := forward(t, u, "GET", retrying(3, 503))
	require.Equal(t, 200, status)
	require.Equal(t, 2, h.of("retried"))
}

func TestOverBudgetTheLastAnswerIsReturned(t *testing.T) {
	o, p := startOrigin(t, say(unavailable)), startOrigin(t, say(unavailable))
	now := t0
	h := &heard{}
	u, err := New(Options{Name: "up", Observer: h, Now: func() time.Time { return now }, Config: config.Upstream{
		Endpoints: []config.Endpoint{{Address: o.address}, {Address: p.address}}, Breaker: config.Breaker{Mode: config.Off},
		Budget: config.RetryBudget{PerSecond: 0.2, Concurrent: 1, MinConcurrent: 1}}}) // two in ten seconds
	require.NoError(t, err)
	t.Cleanup(u.Close)
	for range 5 {
		status, body, _ := forward(t, u, "GET", retrying(2, 503))
		require.Equal(t, 503, status)
		require.Equal(t, "busy", body)
	}
	require.EqualValues(t, 7, o.requests.Load()+p.requests.Load())
	require.Equal(t, 2, h.of("retried"))
	require.Equal(t, 3, h.of("retry refused"))
	now = now.Add(10 * time.Second)
	forward(t, u, "GET", retrying(2, 503))
	require.Equal(t, 3, h.of("retried"))
}

// TestAmplificationIsBounded fails every request of a simulated minute at a fixed rate, in every way a request can fail, with more
// attempts allowed than the budget gives.
func TestAmplificationIsBounded(t *testing.T) {
	for name, answer := range map[string]func(net.Conn, *http.Request) bool{"503": say(unavailable), "no answer": hangUp} {
		t.Run(name, func(t *testing.T) {
			const rate, seconds = 40, 60
			a, b, c := startOrigin(t, answer), startOrigin(t, answer), startOrigin(t, answer)
			now := t0
			u, err := New(Options{Name: "up", Now: func() time.Time { return now }, Config: config.Upstream{
				Endpoints: []config.Endpoint{{Address: a.address}, {Address: b.address}, {Address: c.address}},
				Breaker:   config.Breaker{Mode: config.Off}}})
			require.NoError(t, err)
			t.Cleanup(u.Close)
			for range rate * seconds {
				now = now.Add(time.Second / rate)
				x := newExchange("GET", &exchange.Route{Retry: exchange.Retry{Attempts: 3, On: []int{503}}})
				u.Forward(x)
				x.Release()
			}
			tries := float64(a.requests.Load() + b.requests.Load() + c.requests.Load())
			t.Logf("%.4f tries a request, at most %.4f", tries/(rate*seconds), 1.2+10.0/rate)
			require.LessOrEqual(t, tries, (1.2+10.0/rate)*rate*seconds+2, "six windows, and the one request that begins the seventh")
			require.Greater(t, tries/(rate*seconds), 1.2, "the budget is used")
		})
	}
}

// TestSuccessRises: where a share p of tries fails at random, n attempts fail with p^n. The bounds are four standard deviations of the
// binomial distribution.
func TestSuccessRises(t *testing.T) {
	const p, calls = 0.1, 4000
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(31, 32))
	flaky := func(c net.Conn, r *http.Request) bool {
		mu.Lock()
		fails := random.Float64() < p
		mu.Unlock()
		if fails {
			return say(unavailable)(c, r)
		}
		return say(ok)(c, r)
	}
	a, b, c := startOrigin(t, flaky), startOrigin(t, flaky), startOrigin(t, flaky) // a retry goes to one that was not asked
	u, _ := listening(t, config.Upstream{Breaker: config.Breaker{Mode: config.Off}}, a.address, b.address, c.address)
	for attempts := 1; attempts <= 3; attempts++ {
		failed := 0
		for range calls {
			if status, _, _ := forward(t, u, "GET", &exchange.Route{Retry: exchange.Retry{Attempts: attempts, On: []int{503}}}); status != 200 {
				failed++
			}
		}
		q := math.Pow(p, float64(attempts))
		t.Logf("%d attempts: %.4f succeed, computed %.4f", attempts, 1-float64(failed)/calls, 1-q)
		require.InDelta(t, calls*q, failed, 4*math.Sqrt(calls*q*(1-q)))
	}
}

// ages is so long that no random part of it is short.
const ages = 2_000_000 * time.Hour

func TestNoRetryBeyondTheDeadline(t *testing.T) {
	o, p := startOrigin(t, say(unavailable)), startOrigin(t, say(unavailable))
	u, h := listening(t, config.Upstream{}, o.address, p.address)
	x := newExchange("GET", &exchange.Route{Timeout: time.Minute,
		Retry: exchange.Retry{Attempts: 5, On: []int{503}, Backoff: ages, MaxBackoff: ages}})
	require.Equal(t, exchange.Continue, u.Forward(x), "the wait would end too late")
	body, err := io.ReadAll(x.ResponseBody)
	require.NoError(t, err)
	require.Equal(t, "busy", string(body), "the answer is still whole")
	x.Release()
	require.Zero(t, h.of("retried"))
	require.Zero(t, u.budget.flying.Load())
}

func TestCancelEndsTheWait(t *testing.T) {
	o, p := startOrigin(t, hangUp), startOrigin(t, hangUp)
	u, h := listening(t, config.Upstream{}, o.address, p.address)
	x := newExchange("GET", &exchange.Route{Retry: exchange.Retry{Attempts: 5, Backoff: ages, MaxBackoff: ages}})
	x.Cancel = &exchange.Canceller{}
	ended := make(chan exchange.Step)
	go func() { ended <- u.Forward(x) }()
	require.Eventually(t, func() bool { return u.budget.flying.Load() == 1 }, 5*time.Second, time.Millisecond)
	x.Cancel.Cancel()
	require.Equal(t, exchange.Failed, <-ended)
	require.Equal(t, exchange.UpstreamReset, x.Fault)
	require.Zero(t, h.of("retried"))
	require.Zero(t, u.budget.flying.Load())
}

// incomingBody makes a request body as a listener would: everything is on the wire already.
func incomingBody(t *testing.T, size int) *wire.Incoming {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	go func() {
		_, _ = io.WriteString(theirs, "HTTP/1.1 200 OK\r\nContent-Length: "+strconv.Itoa(size)+"\r\n\r\n"+strings.Repeat("x", size))
	}()
	c := wire.NewConn(ours)
	t.Cleanup(c.Free)
	x := newExchange("GET", nil)
	var r wire.Response
	require.NoError(t, c.ReadResponse(&x.Response.Header, &r, false, 1<<20))
	return &c.Body
}

func TestOnlySmallBodiesAreReplayed(t *testing.T) {
	for size, want := range map[int]int64{10: 2, 64 << 10: 2, 64<<10 + 1: 1} {
		lengths := make(chan int, 4)
		answer := func(c net.Conn, r *http.Request) bool {
			data, _ := io.ReadAll(r.Body)
			lengths <- len(data)
			return say(unavailable)(c, r)
		}
		a, b := startOrigin(t, answer), startOrigin(t, answer)
		u, _ := listening(t, config.Upstream{}, a.address, b.address)
		x := newExchange("PUT", retrying(2, 503))
		x.RequestBody = incomingBody(t, size)
		x.Request.Header.SetContentLength(size)
		require.Equal(t, exchange.Continue, u.Forward(x))
		x.Release()
		require.Equal(t, want, a.requests.Load()+b.requests.Load(), size)
		for range want {
			require.Equal(t, size, <-lengths, "each try carries the whole body")
		}
	}
}

// TestARefusalIsRemembered: an endpoint that is gone costs one failed connection a second, not one for every request it is due.
func TestARefusalIsRemembered(t *testing.T) {
	o := startOrigin(t, say(ok))
	now := t0
	h := &heard{}
	u, err := New(Options{Name: "up", Observer: h, Now: func() time.Time { return now }, Config: config.Upstream{
		Endpoints: []config.Endpoint{{Address: deadAddress(t)}, {Address: o.address}}, Breaker: config.Breaker{Mode: config.Off}}})
	require.NoError(t, err)
	t.Cleanup(u.Close)
	for second := range 3 {
		for range 20 {
			status, _, _ := forward(t, u, "POST", nil)
			require.Equal(t, 200, status)
		}
		require.Equal(t, second+1, h.of("attempt upstream_connect"))
		now = now.Add(time.Second)
	}
	u.Update([]config.Endpoint{{Address: deadAddress(t)}, {Address: deadAddress(t)}})
	for range 3 {
		_, _, reason := forward(t, u, "GET", nil)
		require.Equal(t, "upstream_connect", reason, "where all refuse, they are asked all the same")
	}
}

func TestStaleReplayIsWithinTheBudget(t *testing.T) {
	var served atomic.Int64
	o := startOrigin(t, func(c net.Conn, r *http.Request) bool { // every second request on a connection gets no answer
		return served.Add(1)%2 == 1 && say(ok)(c, r)
	})
	u, h := listening(t, config.Upstream{Breaker: config.Breaker{Mode: config.Off},
		Budget: config.RetryBudget{PerSecond: 0.1, Concurrent: units.Share(1), MinConcurrent: 1}}, o.address) // one in ten seconds
	var statuses []int
	for range 3 {
		status, _, _ := forward(t, u, "GET", nil)
		statuses = append(statuses, status)
	}
	require.Equal(t, []int{200, 200, 502}, statuses)
	require.Equal(t, 1, h.of("attempt stale"))
	require.Equal(t, 1, h.of("retry refused"))
}
