package sidecar

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/operate/operatetest"
)

// What is held here holds on a machine of any load: only that what was told can be no more than what passed, that a known delay is at
// least as long as it is, and that parts add up.

// pause is a delay that cannot be taken for anything else.
const pause = 40 * time.Millisecond

// account is what the proxies told of one request, by proxy and part.
type account map[string]map[string]time.Duration

func accountOf(t *testing.T, a answer) account {
	t.Helper()
	all := account{}
	for _, one := range strings.Split(a.Header.Get("Server-Timing"), ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(one), ";dur=")
		dot := strings.LastIndexByte(name, '.')
		require.True(t, ok && dot > 0, one)
		ms, err := strconv.ParseFloat(value, 64)
		require.NoError(t, err, one)
		if all[name[:dot]] == nil {
			all[name[:dot]] = map[string]time.Duration{}
		}
		all[name[:dot]][name[dot+1:]] = time.Duration(ms * 1e6)
	}
	for proxy, parts := range all {
		sum := time.Duration(0)
		for part, d := range parts {
			if part != "own" && part != "wait" {
				sum += d
			}
		}
		require.InDelta(t, parts["own"], sum, 3e3, "the parts of %s come to its own time, but for the rounding of each: %v", proxy, parts)
	}
	return all
}

// own is what all proxies spent themselves.
func (a account) own() (sum time.Duration) {
	for _, parts := range a {
		sum += parts["own"]
	}
	return sum
}

// ask sends a request to the outbound listener as it stands, and says how long it took to the end of the answer's head.
func (r *running) ask(body io.Reader, fields ...string) (account, time.Duration) {
	r.t.Helper()
	method := "GET"
	if body != nil {
		method = "POST"
	}
	req, err := http.NewRequest(method, "http://"+r.Address("outbound").String()+"/", body)
	require.NoError(r.t, err)
	req.Host = "stock"
	req.Header.Set("X-Crossroads-Ledger", "1")
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		req.Header.Set(name, value)
	}
	since := time.Now()
	resp, err := http.DefaultTransport.RoundTrip(req)
	took := time.Since(since)
	require.NoError(r.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(r.t, err)
	require.Equal(r.t, 200, resp.StatusCode, string(text))
	return accountOf(r.t, answer{Response: resp}), took
}

// pairTold is two sidecars in front of an application, plain or with mutual TLS, with more settings for either.
func pairTold(t *testing.T, mtls bool, h http.Handler, callee, caller string) *running {
	where := application(t, h)
	if mtls {
		ca := operatetest.NewAuthority(t, "example.org")
		stock := start(t, "stock", ca.Identity("stock")+"ledger: {on_request: true}\n"+callee+inbound(where))
		return start(t, "orders", ca.Identity("orders")+"ledger: {on_request: true}\n"+caller+outbound("stock", stock.inboundAt(), ca.ID("stock")))
	}
	const plain = "ledger: {on_request: true}\nmtls: \"off\"\n"
	stock := start(t, "stock", plain+callee+inbound(where))
	return start(t, "orders", plain+caller+"outbound: {listen: \"127.0.0.1:0\", upstreams: {stock: {endpoints: [{address: \""+stock.inboundAt()+"\"}]}}}\n")
}

func TestLedgerAddsUp(t *testing.T) {
	for name, mtls := range map[string]bool{"plain": false, "mtls": true} {
		t.Run(name, func(t *testing.T) {
			drains := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(pause) // the application is nobody's own time
				_, _ = io.Copy(io.Discard, r.Body)
				w.(http.Flusher).Flush()
				if r.Header.Get("X-Trickle") != "" {
					time.Sleep(pause)
				}
				fmt.Fprint(w, strings.Repeat("x", 100_000)) // more than one record, and more than one write
			})
			orders := pairTold(t, mtls, drains, "", "")
			holds := func(least time.Duration, told account, took time.Duration) {
				t.Helper()
				require.Len(t, told, 2)
				caller, callee := told["orders-outbound"], told["stock-inbound"]
				require.Positive(t, callee["own"])
				require.GreaterOrEqual(t, callee["wait"], pause, "the application's pause is a wait")
				require.GreaterOrEqual(t, caller["wait"], least)
				require.LessOrEqual(t, caller["own"]+caller["wait"], took, "no time is counted twice")
				require.LessOrEqual(t, told.own()+callee["wait"], took, "what both did, and the wait behind them, follow each other")
			}
			for range 3 { // a new connection, and kept ones
				told, took := orders.ask(nil)
				holds(pause, told, took)
			}
			told, took := orders.ask(strings.NewReader(strings.Repeat("b", 30_000)))
			holds(pause, told, took)
			told, took = orders.ask(nil, "X-Trickle: 1")
			holds(pause, told, took)
			// A body of unknown length whose second half comes late is sent on beside the wait for the answer: one wait, not two.
			body, write := io.Pipe()
			go func() {
				for range 2 {
					_, _ = write.Write(make([]byte, 70_000))
					time.Sleep(pause)
				}
				_ = write.Close()
			}()
			told, took = orders.ask(body)
			holds(2*pause, told, took)
		})
	}
}

