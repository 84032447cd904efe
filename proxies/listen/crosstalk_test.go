package listen_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
	"crossroads/proxies/listen"
)

// moody answers each request with its own path and body, in one of many ways, some of them broken.
func moody(c net.Conn, in *bufio.Reader) {
	for {
		r, err := readHead(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		answer := r.URL.Path + " " + string(body)
		mood := r.URL.Query().Get("mood")
		if mood == "more" && len(answer) > 1000 {
			mood = ""
		}
		switch mood {
		case "chunked":
			_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(answer), answer)
		case "close":
			_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\n\r\n%s", answer)
			return
		case "cut":
			_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(answer)+1, answer)
			return
		case "more": // a second answer, for whoever comes next; in one segment, since one that comes later than a reuse is nobody's fault
			_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%sHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", len(answer), answer)
		case "hang":
			return
		default:
			_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer)
		}
	}
}

var moods = []string{"", "", "", "chunked", "close", "cut", "more", "hang"}

// TestNobodyGetsAnothersAnswer lets many clients at once meet every kind of origin, and leave in every way: an answer that arrives
// whole is the asker's own.
func TestNobodyGetsAnothersAnswer(t *testing.T) {
	var ends atomic.Int64
	p := startProxy(t, origin(t, moody), func(_ *listen.Options, chain *exchange.Chain, u *config.Upstream) {
		chain.Stages = []exchange.Stage{countStage{&ends}}
		u.Breaker.Mode = config.Off
	})
	var asked, whole atomic.Int64
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r := rand.New(rand.NewPCG(uint64(g), 1))
			c, err := net.Dial("tcp", p.address)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { c.Close() }()
			in := bufio.NewReader(c)
			for i := range 60 {
				asked.Add(1)
				body, closed, left := visit(t, r, c, in, fmt.Sprintf("/%d/%d", g, i))
				if body {
					whole.Add(1)
				}
				if closed || left {
					_ = c.Close()
					if c, err = net.Dial("tcp", p.address); err != nil {
						t.Error(err)
						return
					}
					in.Reset(c)
				}
			}
		}()
	}
	wg.Wait()
	require.Greater(t, whole.Load(), asked.Load()/3)
	require.Eventually(t, func() bool { return p.up.Endpoints()[0].InFlight == 0 }, 10*time.Second, time.Millisecond)
	require.Eventually(t, func() bool { return ends.Load() == 0 }, 10*time.Second, time.Millisecond, "every Inward has its Finish")
}

// visit sends one request and reads its answer, or leaves early.
func visit(t *testing.T, r *rand.Rand, c net.Conn, in *bufio.Reader, path string) (whole, closed, left bool) {
	mood := moods[r.IntN(len(moods))]
	body := strings.Repeat("x", r.IntN(3)*r.IntN(20000))
	_, err := fmt.Fprintf(c, "POST %s?mood=%s HTTP/1.1\r\nHost: gw.test\r\nContent-Length: %d\r\n\r\n%s", path, mood, len(body), body)
	if err != nil || r.IntN(8) == 0 {
		return false, true, true
	}
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return false, true, false
	}
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return false, true, false
	}
	if resp.StatusCode == 200 && string(got) != path+" "+body {
		t.Errorf("%s got an answer that is not its own: %.60q", path, got)
	}
	return resp.StatusCode == 200, resp.Close, false
}

// countStage counts what is in flight.
type countStage struct{ n *atomic.Int64 }

func (countStage) Name() string                              { return "count" }
func (s countStage) Inward(*exchange.Exchange) exchange.Step { s.n.Add(1); return exchange.Continue }
func (countStage) Outward(*exchange.Exchange)                {}
func (s countStage) Finish(*exchange.Exchange, exchange.End) { s.n.Add(-1) }
