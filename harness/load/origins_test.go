package load

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// listen serves every connection with handle until the test ends.
func listen(t testing.TB, network, address string, handle func(net.Conn)) (url string) {
	t.Helper()
	l, err := net.Listen(network, address)
	require.NoError(t, err)
	var open sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			open.Go(func() {
				defer c.Close()
				handle(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		open.Wait()
	})
	return "http://" + l.Addr().String()
}

// answers is a server that reads requests and calls answer for each. It ends a connection when answer returns false.
func answers(t testing.TB, answer func(c net.Conn, r *http.Request) bool) (url string) {
	return listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
		in := bufio.NewReader(c)
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			if !answer(c, r) {
				return
			}
		}
	})
}

// reset makes the end of a connection a RST.
func reset(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }

func TestWellBehavedOrigins(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		keep  bool
		bytes int64
	}{
		"length":            {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", true, 5},
		"chunked":           {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", true, 6},
		"connection: close": {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", false, 5},
		"no length":         {"HTTP/1.1 200 OK\r\n\r\nhello, until the end", false, 20},
		"redirect":          {"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", true, 0},
		"interim":           {"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			url := answers(t, func(conn net.Conn, _ *http.Request) bool {
				// In two halves, so that a response needs more than one read.
				half := len(c.text) / 2
				_, _ = io.WriteString(conn, c.text[:half])
				_, _ = io.WriteString(conn, c.text[half:])
				return c.keep
			})
			eachDriver(t, func(t *testing.T, d Driver) {
				for _, s := range driveWith(t, d, target(url, 2), every(time.Millisecond, 30)) {
					require.NoError(t, s.Err)
					require.Equal(t, c.bytes, s.Bytes)
					require.NotZero(t, s.Status)
					require.LessOrEqual(t, s.Due, s.Ready)
					require.LessOrEqual(t, s.Ready, s.Sent)
					require.Less(t, s.Sent, s.Done)
				}
			})
		})
	}
}

func TestMisbehavingOrigins(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(c net.Conn, r *http.Request) bool
		want   error
		or     error // what may be seen as well
		status int
	}{
		"closes inside the body": {want: ErrShortBody, status: 200, answer: func(c net.Conn, _ *http.Request) bool {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello")
			return false
		}},
		"closes between chunks": {want: ErrShortBody, status: 200, answer: func(c net.Conn, _ *http.Request) bool {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
			return false
		}},
		"resets inside the body": {want: ErrShortBody, or: ErrReset, status: 200, answer: func(c net.Conn, _ *http.Request) bool {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello")
			time.Sleep(20 * time.Millisecond)
			reset(c) // and overtakes the head, where that was not read yet

			return false
		}},
		"closes inside the head": {want: ErrReset, answer: func(c net.Conn, _ *http.Request) bool {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n")
			return false
		}},
		"resets": {want: ErrReset, answer: func(c net.Conn, _ *http.Request) bool { reset(c); return false }},
		"closes": {want: ErrReset, answer: func(net.Conn, *http.Request) bool { return false }},
		"garbage": {want: ErrProtocol, answer: func(c net.Conn, _ *http.Request) bool {
			_, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.6\r\n\r\n")
			return true
		}},
		"bad length": {want: ErrProtocol, answer: func(c net.Conn, _ *http.Request) bool {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello")
			return true
		}},
		"bad chunk": {want: ErrProtocol, status: 200, answer: func(c net.Conn, _ *http.Request) bool {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfive\r\nhello\r\n")
			return true
		}},
		"not found": {want: ErrStatus, status: 404, answer: func(c net.Conn, _ *http.Request) bool {
			_, _ = io.WriteString(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno")
			return true
		}},
		"unavailable": {want: ErrStatus, status: 503, answer: func(c net.Conn, _ *http.Request) bool {
			_, _ = io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
			return true
		}},
		"never answers": {want: ErrTimeout, answer: func(net.Conn, *http.Request) bool { return true }},
		"never ends": {want: ErrTimeout, status: 200, answer: func(c net.Conn, _ *http.Request) bool {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello")
			return true
		}},
	} {
		t.Run(name, func(t *testing.T) {
			url := answers(t, c.answer)
			eachDriver(t, func(t *testing.T, d Driver) {
				to := target(url, 3)
				// POST: net/http repeats a GET on a connection that turns out closed, which would hide the first failure.
				to.Requests[0] = Request{Method: "POST", Path: "/", Body: []byte("x")}
				to.Timeout = 5 * time.Second
				if c.want == ErrTimeout {
					to.Timeout = 100 * time.Millisecond
				}
				for _, s := range driveWith(t, d, to, every(time.Millisecond, 12)) {
					if c.or == nil || s.Err != c.or {
						require.Same(t, c.want, s.Err, "sample %d: %v", s.Seq, s.Err)
					}
					require.False(t, s.Declared)
					if c.status != 0 || c.want == ErrStatus {
						require.Contains(t, []int{c.status, 0}, s.Status)
					}
					if c.want == ErrTimeout {
						require.GreaterOrEqual(t, s.Response(), to.Timeout)
					}
				}
			})
		})
	}
}

func TestRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	url := "http://" + l.Addr().String()
	require.NoError(t, l.Close())
	eachDriver(t, func(t *testing.T, d Driver) {
		for _, s := range driveWith(t, d, target(url, 4), every(time.Millisecond, 40)) {
			require.Same(t, ErrRefused, s.Err)
			require.Zero(t, s.Status)
		}
		require.GreaterOrEqual(t, d.Effort().Dials, int64(40))
	})
}
