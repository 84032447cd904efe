package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"crossroads/proxies/exchange"
	"crossroads/proxies/wire"
)

func sampleExchange() *exchange.Exchange {
	x := &exchange.Exchange{Request: &fasthttp.Request{}, Response: &fasthttp.Response{}}
	x.Request.Header.SetMethod("GET")
	x.Request.Header.SetHost("example.com")
	x.Path = []byte("/a")
	x.Start = time.Date(2026, 1, 2, 3, 4, 5, 678000, time.UTC)
	x.Peer.Client = netip.MustParseAddr("192.0.2.1")
	x.Upstream = 300 * time.Microsecond
	x.Attempts = 2
	x.Response.SetStatusCode(200)
	x.SetID([]byte("id-1"))
	return x
}

func line(t *testing.T, x *exchange.Exchange, end exchange.End, stages ...exchange.Stage) map[string]any {
	t.Helper()
	text := AppendLine(nil, "inbound", x, end, time.Millisecond, stages)
	require.True(t, bytes.HasSuffix(text, []byte("}\n")))
	require.Equal(t, 1, bytes.Count(text, []byte("\n")), "one line")
	var m map[string]any
	require.NoError(t, json.Unmarshal(text, &m), "%s", text)
	return m
}

func TestLineSaysWhatHappened(t *testing.T) {
	x := sampleExchange()
	x.Endpoint = "10.0.0.1:80"
	x.Route = &exchange.Route{Name: "orders"}
	x.Consumer.Name = "demo"
	x.Peer.ID = "spiffe://d/ns/n/sa/a"
	x.Trace = StartTrace()
	m := line(t, x, exchange.Complete)
	for key, want := range map[string]any{
		"time": "2026-01-02T03:04:05.000678Z", "chain": "inbound", "id": "id-1", "method": "GET", "host": "example.com", "path": "/a", "status": 200.0,
		"reason": "ok", "route": "orders", "client": "192.0.2.1", "consumer": "demo", "peer": "spiffe://d/ns/n/sa/a",
		"duration_us": 1000.0, "overhead_us": 700.0, "upstream_us": 300.0, "attempts": 2.0, "endpoint": "10.0.0.1:80",
	} {
		require.Equal(t, want, m[key], key)
	}
	require.Len(t, m["trace"], 32)
}

func TestReasonIsOneWord(t *testing.T) {
	x := sampleExchange()
	require.Equal(t, "upstream_cut", line(t, x, exchange.UpstreamCut)["reason"])
	require.Equal(t, "downstream_gone", line(t, x, exchange.DownstreamGone)["reason"])
	require.Equal(t, "ok", line(t, x, exchange.TunnelClosed)["reason"])
	x.Fault = exchange.NoRoute
	require.Equal(t, "no_route", line(t, x, exchange.Complete)["reason"])
}

func TestLineSurvivesHostileInput(t *testing.T) {
	x := sampleExchange()
	for _, path := range []string{"/\"}\n{\"status\":1", "/\x00\x1f\x7f\\", "/\xff\xfe", "/é€😀", "/" + strings.Repeat("a", 5000), "/" + strings.Repeat("é", 2000)} {
		x.Path = []byte(path)
		m := line(t, x, exchange.Complete)
		require.Equal(t, 200.0, m["status"])
		want := strings.ToValidUTF8(path, "\uFFFD")
		require.LessOrEqual(t, len(m["path"].(string)), maxLogged+8)
		if len(path) < maxLogged && path != "/\xff\xfe" {
			require.Equal(t, want, m["path"])
		}
	}
}

// stageNamed is a stage that has only a name.
type stageNamed struct {
	exchange.Stage
	name string
}

func (s stageNamed) Name() string { return s.name }

