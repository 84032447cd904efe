package conformance

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"
)

// Request is one line of requests.jsonl: the bytes of a client, and what a proxy may make of them.
type Request struct {
	ID         string
	Category   string
	Raw        []byte `json:"raw_base64"`
	Expect     string // reject, accept or either
	Prefer     string // the same, of the strictest reader
	Level      string // MUST, SHOULD, MAY or policy
	Why        string
	Check      string
	MaxBackend int  `json:"max_backend"` // complete requests that may reach the origin
	Close      bool // the connection must end by itself
	HalfClose  bool `json:"half_close"` // the client ends its side behind the bytes
}

// Requests returns the cases of a client.
func Requests() ([]Request, error) { return readCases[Request]("requests") }

func (s *suite) request(c Request) Outcome {
	o := Outcome{ID: c.ID, Category: c.Category, Level: c.Level, Why: c.Why}
	s.Origin.begin(nil)
	v := Send(s.Address, c, s.Timeout, s.Patience)
	v.Seen = s.Origin.Take()
	v.Broken = s.Origin.broken()
	o.Unsafe = c.Judge(v)
	if err := s.clean(); err != nil && o.Unsafe == "" {
		o.Unsafe = "the next client: " + err.Error()
	}
	rejected := len(v.Statuses) == 0 || v.Statuses[len(v.Statuses)-1] >= 400 && !slices.ContainsFunc(v.Statuses, succeeded)
	accepted := succeeded(v.final())
	o.Right = o.Unsafe == "" && fits(c.Expect, rejected, accepted)
	o.Strict = o.Right && fits(c.Prefer, rejected, accepted)
	o.Saw = fmt.Sprintf("answered %v, the origin saw %d", v.Statuses, len(v.Seen))
	return o
}

func fits(expect string, rejected, accepted bool) bool {
	return expect == "either" || expect == "reject" && rejected || expect == "accept" && accepted
}

func succeeded(status int) bool { return status/100 == 2 }

// Visit is what a client and the origin saw of one case.
type Visit struct {
	Statuses []int
	Seen     []Forwarded
	Broken   string // bytes at the origin that are no request
	Ended    bool   // the proxy ended the connection
	Client   string // address of the client, without its port
}

// final is the first status that is not interim; 0: there is none.
func (v *Visit) final() int {
	for _, status := range v.Statuses {
		if status >= 200 {
			return status
		}
	}
	return 0
}

// Send plays a case's client and reads until the connection ends. What the origin saw is not part of what it returns.
func Send(address string, c Request, timeout, patience time.Duration) (v Visit) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return v
	}
	defer conn.Close()
	v.Client, _, _ = net.SplitHostPort(conn.LocalAddr().String())
	_ = conn.SetDeadline(time.Now().Add(timeout))
	half := conn.(*net.TCPConn)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = conn.Write(c.Raw)
		if c.HalfClose || !c.Close && patience == 0 {
			_ = half.CloseWrite()
		}
	}()
	answer := &transcript{conn: half}
	if !c.HalfClose && !c.Close {
		answer.patience = patience
	}
	text, err := io.ReadAll(answer)
	v.Ended = !timedOut(err)
	_ = conn.Close()
	<-sent
	r := bufio.NewReader(bytes.NewReader(text))
	for {
		resp, err := http.ReadResponse(r, &http.Request{Method: methodOf(c.Raw)})
		if err != nil {
			return v
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		v.Statuses = append(v.Statuses, resp.StatusCode)
	}
}

// transcript reads a connection, and ends the client's side once an answer has begun and nothing more came for a while.
type transcript struct {
	conn     *net.TCPConn
	patience time.Duration
	begun    bool
	ended    bool
	limit    time.Time
}

func (t *transcript) Read(p []byte) (int, error) {
	if t.patience == 0 || !t.begun || t.ended {
		n, err := t.conn.Read(p)
		t.begun = t.begun || n > 0
		return n, err
	}
	t.limit = time.Now().Add(max(t.patience, 10*time.Second))
	_ = t.conn.SetReadDeadline(time.Now().Add(t.patience))
	n, err := t.conn.Read(p)
	if n == 0 && timedOut(err) {
		t.ended = true
		_ = t.conn.CloseWrite()
		_ = t.conn.SetReadDeadline(t.limit)
		return t.conn.Read(p)
	}
	return n, err
}

func timedOut(err error) bool {
	t, ok := err.(net.Error)
	return ok && t.Timeout()
}

func methodOf(raw []byte) string {
	if bytes.HasPrefix(raw, []byte("HEAD ")) {
		return "HEAD"
	}
	return "GET"
}
