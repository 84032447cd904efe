package conformance

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// response is one line of responses.jsonl: the bytes of an upstream, and what a client may see of them.
type response struct {
	ID        string
	Category  string
	Raw       []byte `json:"raw_response_base64"`
	Expect    string // 502 or pass
	Alt       string // also allowed
	AfterHead bool   `json:"after_head"` // the head may be out already: then the client must see a broken message
	Method    string
	Fields    string  `json:"req_headers"`
	Body      *string `json:"body_hex"`
	Forbid    string  `json:"forbid_hex"`
	End       string  // keep, fin or rst behind the bytes
	Reuse     *bool   // false: nothing may follow on the connection
	Late      []byte  `json:"late_base64"`
	LateMS    int     `json:"late_ms"`
	LateEnd   string  `json:"late_end"`
	Level     string
	Why       string
}

func responseCases() ([]response, error) { return readCases[response]("responses") }

func (s *suite) response(c response) Outcome {
	o := Outcome{ID: c.ID, Category: c.Category, Level: c.Level, Response: true, Why: c.Why}
	s.Origin.hangUp() // whatever the proxy keeps is not the connection that this case may poison
	time.Sleep(s.Patience / 4)
	p := &play{c: &c, over: make(chan struct{})}
	s.Origin.begin(p)
	first := s.ask(c.Method, c.request())
	if !p.taken.CompareAndSwap(false, true) {
		<-p.over
	}
	switch err := s.clean(); {
	case err != nil:
		o.Unsafe = "the next client: " + err.Error()
	case c.forbids(first.raw):
		o.Unsafe = "forbidden bytes reached the client"
	case c.Reuse != nil && !*c.Reuse && p.reused.Load():
		o.Unsafe = "the connection was used again"
	}
	s.Origin.begin(nil)
	o.Strict = o.Unsafe == "" && c.fits(first, c.Expect)
	o.Right = o.Strict || o.Unsafe == "" && c.Alt != "" && c.fits(first, c.Alt)
	o.Saw = first.String()
	return o
}

// request is what makes the upstream answer; of POST the body is too much to be read before an early answer.
func (c *response) request() string {
	head := fmt.Sprintf("%s /t HTTP/1.1\r\nHost: gw.test\r\n%s", c.Method, c.Fields)
	if c.Fields != "" && !strings.HasSuffix(c.Fields, "\r\n") {
		head += "\r\n"
	}
	if c.Method != "POST" {
		return head + "\r\n"
	}
	return head + "Content-Length: 1048576\r\n\r\n" + strings.Repeat("x", 1<<20)
}

func (c *response) forbids(raw string) bool {
	forbidden, err := hex.DecodeString(c.Forbid)
	return err == nil && len(forbidden) > 0 && strings.Contains(raw, string(forbidden))
}

func (c *response) fits(a answer, expect string) bool {
	if expect == "502" {
		return a.status == 502 || c.AfterHead && !a.whole
	}
	if !a.whole || a.status == 502 || a.status == 504 {
		return false
	}
	if c.Body == nil {
		return true
	}
	want, err := hex.DecodeString(*c.Body)
	return err == nil && a.body == string(want)
}

// answer is what a client saw.
type answer struct {
	status int
	body   string
	whole  bool // the message ended as its framing says
	raw    string
}

func (a answer) String() string {
	return fmt.Sprintf("status %d, whole %t, body %.40q", a.status, a.whole, a.body)
}

// ask sends raw bytes on a new connection and reads one final response and whatever else comes until the connection ends.
func (s *suite) ask(method, raw string) (a answer) {
	conn, err := net.Dial("tcp", s.Address)
	if err != nil {
		return a
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(s.Timeout))
	half := conn.(*net.TCPConn)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(conn, raw)
		if s.Patience == 0 {
			_ = half.CloseWrite() // the proxy ends the connection behind its response
		}
	}()
	text, _ := io.ReadAll(&transcript{conn: half, patience: s.Patience})
	_ = conn.Close()
	<-sent
	a.raw = string(text)
	r := bufio.NewReader(bytes.NewReader(text))
	for {
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			return a
		}
		if resp.StatusCode < 200 && resp.StatusCode != 101 {
			continue
		}
		body, err := io.ReadAll(resp.Body)
		a.status, a.body, a.whole = resp.StatusCode, string(body), err == nil
		return a
	}
}

// play is a response case as the origin plays it, on the first request that is not a clean one.
type play struct {
	c      *response
	taken  atomic.Bool
	over   chan struct{} // closed once everything was sent, what comes late included
	reused atomic.Bool   // a request came behind the case on its connection
}

// run sends the case; ended says that the connection is over.
func (p *play) run(conn net.Conn) (ended bool) {
	defer close(p.over)
	_, _ = conn.Write(p.c.Raw)
	if ends(conn, p.c.End) {
		return true
	}
	if p.c.LateMS == 0 {
		return false
	}
	time.Sleep(time.Duration(p.c.LateMS) * time.Millisecond)
	_, _ = conn.Write(p.c.Late)
	return ends(conn, p.c.LateEnd)
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
