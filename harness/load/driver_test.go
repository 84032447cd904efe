package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
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

const ipv6Loopback = "00000000000000000000000000000001"

func TestIPv6(t *testing.T) {
	// Left out where the kernel itself says that it has none, also in CI; a loopback that cannot be listened on is a failure.
	if known, _ := os.ReadFile("/proc/net/if_inet6"); !strings.HasPrefix(string(known), ipv6Loopback) && !strings.Contains(string(known), "\n"+ipv6Loopback) {
		t.Skip("this machine has no IPv6 loopback")
	}
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
		"no certificate in PEM":    change(func(t *Target) { t.Roots = "none" }),
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
