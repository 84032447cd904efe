package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// drivers are all drivers, for what every one must do.
func drivers() map[string]func(onStart func(time.Time)) Driver {
	return map[string]func(func(time.Time)) Driver{
		"native/precise":    func(f func(time.Time)) Driver { return &Native{Pacing: Precise, OnStart: f} },
		"native/economical": func(f func(time.Time)) Driver { return &Native{Pacing: Economical, OnStart: f} },
		"vegeta/precise":    func(f func(time.Time)) Driver { return &Vegeta{Pacing: Precise, OnStart: f} },
		"vegeta/economical": func(f func(time.Time)) Driver { return &Vegeta{Pacing: Economical, OnStart: f} },
	}
}

func eachDriver(t *testing.T, f func(t *testing.T, d Driver)) {
	for name, make := range drivers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, make(nil))
		})
	}
}

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

func TestDeclaredErrorsAreToldApart(t *testing.T) {
	url := answers(t, func(c net.Conn, r *http.Request) bool {
		seq, _ := strconv.Atoi(r.Header.Get(SeqHeader))
		switch seq % 3 {
		case 0:
			_, _ = io.WriteString(c, "HTTP/1.1 500 Oops\r\nX-Crossroads-Declared: 1\r\nContent-Length: 0\r\n\r\n")
		case 1:
			_, _ = io.WriteString(c, "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
		default:
			// On a success the header means nothing.
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX-Crossroads-Declared: 1\r\nContent-Length: 0\r\n\r\n")
		}
		return true
	})
	eachDriver(t, func(t *testing.T, d Driver) {
		for _, s := range driveWith(t, d, target(url, 3), every(time.Millisecond, 30)) {
			require.Equal(t, s.Seq%3 == 0, s.Declared)
			require.Equal(t, s.Seq%3 != 2, s.Err != nil)
		}
	})
}

// A target that closes connections without saying so is used on: each connection here serves one request, so more answers than
// connections prove that they are opened again. A request that meets the close on its way is a reset, as for any client.
func TestConnectionsAreOpenedAgain(t *testing.T) {
	url := answers(t, func(c net.Conn, _ *http.Request) bool {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		return false
	})
	eachDriver(t, func(t *testing.T, d Driver) {
		answered := 0
		for _, s := range driveWith(t, d, target(url, 2), every(20*time.Millisecond, 10)) {
			if s.Err == nil {
				answered++
			} else {
				require.Same(t, ErrReset, s.Err)
			}
		}
		require.Greater(t, answered, 2)
		require.GreaterOrEqual(t, d.Effort().Dials, int64(answered))
	})
}

// With one connection the second and third sample wait for the first; the wait is theirs, and it is the target's.
func TestWaitForAConnection(t *testing.T) {
	const hold = 100 * time.Millisecond
	eachDriver(t, func(t *testing.T, d Driver) {
		var inside, most atomic.Int64
		url := answers(t, func(c net.Conn, _ *http.Request) bool {
			most.Store(max(most.Load(), inside.Add(1)))
			time.Sleep(hold)
			inside.Add(-1)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			return true
		})
		samples := driveWith(t, d, target(url, 1), every(0, 3))
		require.Equal(t, int64(1), most.Load(), "no more requests at a time than connections")
		first := slices.MinFunc(samples, func(a, b Sample) int { return int(a.Sent - b.Sent) })
		for _, s := range samples {
			require.NoError(t, s.Err)
			require.GreaterOrEqual(t, s.Service(), hold)
			if s.Seq != first.Seq && s.Ready < first.Sent+hold {
				require.True(t, s.Waited, "the connection was busy when it was taken up")
			}
			if s.Waited {
				require.GreaterOrEqual(t, s.Response(), 2*hold, "the wait is in the response time")
				require.Positive(t, s.Wait())
			}
		}
		require.Positive(t, d.Effort().AllBusy)
	})
}

// A sample that never gets a connection times out from due, as every other.
func TestTimeoutWhileWaiting(t *testing.T) {
	url := answers(t, func(net.Conn, *http.Request) bool { return true })
	eachDriver(t, func(t *testing.T, d Driver) {
		to := target(url, 1)
		to.Timeout = 100 * time.Millisecond
		for _, s := range driveWith(t, d, to, every(time.Millisecond, 5)) {
			require.Same(t, ErrTimeout, s.Err)
			require.GreaterOrEqual(t, s.Response(), to.Timeout)
		}
	})
}

func TestCutoffEndsTheWaiting(t *testing.T) {
	url := answers(t, func(net.Conn, *http.Request) bool { return true })
	for name, d := range map[string]Driver{
		"native": &Native{Pacing: Precise, Cutoff: 60 * time.Millisecond},
		"vegeta": &Vegeta{Pacing: Precise, Cutoff: 60 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			to := target(url, 4)
			to.Timeout = time.Hour // the test would not end
			for _, s := range driveWith(t, d, to, every(time.Millisecond, 8)) {
				require.Same(t, ErrTimeout, s.Err)
				require.GreaterOrEqual(t, s.Done, 60*time.Millisecond)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	url := answers(t, func(net.Conn, *http.Request) bool { return true })
	for name, make := range drivers() {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			d := make(func(time.Time) { time.AfterFunc(50*time.Millisecond, cancel) })
			s := append(every(time.Millisecond, 20), Arrival{Due: time.Hour})
			err := d.Drive(ctx, target(url, 4), s, []Recorder{new(recorded)})
			require.ErrorIs(t, err, context.Canceled)
		})
	}
}

// What goes over the wire: the sequence number, the body and its length, headers in their order, the path behind the entry's.
func TestRequestsAsTheyArrive(t *testing.T) {
	var mu sync.Mutex
	seen := map[string][]string{}
	url := answers(t, func(c net.Conn, r *http.Request) bool {
		mu.Lock()
		seen[r.URL.Query().Get("driver")] = append(seen[r.URL.Query().Get("driver")], fmt.Sprintf("%s %s host=%s length=%d seq=%s key=%s",
			r.Method, r.URL.Path, r.Host, r.ContentLength, r.Header.Get(SeqHeader), r.Header.Get("X-Api-Key")))
		mu.Unlock()
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		return true
	})
	for name, make := range drivers() {
		t.Run(name, func(t *testing.T) {
			big := strings.Repeat("b", 3<<20) // more than a socket takes at once
			to := Target{Entries: []string{url + "/base/"}, Connections: 1, Timeout: 20 * time.Second, Requests: []Request{
				{Method: "GET", Path: "/a?driver=" + name, Headers: [][2]string{{"X-Api-Key", "demo"}, {"host", "shop.example"}}},
				{Method: "POST", Path: "/b?driver=" + name, Body: []byte(big)},
			}}
			s := Schedule{{0, 0}, {time.Millisecond, 1}, {2 * time.Millisecond, 0}}
			for _, x := range driveWith(t, make(nil), to, s) {
				require.NoError(t, x.Err)
			}
			mu.Lock()
			defer mu.Unlock()
			require.ElementsMatch(t, []string{
				"GET /base/a host=shop.example length=0 seq=0 key=demo",
				fmt.Sprintf("POST /base/b host=%s length=%d seq=1 key=", strings.TrimPrefix(url, "http://"), len(big)),
				"GET /base/a host=shop.example length=0 seq=2 key=demo",
			}, seen[name])
		})
	}
}

func TestIPv6(t *testing.T) {
	probe, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skipf("this machine has no IPv6 loopback: %v", err)
	}
	require.NoError(t, probe.Close())
	url := listen(t, "tcp6", "[::1]:0", func(c net.Conn) {
		in := bufio.NewReader(c)
		for {
			if _, err := http.ReadRequest(in); err != nil {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	eachDriver(t, func(t *testing.T, d Driver) {
		for _, s := range driveWith(t, d, target(url, 2), every(time.Millisecond, 5)) {
			require.NoError(t, s.Err)
		}
	})
}

// Several workers and entries: everything is sent once, to the entry that its sequence number says, over no more connections than allowed.
func TestWorkersAndEntries(t *testing.T) {
	for workers := 1; workers <= 3; workers++ {
		for entries := 1; entries <= 3; entries++ {
			t.Run(fmt.Sprintf("%d workers, %d entries", workers, entries), func(t *testing.T) {
				var mu sync.Mutex
				got := map[string]int{}
				var open, most atomic.Int64
				to := Target{Requests: []Request{{Method: "GET", Path: "/"}}, Connections: 7, Timeout: 10 * time.Second}
				for e := range entries {
					to.Entries = append(to.Entries, listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
						most.Store(max(most.Load(), open.Add(1)))
						defer open.Add(-1)
						in := bufio.NewReader(c)
						for {
							r, err := http.ReadRequest(in)
							if err != nil {
								return
							}
							mu.Lock()
							got[fmt.Sprint(e, " ", r.Header.Get(SeqHeader))]++
							mu.Unlock()
							_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
						}
					}))
				}
				s := every(100*time.Microsecond, 200)
				lists := make([]recorded, workers)
				recorders := make([]Recorder, workers)
				for i := range lists {
					recorders[i] = &lists[i]
				}
				require.NoError(t, (&Native{Pacing: Precise}).Drive(context.Background(), to, s, recorders))
				for w, list := range lists {
					for _, x := range list {
						require.NoError(t, x.Err)
						require.Equal(t, w, x.Seq%workers)
					}
				}
				mu.Lock()
				defer mu.Unlock()
				require.Len(t, got, len(s))
				for i := range s {
					require.Equal(t, 1, got[fmt.Sprint(i%entries, " ", i)])
				}
				require.LessOrEqual(t, most.Load(), int64(7))
			})
		}
	}
}

func TestBadTargets(t *testing.T) {
	good := target("http://127.0.0.1:1", 4)
	change := func(f func(*Target)) Target {
		to := good
		to.Requests = []Request{good.Requests[0]}
		f(&to)
		return to
	}
	for want, to := range map[string]Target{
		"no entry":                 change(func(t *Target) { t.Entries = nil }),
		"no request":               change(func(t *Target) { t.Requests = nil }),
		"plaintext HTTP/1.1 only":  change(func(t *Target) { t.Entries = []string{"https://127.0.0.1:1"} }),
		"must be http://host:port": change(func(t *Target) { t.Entries = []string{"127.0.0.1:1"} }),
		"each entry needs one":     change(func(t *Target) { t.Connections = 0 }),
		"must be above zero":       change(func(t *Target) { t.Timeout = 0 }),
		"the path must begin":      change(func(t *Target) { t.Requests[0].Path = "x" }),
		"not a token":              change(func(t *Target) { t.Requests[0].Method = "GET /" }),
		"the driver's own":         change(func(t *Target) { t.Requests[0].Headers = [][2]string{{"content-length", "1"}} }),
		"not a valid name":         change(func(t *Target) { t.Requests[0].Headers = [][2]string{{"A", "b\r\nC: d"}} }),
		"limit is":                 change(func(t *Target) { t.Connections = 10_000_000 }),
	} {
		eachDriver(t, func(t *testing.T, d Driver) {
			require.ErrorContains(t, d.Drive(context.Background(), to, every(0, 1), []Recorder{new(recorded)}), want)
		})
	}
}
