package gateway

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/conformance"
)

// heard is what a reader says of what reached it: a request, or bytes that are none.
type heard struct {
	Address string
	Method  string
	Target  string
	Length  int64
	Broken  string
	Cut     bool // the gateway gave the request up before it was whole
}

// readers are origins whose parsers are not ours. Each says where it listens first.
var readers = map[string]func(t *testing.T) <-chan heard{
	"net/http": goReader,
	"node": func(t *testing.T) <-chan heard {
		return scriptReader(t, program(t, "node", "nodejs"), "testdata/origin.js")
	},
	"h11": func(t *testing.T) <-chan heard { return scriptReader(t, pythonWith(t, "h11"), "testdata/origin.py") },
}

// TestOtherReaders sends every case of the corpus through gateways to other HTTP implementations: none of them finds bytes that are no
// request, more requests than the client's framing made, or a path that the rule closes.
func TestOtherReaders(t *testing.T) {
	cases, err := conformance.Requests()
	require.NoError(t, err)
	for name, reader := range readers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines := reader(t)
			g := start(t, upstreams((<-lines).Address)+everything+"clients: {header_timeout: 300ms, body_idle: 300ms, max_body: 1MiB}\n"+
				"stages:\n  authorization: {rules: [{name: closed, action: deny, paths: [{prefix: /admin}, {prefix: /smuggled}]}, {name: open}]}\n")
			address := strings.TrimPrefix(g.url, "http://")
			total := 0
			for i, c := range cases {
				c.HalfClose = true // the gateway waits for nothing more
				v := conformance.Send(address, c, time.Minute, 0)
				for _, h := range until(t, lines, g, fmt.Sprintf("/clean-%d", i)) {
					require.Empty(t, h.Broken, "%s: %q", c.ID, c.Raw)
					if !h.Cut {
						v.Seen = append(v.Seen, conformance.Forwarded{Head: h.Method + " " + h.Target + " HTTP/1.1\r\n\r\n"})
						require.False(t, conformance.Forbidden(v.Seen[len(v.Seen)-1].Path()), "%s: %q became %v", c.ID, c.Raw, h)
					}
				}
				require.LessOrEqual(t, len(v.Seen), c.MaxBackend, "%s: %q became %v", c.ID, c.Raw, v.Seen)
				total += len(v.Seen)
			}
			require.Greater(t, total, 150, "cases that are accepted were read")
		})
	}
}

// until sends a request of its own, and returns what the reader said of those before it.
func until(t *testing.T, lines <-chan heard, g *running, target string) (before []heard) {
	t.Helper()
	require.Equal(t, 200, g.get(target, "Connection: close").StatusCode)
	for {
		select {
		case h := <-lines:
			if h.Target == target {
				return before
			}
			before = append(before, h)
		case <-time.After(time.Minute):
			t.Fatal("the reader does not say what it read")
		}
	}
}

// scriptReader runs an origin and reads its lines.
func scriptReader(t *testing.T, interpreter, script string) <-chan heard {
	c := exec.CommandContext(t.Context(), interpreter, script)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	lines := make(chan heard, 64)
	go func() {
		defer close(lines)
		for d := json.NewDecoder(out); ; {
			var h heard
			if d.Decode(&h) != nil {
				_ = c.Wait()
				return
			}
			lines <- h
		}
	}()
	return lines
}

// pythonWith finds a Python that has a package.
func pythonWith(t *testing.T, name string) string {
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(python, "-c", "import "+name).Run() == nil {
			return python
		}
	}
	if os.Getenv("CI") == "" {
		t.Skipf("Python's %s is not installed", name)
	}
	t.Fatalf("Python's %s is not installed", name)
	return ""
}

// goReader reads with net/http.
func goReader(t *testing.T) <-chan heard {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	lines := make(chan heard, 64)
	lines <- heard{Address: l.Addr().String()}
	var mu sync.Mutex // a line is said before the next request is answered
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for in := bufio.NewReader(c); ; {
					r, err := http.ReadRequest(in)
					var n int64
					if err == nil {
						n, err = io.Copy(io.Discard, r.Body)
					}
					h := heard{}
					switch {
					case err == io.EOF:
						return
					case err == io.ErrUnexpectedEOF || isNetwork(err):
						h.Cut = true
					case err != nil:
						h.Broken = err.Error()
					default:
						h = heard{Method: r.Method, Target: r.RequestURI, Length: n}
					}
					mu.Lock()
					lines <- h
					mu.Unlock()
					if err != nil {
						return
					}
					body := "ok"
					if r.Method == "HEAD" {
						body = ""
					}
					if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"+body); err != nil {
						return
					}
				}
			}()
		}
	}()
	return lines
}

func isNetwork(err error) bool {
	_, ok := err.(net.Error)
	return ok
}
