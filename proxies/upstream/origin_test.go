package upstream

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
)

// origin is a server of raw bytes: answer gets each request, parsed by net/http, and the connection.
type origin struct {
	address  string
	requests atomic.Int64
	conns    atomic.Int64
	l        net.Listener
	mu       sync.Mutex
	open     []net.Conn
}

func startOrigin(t testing.TB, answer func(c net.Conn, r *http.Request) (again bool)) *origin {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	o := &origin{address: l.Addr().String(), l: l}
	t.Cleanup(o.stop)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			o.conns.Add(1)
			o.mu.Lock()
			o.open = append(o.open, c)
			o.mu.Unlock()
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					o.requests.Add(1)
					if !answer(c, r) {
						return
					}
				}
			}()
		}
	}()
	return o
}

func (o *origin) stop() {
	_ = o.l.Close()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.open {
		_ = c.Close()
	}
}

func say(response string) func(net.Conn, *http.Request) bool {
	return func(c net.Conn, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body)
		_, err := io.WriteString(c, response)
		return err == nil
	}
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// hangUp reads the request and closes without an answer.
func hangUp(net.Conn, *http.Request) bool { return false }

// silence reads the request and never answers.
func silence(c net.Conn, _ *http.Request) bool {
	_, _ = io.Copy(io.Discard, c)
	return false
}

// deadAddress is one on which nobody listens.
func deadAddress(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func start(t testing.TB, c config.Upstream, addresses ...string) *Upstream {
	t.Helper()
	for _, a := range addresses {
		c.Endpoints = append(c.Endpoints, config.Endpoint{Address: a})
	}
	u, err := New(Options{Name: "up", Config: c})
	require.NoError(t, err)
	t.Cleanup(u.Close)
	return u
}

func newExchange(method string, route *exchange.Route) *exchange.Exchange {
	x := &exchange.Exchange{Request: &fasthttp.Request{}, Response: &fasthttp.Response{}, Route: route, Start: time.Now()}
	x.Request.Header.SetMethod(method)
	x.Request.Header.SetRequestURI("/t")
	x.Request.Header.SetHost("gw.test")
	return x
}

// forward runs one exchange to its end and returns its status or fault.
func forward(t testing.TB, u *Upstream, method string, route *exchange.Route) (status int, body, reason string) {
	t.Helper()
	x := newExchange(method, route)
	if u.Forward(x) == exchange.Failed {
		x.Release()
		return x.Fault.Status, "", x.Fault.Reason
	}
	if x.ResponseBody != nil {
		b, err := io.ReadAll(x.ResponseBody)
		if err != nil {
			reason = err.Error()
		}
		body = string(b)
	}
	x.Release()
	return x.Response.StatusCode(), body, reason
}
