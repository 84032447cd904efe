package listen_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// responseCase is one line of responses.jsonl: the bytes of an upstream, and what a client may see of them.
type responseCase struct {
	ID        string
	Category  string
	Raw       []byte `json:"raw_response_base64"`
	Expect    string
	Alt       string
	AfterHead bool `json:"after_head"`
	Method    string
	Fields    string  `json:"req_headers"`
	Body      *string `json:"body_hex"`
	Forbid    string  `json:"forbid_hex"`
	End       string
	Reuse     *bool
	Late      []byte `json:"late_base64"`
	LateMS    int    `json:"late_ms"`
	LateEnd   string `json:"late_end"`
	Level     string
	Why       string
}

// TestResponseCorpus lets an upstream send every case, and then asks once more on a new client connection: whatever the first
// answer left behind may not reach the second client.
func TestResponseCorpus(t *testing.T) {
	cases := readLines[responseCase](t, "responses.jsonl")
	scores := scoreboard{}
	var mu sync.Mutex
	parallel(len(cases), func(i int) {
		c := cases[i]
		first, next, reused := c.run(t)
		unsafe := ""
		if next.status != 200 || next.body != "clean" || !next.whole {
			unsafe = fmt.Sprintf("the next client got %+v", next)
		}
		if forbid, err := hex.DecodeString(c.Forbid); err == nil && len(forbid) > 0 && strings.Contains(first.raw, string(forbid)) {
			unsafe = "forbidden bytes reached the client"
		}
		if c.Reuse != nil && !*c.Reuse && reused {
			unsafe = "the connection was used again"
		}
		right := c.fits(first, c.Expect) || c.Alt != "" && c.fits(first, c.Alt)
		strict := c.fits(first, c.Expect)
		mu.Lock()
		defer mu.Unlock()
		scores.add(c.Category, c.Level == "MUST", right && unsafe == "", strict && unsafe == "", unsafe == "")
		if unsafe != "" || !right {
			t.Errorf("%s: expected %s %s (%s): %s; got %+v", c.ID, c.Expect, c.Alt, c.Why, unsafe, first)
		}
		if !strict {
			t.Logf("not the first choice: %s expect %s, got %d", c.ID, c.Expect, first.status)
		}
	})
	t.Log("\n" + scores.table())
}

// outcome is what a client saw.
type outcome struct {
	status int
	body   string
	whole  bool // the message ended as its framing says
	raw    string
}

func (c *responseCase) fits(o outcome, expect string) bool {
	if expect == "502" {
		return o.status == 502 || c.AfterHead && !o.whole
	}
	if !o.whole || o.status == 502 || o.status == 504 {
		return false
	}
	if c.Body == nil {
		return true
	}
	want, err := hex.DecodeString(*c.Body)
	return err == nil && o.body == string(want)
}

// run sends the case's request and then, once whatever comes late has come, a clean one.
func (c *responseCase) run(t *testing.T) (first, next outcome, reused bool) {
	o := newScript(t, c)
	defer o.close()
	p := startProxy(t, o.address, nil)
	body := ""
	if c.Method == "POST" {
		body = strings.Repeat("x", 1<<20) // too much to be read before the early answer
	}
	head := fmt.Sprintf("%s /t HTTP/1.1\r\nHost: gw.test\r\n%s", c.Method, c.Fields)
	if c.Fields != "" && !strings.HasSuffix(c.Fields, "\r\n") {
		head += "\r\n"
	}
	if body != "" {
		head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	first = ask(t, p.address, c.Method, head+"\r\n"+body)
	<-o.late
	next = ask(t, p.address, "GET", "GET /clean HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n\r\n")
	return first, next, o.reused.Load()
}

// ask sends raw bytes on a new connection and reads one final response and whatever else comes until the connection is quiet.
func ask(t *testing.T, address, method, raw string) (o outcome) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return o
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(conn, raw)
		_ = conn.(*net.TCPConn).CloseWrite() // the proxy ends the connection behind its response
	}()
	answer, _ := io.ReadAll(conn)
	_ = conn.Close()
	<-sent
	o.raw = string(answer)
	r := bufio.NewReader(bytes.NewReader(answer))
	for {
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			return o
		}
		if resp.StatusCode < 200 && resp.StatusCode != 101 {
			continue
		}
		b, err := io.ReadAll(resp.Body)
		o.status, o.body, o.whole = resp.StatusCode, string(b), err == nil
		return o
	}
}

// script is an origin that plays a case on the first request it gets and answers every later one cleanly, on whatever connection.
type script struct {
	address string
	l       net.Listener
	c       *responseCase
	late    chan struct{} // closed once the case is played to its end
	once    sync.Once
	reused  atomic.Bool // a request came behind the case on its connection
	mu      sync.Mutex
	conns   []net.Conn
	wg      sync.WaitGroup
}

func newScript(t *testing.T, c *responseCase) *script {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &script{address: l.Addr().String(), l: l, c: c, late: make(chan struct{})}
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			s.wg.Add(1)
			go func() {
				defer s.wg.Done()
				s.serve(conn)
			}()
		}
	}()
	return s
}

func (s *script) close() {
	_ = s.l.Close()
	s.mu.Lock()
	for _, c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *script) serve(conn net.Conn) {
	r := bufio.NewReader(conn)
	played := false
	for {
		head := ""
		for !strings.HasSuffix(head, "\r\n\r\n") {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			head += line
		}
		if played {
			s.reused.Store(true)
		}
		play := false
		if !strings.Contains(head, "/clean") {
			s.once.Do(func() { play = true })
		}
		if !play {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nclean")
			continue
		}
		if s.play(conn) {
			return
		}
		played = true
	}
}

// play sends the case; ended says that the connection is over.
func (s *script) play(conn net.Conn) (ended bool) {
	defer close(s.late)
	_, _ = conn.Write(s.c.Raw)
	if ends(conn, s.c.End) {
		return true
	}
	if s.c.LateMS == 0 {
		return false
	}
	time.Sleep(time.Duration(s.c.LateMS) * time.Millisecond)
	_, _ = conn.Write(s.c.Late)
	return ends(conn, s.c.LateEnd)
}

func ends(conn net.Conn, how string) bool {
	switch how {
	case "fin":
		_ = conn.(*net.TCPConn).CloseWrite()
		return true
	case "rst":
		time.Sleep(20 * time.Millisecond) // a reset overtakes bytes that were not read yet
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
		return true
	}
	return false
}
