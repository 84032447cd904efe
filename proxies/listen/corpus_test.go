package listen_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/config/units"
	"crossroads/proxies/exchange"
	"crossroads/proxies/listen"
)

// requestCase is one line of requests.jsonl: the bytes of a client, and what a proxy may make of them.
type requestCase struct {
	ID         string
	Category   string
	Raw        []byte `json:"raw_base64"`
	Expect     string
	Prefer     string
	Level      string
	Why        string
	Check      string
	MaxBackend int  `json:"max_backend"`
	Close      bool `json:"close"`
	HalfClose  bool `json:"half_close"`
}

func readLines[T any](t *testing.T, name string) (cases []T) {
	t.Helper()
	f, err := os.Open("testdata/" + name)
	require.NoError(t, err)
	defer f.Close()
	for d := json.NewDecoder(f); d.More(); {
		var c T
		require.NoError(t, d.Decode(&c))
		cases = append(cases, c)
	}
	return cases
}

// TestRequestCorpus sends every case over a raw socket and holds what reached the origin, and what came back, against it.
func TestRequestCorpus(t *testing.T) {
	cases := readLines[requestCase](t, "requests.jsonl")
	scores := scoreboard{}
	var mu sync.Mutex
	parallel(len(cases), func(i int) {
		c := cases[i]
		seen, statuses, ended := sendCase(t, c)
		unsafe := judgeSafety(c, seen, statuses, ended)
		rejected := len(statuses) == 0 || statuses[len(statuses)-1] >= 400 && !contains2xx(statuses)
		accepted := len(statuses) > 0 && firstFinal(statuses)/100 == 2
		fits := c.Expect == "either" || c.Expect == "reject" && rejected || c.Expect == "accept" && accepted
		strict := fits && (c.Prefer == "either" || c.Prefer == "reject" && rejected || c.Prefer == "accept" && accepted)
		mu.Lock()
		defer mu.Unlock()
		scores.add(c.Category, c.Level == "MUST", fits && unsafe == "", strict && unsafe == "", unsafe == "")
		if unsafe != "" {
			t.Errorf("%s: unsafe: %s (%s); answered %v, origin saw %q", c.ID, unsafe, c.Why, statuses, seen)
		}
		if !fits && c.Level == "MUST" {
			t.Errorf("%s: expected %s (%s); answered %v", c.ID, c.Expect, c.Why, statuses)
		}
		if !strict {
			t.Logf("not strict: %-28s expect %-6s prefer %-6s %-6s answered %v (%s)", c.ID, c.Expect, c.Prefer, c.Level, statuses, c.Why)
		}
	})
	t.Log("\n" + scores.table())
	all := scores["all"]
	require.Greater(t, float64(all.strict)/float64(all.cases), 0.94, "strict score")
}

// parallel runs n cases, several at a time: most of a case is waiting.
func parallel(n int, run func(i int)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, 24)
	for i := range n {
		wg.Add(1)
		slots <- struct{}{}
		go func() {
			defer wg.Done()
			run(i)
			<-slots
		}()
	}
	wg.Wait()
}

// sendCase runs one case against a proxy and an origin of its own. The client half-closes where the case leaves the connection
// open, so that every case ends by itself.
func sendCase(t *testing.T, c requestCase) (seen []forwarded, statuses []int, ended bool) {
	o := newRecorder(t)
	defer o.close()
	p := startProxy(t, o.address, func(l *listen.Options, chain *exchange.Chain, _ *config.Upstream) {
		l.Clients.HeaderTimeout = units.Duration(300 * time.Millisecond)
		l.Clients.BodyIdle = units.Duration(300 * time.Millisecond)
		l.Clients.MaxBody = 1 << 20
		chain.Stages = []exchange.Stage{denyStage{}}
	})
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		t.Error(err)
		return nil, nil, false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	go func() {
		_, _ = conn.Write(c.Raw)
		if c.HalfClose || !c.Close {
			_ = conn.(*net.TCPConn).CloseWrite()
		}
	}()
	answer, err := io.ReadAll(conn)
	ended = err == nil || !strings.Contains(err.Error(), "timeout")
	r := bufio.NewReader(bytes.NewReader(answer))
	for {
		resp, err := http.ReadResponse(r, &http.Request{Method: methodOf(c.Raw)})
		if err != nil {
			break
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		statuses = append(statuses, resp.StatusCode)
	}
	return o.take(), statuses, ended
}

func methodOf(raw []byte) string {
	if bytes.HasPrefix(raw, []byte("HEAD ")) {
		return "HEAD"
	}
	return "GET"
}

func contains2xx(statuses []int) bool {
	for _, s := range statuses {
		if s/100 == 2 {
			return true
		}
	}
	return false
}

func firstFinal(statuses []int) int {
	for _, s := range statuses {
		if s >= 200 {
			return s
		}
	}
	return 0
}

// denyStage answers 403 for what lies under /admin or /smuggled after one decoding and the removal of dot segments: the rule that
// an attacker wants to get around.
type denyStage struct{}

func (denyStage) Name() string                            { return "deny" }
func (denyStage) Outward(*exchange.Exchange)              {}
func (denyStage) Finish(*exchange.Exchange, exchange.End) {}
func (denyStage) Inward(x *exchange.Exchange) exchange.Step {
	if forbidden(string(x.Path)) {
		return x.Fail(exchange.Denied)
	}
	return exchange.Continue
}

// scoreboard counts cases by category.
type scoreboard map[string]*score

type score struct{ cases, must, mustRight, right, strict, safe int }

func (s scoreboard) add(category string, must, right, strict, safe bool) {
	for _, k := range []string{category, "all"} {
		if s[k] == nil {
			s[k] = &score{}
		}
		n := s[k]
		n.cases++
		n.must += one(must)
		n.mustRight += one(must && right)
		n.right += one(right)
		n.strict += one(strict)
		n.safe += one(safe)
	}
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (s scoreboard) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-16s %6s %10s %8s %8s %8s\n", "category", "cases", "MUST", "right", "strict", "safe")
	for _, k := range sortedKeys(s) {
		n := s[k]
		fmt.Fprintf(&b, "%-16s %6d %6d/%-3d %8d %8d %8d\n", k, n.cases, n.mustRight, n.must, n.right, n.strict, n.safe)
	}
	return b.String()
}