func TestLedgerInLineAndServerTiming(t *testing.T) {
	x := sampleExchange()
	stages := []exchange.Stage{stageNamed{name: "a"}, stageNamed{name: "b"}}
	require.NotContains(t, line(t, x, exchange.Complete, stages...), "stages_us", "only sampled exchanges")
	x.Ledger.On = true
	x.Ledger.Stages[0] = 1500
	require.Equal(t, map[string]any{"a": 1.5, "b": 0.0}, line(t, x, exchange.Complete, stages...)["stages_us"])
	x.Ledger.Read, x.Ledger.Waited, x.Ledger.Upstream = 20_000, 300_000, 340_000
	field := AppendServerTiming([]byte("Server-Timing: "), "gateway", x, stages)
	require.Equal(t, "Server-Timing: gateway.own;dur=??????????, gateway.wait;dur=0.3000, gateway.read;dur=0.0200, gateway.forward;dur=0.0400, gateway.a;dur=0.0015, gateway.write;dur=??????????",
		string(field), "what is not over yet is blank")
	x.Arrived = wire.Now() - wire.Instant(time.Hour) // longer than the field has room for fractions
	FillServerTiming(field, x)
	require.Regexp(t, `^Server-Timing: gateway\.own;dur=(3599|3600)\d{3}\.\d\d, gateway\.wait;dur=0\.3000, .*, gateway\.write;dur=(3599|3600)\d{3}\.\d\d$`, string(field))
	x.Arrived = wire.Now() - 400_000
	field = AppendServerTiming(nil, "gateway", x, stages)
	FillServerTiming(field, x)
	require.Regexp(t, `^gateway\.own;dur=\d+\.\d{4} +, gateway\.wait.*, gateway\.write;dur=\d+\.\d{4} +$`, string(field), "short ones leave spaces, as the grammar allows")
}

func TestLineDoesNotAllocate(t *testing.T) {
	x := sampleExchange()
	buffer := make([]byte, 0, 4096)
	require.Zero(t, testing.AllocsPerRun(100, func() { AppendLine(buffer, "", x, exchange.Complete, time.Millisecond, nil) }))
}

func TestAccessLogWritesEveryLine(t *testing.T) {
	var out bytes.Buffer
	l, err := OpenAccessLog("stdout", &out, nil, func() { t.Error("dropped") })
	require.NoError(t, err)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 5000 {
				l.Write([]byte("0123456789012345678901234567890\n"))
			}
		})
	}
	all.Wait()
	l.Close()
	require.Equal(t, 20_000*32, out.Len())
	require.Equal(t, 20_000, strings.Count(out.String(), "0123456789012345678901234567890\n"))
}

func TestAccessLogOff(t *testing.T) {
	l, err := OpenAccessLog("off", nil, nil, nil)
	require.NoError(t, err)
	require.Nil(t, l)
	l.Close()
	require.NoError(t, l.Reopen())
}

func TestAccessLogReopensAfterRotation(t *testing.T) {
	file := filepath.Join(t.TempDir(), "access.log")
	l, err := OpenAccessLog(file, nil, nil, func() { t.Error("dropped") })
	require.NoError(t, err)
	l.Write([]byte("one\n"))
	require.NoError(t, os.Rename(file, file+".1"))
	require.NoError(t, l.Reopen())
	l.Write([]byte("two\n"))
	l.Close()
	first, err := os.ReadFile(file + ".1")
	require.NoError(t, err)
	second, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "one\n", string(first), "what was pending goes where it belongs")
	require.Equal(t, "two\n", string(second))
	_, err = OpenAccessLog(filepath.Join(file, "below"), nil, nil, nil)
	require.ErrorContains(t, err, "open the access log")
}

// stuck is a writer that takes nothing until it is released.
type stuck struct{ release chan struct{} }

func (s stuck) Write(p []byte) (int, error) { <-s.release; return len(p), nil }

func TestAccessLogNeverHoldsRequestsUp(t *testing.T) {
	var dropped atomic.Int64
	w := stuck{make(chan struct{})}
	l, err := OpenAccessLog("stdout", w, nil, func() { dropped.Add(1) })
	require.NoError(t, err)
	big := append(bytes.Repeat([]byte("x"), 64<<10), '\n')
	for range 4 * logMaxBytes / len(big) {
		l.Write(big) // would block for ever
	}
	require.Positive(t, dropped.Load())
	close(w.release)
	l.Close()
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestAccessLogCountsWhatCouldNotBeWritten(t *testing.T) {
	var dropped atomic.Int64
	l, err := OpenAccessLog("stderr", io.Discard, full{}, func() { dropped.Add(1) })
	require.NoError(t, err)
	l.Write([]byte("a\n"))
	l.Write([]byte("b\n"))
	l.Close()
	require.EqualValues(t, 2, dropped.Load())
}
