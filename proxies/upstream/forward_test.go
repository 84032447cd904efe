package upstream

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
)

func TestNoSilentRetries(t *testing.T) {
	a, b := startOrigin(t, hangUp), startOrigin(t, hangUp)
	u := start(t, config.Upstream{}, a.address, b.address)
	status, _, reason := forward(t, u, "GET", nil)
	require.Equal(t, 502, status)
	require.Equal(t, "upstream_reset", reason)
	require.EqualValues(t, 1, a.requests.Load()+b.requests.Load())
}

func TestRetriesOnlyWhatIsSafeAndAllowed(t *testing.T) {
	for _, c := range []struct {
		method   string
		attempts int
		want     int64
	}{{"GET", 0, 1}, {"GET", 2, 2}, {"GET", 3, 3}, {"POST", 3, 1}, {"PATCH", 3, 1}, {"PUT", 3, 3}} {
		a, b, d := startOrigin(t, hangUp), startOrigin(t, hangUp), startOrigin(t, hangUp)
		u := start(t, config.Upstream{}, a.address, b.address, d.address)
		x := newExchange(c.method, &exchange.Route{Retry: exchange.Retry{Attempts: c.attempts}})
		require.Equal(t, exchange.Failed, u.Forward(x))
		require.EqualValues(t, c.want, x.Attempts, c)
		require.Equal(t, c.want, a.requests.Load()+b.requests.Load()+d.requests.Load(), c)
		require.LessOrEqual(t, a.requests.Load(), int64(1), "another endpoint each time")
	}
}

func TestRefusedConnectionGoesToTheNextEndpoint(t *testing.T) {
	o := startOrigin(t, say(ok))
	u := start(t, config.Upstream{}, deadAddress(t), deadAddress(t), o.address)
	for range 6 {
		status, _, _ := forward(t, u, "POST", nil)
		require.Equal(t, 200, status, "a request that was never sent is safe to send elsewhere")
	}
	u = start(t, config.Upstream{}, deadAddress(t))
	status, _, reason := forward(t, u, "GET", nil)
	require.Equal(t, 503, status)
	require.Equal(t, "upstream_connect", reason)
}

func TestTruncatedBodyCountsAsFailure(t *testing.T) {
	o := startOrigin(t, func(c net.Conn, _ *http.Request) bool {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
		return false
	})
	u := start(t, config.Upstream{}, o.address)
	_, body, reason := forward(t, u, "GET", nil)
	require.Equal(t, "hello", body)
	require.Equal(t, io.ErrUnexpectedEOF.Error(), reason)
	require.EqualValues(t, 1, u.Endpoints()[0].Failed)
	require.Zero(t, u.Endpoints()[0].Open)
}

func TestTimeouts(t *testing.T) {
	o := startOrigin(t, silence)
	u := start(t, config.Upstream{}, o.address)
	for _, r := range []*exchange.Route{{PerTry: 100 * time.Millisecond}, {Timeout: 100 * time.Millisecond}} {
		status, _, reason := forward(t, u, "GET", r)
		require.Equal(t, 504, status)
		require.Equal(t, "upstream_timeout", reason)
	}
	require.EqualValues(t, 2, u.Endpoints()[0].Failed)

	trickle := startOrigin(t, func(c net.Conn, _ *http.Request) bool {
		_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
		for err == nil {
			_, err = io.WriteString(c, "x")
			time.Sleep(10 * time.Millisecond)
		}
		return false
	})
	u = start(t, config.Upstream{}, trickle.address)
	status, body, reason := forward(t, u, "GET", &exchange.Route{Timeout: 200 * time.Millisecond})
	require.Equal(t, 200, status)
	require.Less(t, len(body), 1000000, "the deadline covers the body, though it never falls silent")
	require.Contains(t, reason, "timeout")
	require.EqualValues(t, 1, u.Endpoints()[0].Failed)
}

func TestRetriesOnStatus(t *testing.T) {
	busy := say("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy")
	a, b := startOrigin(t, busy), startOrigin(t, say(ok))
	u := start(t, config.Upstream{}, a.address, b.address)
	terms := &exchange.Route{Retry: exchange.Retry{Attempts: 2, On: []int{503}}}
	for range 4 {
		status, body, _ := forward(t, u, "GET", terms)
		require.Equal(t, 200, status)
		require.Equal(t, "ok", body)
	}
	require.NotZero(t, a.requests.Load())

	u = start(t, config.Upstream{}, a.address)
	status, body, _ := forward(t, u, "GET", terms)
	require.Equal(t, 503, status)
	require.Equal(t, "busy", body, "with nowhere else to go, the answer goes back as it is")
	before := a.requests.Load()
	u = start(t, config.Upstream{}, a.address, a.address)
	forward(t, u, "POST", terms)
	require.Equal(t, before+1, a.requests.Load())
}

func TestWeightChangesKeepTheEndpoint(t *testing.T) {
	o := startOrigin(t, say(ok))
	u := start(t, config.Upstream{}, o.address)
	forward(t, u, "GET", nil)
	u.Update([]config.Endpoint{{Address: o.address, Weight: 5}})
	require.Equal(t, 5, u.Endpoints()[0].Weight)
	require.Equal(t, 1, u.Endpoints()[0].Pooled)
}