// TestLedgerOfRetries: a try that failed after a while, and the pause before the next one, are waits; what the proxy did is its own.
func TestLedgerOfRetries(t *testing.T) {
	hangsUp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer hangsUp.Close()
	var tried atomic.Int64
	go func() {
		for {
			c, err := hangsUp.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = http.ReadRequest(bufio.NewReader(c))
				tried.Add(1)
				time.Sleep(pause)
				_ = c.Close()
			}()
		}
	}()
	orders := start(t, "orders", "ledger: {on_request: true}\nmtls: \"off\"\noutbound: {listen: \"127.0.0.1:0\", retry: {attempts: 2, backoff: 10ms}, upstreams: {stock: {balance: round_robin, breaker: {mode: off}, endpoints: ["+
		"{address: \""+hangsUp.Addr().String()+"\"}, {address: \""+app(t)+"\"}]}}}\n")
	for range 2 { // one of the two begins with the bad endpoint
		before := tried.Load()
		told, took := orders.ask(nil)
		own := told["orders-outbound"]
		if tried.Load() > before {
			require.GreaterOrEqual(t, own["wait"], pause)
		}
		require.LessOrEqual(t, own["own"]+own["wait"], took)
	}
	require.Positive(t, tried.Load())
}

// TestRemainderMovesWithTheKernelOnly: a stage that takes longer is told, so that what nobody claims stays; a delay on the way between
// two proxies is claimed by nobody.
func TestRemainderMovesWithTheKernelOnly(t *testing.T) {
	quick := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	least := func(orders *running) (remainder, own time.Duration) {
		remainder, own = time.Hour, time.Hour
		for range 8 { // the least of several: a machine under load takes time from some
			told, took := orders.ask(nil)
			remainder, own = min(remainder, took-told.own()), min(own, told.own())
		}
		return remainder, own
	}
	delay := fmt.Sprintf("faults: {rules: [{direction: %%s, at: request, delay: %s}]}\n", pause)
	remainder, own := least(pairTold(t, true, quick, fmt.Sprintf(delay, "inbound"), fmt.Sprintf(delay, "outbound")))
	require.GreaterOrEqual(t, own, 2*pause, "both stages tell their delay")
	require.Less(t, remainder, pause, "and it is in nobody's remainder")

	slow := slowed(t, application(t, quick))
	const plain = "ledger: {on_request: true}\nmtls: \"off\"\n"
	stock := start(t, "stock", plain+inbound(slow))
	between := slowed(t, stock.inboundAt())
	remainder, own = least(start(t, "orders", plain+"outbound: {listen: \"127.0.0.1:0\", upstreams: {stock: {endpoints: [{address: \""+between+"\"}]}}}\n"))
	require.GreaterOrEqual(t, remainder, 2*pause, "two delays on the way")
	require.Less(t, own, pause)
}

// slowed carries bytes to an address, each piece of a request late: what a slow network does.
func slowed(t *testing.T, to string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			down, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", to)
			if err != nil {
				_ = down.Close()
				return
			}
			go func() { _, _ = io.Copy(down, up); _ = down.Close() }()
			go func() {
				p := make([]byte, 8<<10)
				for {
					n, err := down.Read(p)
					if err != nil {
						_ = up.Close()
						return
					}
					time.Sleep(pause)
					_, _ = up.Write(p[:n])
				}
			}()
		}
	}()
	return l.Addr().String()
}
