package upstream

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
)

func TestDeadlineField(t *testing.T) {
	for field, want := range map[string]time.Duration{
		"0": 0, "1": time.Millisecond, "1500": 1500 * time.Millisecond, "999999999": 999999999 * time.Millisecond,
		"": -1, "-1": -1, "+1": -1, "1.5": -1, "1s": -1, " 1": -1, "1000000000": -1, "１": -1,
	} {
		got, ok := milliseconds([]byte(field))
		require.Equal(t, want >= 0, ok, field)
		if ok {
			require.Equal(t, want, got, field)
		}
	}
}

// told runs one exchange with what the caller said and the route's own timeouts, and returns what the callee was told.
func told(t *testing.T, field string, route exchange.Route) (step exchange.Step, x *exchange.Exchange, said string, asked bool) {
	t.Helper()
	heard := make(chan string, 1)
	o := startOrigin(t, func(c net.Conn, r *http.Request) bool {
		heard <- r.Header.Get(DeadlineField)
		return say(ok)(c, r)
	})
	u := start(t, config.Upstream{}, o.address)
	x = newExchange("GET", &route)
	if field != "" {
		x.Request.Header.Set(DeadlineField, field)
	}
	step = u.Forward(x)
	x.Release()
	select {
	case said = <-heard:
		asked = true
	default:
	}
	return step, x, said, asked
}

func TestDeadlineIsCarriedOn(t *testing.T) {
	for _, c := range []struct {
		name, field  string
		timeout, try time.Duration
		least, most  int // milliseconds that the callee is told; -1: nothing
	}{
		{"nobody sets one", "", 0, 0, -1, -1},
		{"the route's", "", time.Hour, 0, 3_000_000, 3_600_000},
		{"the caller's", "1800000", 0, 0, 1_000_000, 1_800_000},
		{"the caller's is sooner", "1800000", time.Hour, 0, 1_000_000, 1_800_000},
		{"the route's is sooner", "7200000", time.Hour, 0, 3_000_000, 3_600_000},
		{"one try's is sooner still", "1800000", time.Hour, time.Minute * 10, 500_000, 600_000},
		{"a field that says nothing", "soon", 0, 0, -1, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			step, _, said, asked := told(t, c.field, exchange.Route{Timeout: c.timeout, PerTry: c.try, CarryDeadline: true})
			require.Equal(t, exchange.Continue, step)
			require.True(t, asked)
			if c.most < 0 {
				require.Empty(t, said)
				return
			}
			n, err := strconv.Atoi(said)
			require.NoError(t, err)
			require.GreaterOrEqual(t, n, c.least)
			require.LessOrEqual(t, n, c.most)
		})
	}
	_, _, said, _ := told(t, "1800000", exchange.Route{Timeout: time.Hour})
	require.Equal(t, "1800000", said, "a route that does not carry it leaves the field alone")
}

func TestDeadlineIsHonoured(t *testing.T) {
	step, x, _, asked := told(t, "0", exchange.Route{CarryDeadline: true})
	require.Equal(t, exchange.Failed, step)
	require.Equal(t, "upstream_timeout", x.Fault.Reason)
	require.False(t, asked, "nobody waits for the answer")

	o := startOrigin(t, silence)
	u := start(t, config.Upstream{}, o.address)
	x = newExchange("GET", &exchange.Route{Timeout: time.Hour, CarryDeadline: true})
	x.Request.Header.Set(DeadlineField, "100")
	require.Equal(t, exchange.Failed, u.Forward(x))
	require.Equal(t, 504, x.Fault.Status)
}

func BenchmarkDeadlineField(b *testing.B) {
	x := newExchange("GET", nil)
	x.Request.Header.Set(DeadlineField, "1500")
	b.ReportAllocs()
	for b.Loop() {
		x.Deadline = time.Time{}
		_, _ = honour(x)
		carry(x, 1<<60)
	}
}

// TestAShortDeadlineBlamesNobody: a caller that leaves too little time must not trip the breaker for all the others.
func TestAShortDeadlineBlamesNobody(t *testing.T) {
	head := "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
	for name, answer := range map[string]func(net.Conn, *http.Request) bool{
		"no answer":           silence,
		"half an answer":      func(c net.Conn, r *http.Request) bool { say(head)(c, r); return silence(c, r) },
		"the callee gives up": say("HTTP/1.1 504 Late\r\nX-Mesh-Error: upstream_timeout\r\nContent-Length: 0\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			o := startOrigin(t, answer)
			u := start(t, config.Upstream{Breaker: config.Breaker{ConsecutiveFailures: 1}}, o.address)
			ask := func(route exchange.Route, field string) {
				x := newExchange("GET", &route)
				if field != "" {
					x.Request.Header.Set(DeadlineField, field)
				}
				if u.Forward(x) == exchange.Continue && x.ResponseBody != nil {
					_, _ = io.ReadAll(x.ResponseBody)
				}
				x.Release()
			}
			ask(exchange.Route{Timeout: time.Hour, CarryDeadline: true}, "100")
			require.Zero(t, u.Endpoints()[0].Failed)
			require.Equal(t, "closed", u.Endpoints()[0].Breaker)
			ask(exchange.Route{Timeout: 100 * time.Millisecond, CarryDeadline: true}, "3600000")
			require.EqualValues(t, 1, u.Endpoints()[0].Failed, "the route's own timeout does blame it")
		})
	}
}
