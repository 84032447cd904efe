package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/websocket"
)

// program finds a client that is not ours. The project's check installs them all; elsewhere a machine may lack one.
func program(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "" {
		t.Skipf("%s is not installed", names[0])
	}
	t.Fatalf("%s is not installed", names[0])
	return ""
}

// runs a client to its end and returns what it printed.
func runs(t *testing.T, path string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	require.NoError(t, err, "%s %.200s\n%s", filepath.Base(path), args, out)
	return string(out)
}

// site is an origin with everything that real clients ask for.
type site struct {
	*httptest.Server
	next   chan struct{} // lets the second event go
	report chan string   // what the page in the browser saw
}

func newSite(t *testing.T) *site {
	s := &site{next: make(chan struct{}, 8), report: make(chan string, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("/digest", func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		n, err := io.Copy(h, r.Body)
		if err != nil {
			return
		}
		fmt.Fprintf(w, "%s %d %x %d", r.Method, n, h.Sum(nil), r.ContentLength)
	})
	mux.HandleFunc("/chunked", func(w http.ResponseWriter, _ *http.Request) {
		for range 5 {
			fmt.Fprint(w, strings.Repeat("y", 10_000))
			w.(http.Flusher).Flush()
		}
	})
	mux.HandleFunc("/gone", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/events", s.events)
	mux.Handle("/echo", websocket.Server{Handler: echo})
	mux.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, page)
	})
	mux.HandleFunc("/next", func(http.ResponseWriter, *http.Request) { s.next <- struct{}{} })
	mux.HandleFunc("/report", func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		select {
		case s.report <- string(body):
		default:
		}
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(func() { close(s.next); s.Server.CloseClientConnections(); s.Server.Close() })
	return s
}

func echo(c *websocket.Conn) {
	for {
		var message string
		if websocket.Message.Receive(c, &message) != nil || websocket.Message.Send(c, message) != nil {
			return
		}
	}
}

// events sends one event, and the second only once its receiver said that it has the first: an event that waits in a buffer for
// the next one would wait for ever.
func (s *site) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for i := range 3 {
		fmt.Fprintf(w, "data: event %d\n\n", i)
		w.(http.Flusher).Flush()
		select {
		case <-s.next:
		case <-r.Context().Done():
			return
		}
	}
}

// page talks WebSocket and server-sent events with where it came from, and reports what it saw.
const page = `<!doctype html><title>clients</title><script>
const saw = [];
const tell = () => fetch("/report", {method: "POST", body: saw.join("; ")});
const ws = new WebSocket("ws://" + location.host + "/echo");
ws.onopen = () => { ws.send("hello"); ws.send("x".repeat(100000)); };
ws.onerror = () => { saw.push("websocket failed"); tell(); };
let echoes = 0;
ws.onmessage = m => { saw.push("echo " + m.data.length); if (++echoes == 2) { ws.close(1000); listen(); } };
function listen() {
  const es = new EventSource("/events");
  let events = 0;
  es.onmessage = m => {
    saw.push(m.data);
    if (++events == 3) { es.close(); tell(); } else { fetch("/next", {method: "POST"}); }
  };
  es.onerror = () => { saw.push("events failed"); es.close(); tell(); };
}
</script>`

func serves(t *testing.T, more string) (*site, *running) {
	t.Helper()
	s := newSite(t)
	return s, start(t, upstreams(s.Listener.Addr().String())+everything+more)
}

func digest(method string, body []byte, length int) string {
	sum := sha256.Sum256(body)
	return fmt.Sprintf("%s %d %s %d", method, len(body), hex.EncodeToString(sum[:]), length)
}

func TestCurl(t *testing.T) {
	curl := program(t, "curl")
	_, g := serves(t, "")
	file := filepath.Join(t.TempDir(), "body")
	body := []byte(strings.Repeat("0123456789", 50_000))
	require.NoError(t, os.WriteFile(file, body, 0o600))
	require.Equal(t, digest("GET", nil, 0), runs(t, curl, "-sS", "--fail", g.url+"/digest"))
	require.Equal(t, digest("PUT", body, len(body)), runs(t, curl, "-sS", "--fail", "-T", file, g.url+"/digest"))
	require.Equal(t, digest("POST", body, -1),
		runs(t, curl, "-sS", "--fail", "-H", "Transfer-Encoding: chunked", "-H", "Expect: 100-continue", "--data-binary", "@"+file, g.url+"/digest"))
	require.Len(t, runs(t, curl, "-sS", "--fail", g.url+"/chunked"), 50_000)
	require.Len(t, runs(t, curl, "-sS", "--fail", "--http1.0", g.url+"/chunked"), 50_000, "until the connection ends")
	require.Contains(t, runs(t, curl, "-sS", "--fail", "-I", g.url+"/page"), "200 OK")
	out := runs(t, curl, "-sS", "-o", os.DevNull, "-o", os.DevNull, "-w", "%{http_code} %{num_connects}\n", g.url+"/gone", g.url+"/gone")
	require.Equal(t, "204 1\n204 0\n", out, "the second request takes the same connection")
}

const pythonClient = `
import http.client, sys
host, port = sys.argv[1].split(":")
c = http.client.HTTPConnection(host, int(port), timeout=60)
def ask(method, path, body=None, **kw):
    c.request(method, path, body, **kw)
    r = c.getresponse()
    print(r.status, r.read().decode()[:200])
ask("GET", "/digest"); first = c.sock
ask("POST", "/digest", b"a" * 100000)
ask("POST", "/digest", iter([b"b" * 1000, b"c" * 70000]), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
ask("DELETE", "/gone")
ask("HEAD", "/page")
c.request("GET", "/chunked"); r = c.getresponse(); print(r.status, len(r.read()))
ask("GET", "/digest")
print("one connection", c.sock is first)
`

func TestPythonHTTPClient(t *testing.T) {
	python := program(t, "python3")
	_, g := serves(t, "")
	chunked := append([]byte(strings.Repeat("b", 1000)), strings.Repeat("c", 70_000)...)
	require.Equal(t, strings.Join([]string{
		"200 " + digest("GET", nil, 0), "200 " + digest("POST", []byte(strings.Repeat("a", 100_000)), 100_000),
		"200 " + digest("POST", chunked, -1), "204 ", "200 ", "200 50000", "200 " + digest("GET", nil, 0), "one connection True", "",
	}, "\n"), runs(t, python, "-c", pythonClient, strings.TrimPrefix(g.url, "http://")))
}

const nodeClient = `
const http = require("http");
const base = process.argv[1];
const agent = new http.Agent({keepAlive: true, maxSockets: 1});
const ask = (method, path, chunks = []) => new Promise((done, fail) => {
  const q = http.request(base + path, {method, agent}, r => {
    let n = ""; r.setEncoding("utf8"); r.on("data", d => n += d); r.on("end", () => done([r.statusCode, n, q.reusedSocket])); r.on("error", fail);
  });
  q.on("error", fail); chunks.forEach(c => q.write(c)); q.end();
});
(async () => {
  console.log(...await ask("GET", "/digest"));
  console.log(...await ask("POST", "/digest", ["a".repeat(100), "b".repeat(80000)]));
  const [status, text, reused] = await ask("GET", "/chunked"); console.log(status, text.length, reused);
  const all = await Promise.all([..."abcdefgh"].map(c => fetch(base + "/digest", {method: "POST", body: c}).then(r => r.text())));
  console.log(all.every(x => x.startsWith("POST 1 ")));
  const r = await fetch(base + "/events"); const reader = r.body.getReader(); const d = new TextDecoder(); let seen = "";
  for (let i = 0; i < 3; i++) {
    while (!seen.includes("event " + i)) seen += d.decode((await reader.read()).value);
    await fetch(base + "/next", {method: "POST"});
  }
  console.log("events one by one");
  process.exit(0);
})();
`

func TestNode(t *testing.T) {
	node := program(t, "node", "nodejs")
	_, g := serves(t, "")
	body := []byte(strings.Repeat("a", 100) + strings.Repeat("b", 80_000))
	require.Equal(t, strings.Join([]string{
		"200 " + digest("GET", nil, 0) + " false", "200 " + digest("POST", body, -1) + " true", "200 50000 true", "true", "events one by one", "",
	}, "\n"), runs(t, node, "-e", nodeClient, g.url))
}

func TestWrk(t *testing.T) {
	wrk := program(t, "wrk")
	_, g := serves(t, "")
	out := runs(t, wrk, "-t1", "-c16", "-d1s", g.url+"/gone")
	require.NotContains(t, out, "Socket errors")
	require.NotContains(t, out, "Non-2xx")
	found := regexp.MustCompile(`(\d+) requests in`).FindStringSubmatch(out)
	require.NotNil(t, found, out)
	n, err := strconv.Atoi(found[1])
	require.NoError(t, err)
	require.Positive(t, n)
}

// A real browser opens a page through the gateway, and the page a WebSocket and an event stream.
func TestBrowser(t *testing.T) {
	browser := program(t, "chromium", "chromium-browser", "google-chrome")
	s, g := serves(t, "")
	c := exec.Command(browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--user-data-dir="+t.TempDir(), "--remote-debugging-port=0", g.url+"/page")
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, c.Start())
	t.Cleanup(func() { // its children write to the profile until they are gone too
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		_ = c.Wait()
		require.Eventually(t, func() bool { return syscall.Kill(-c.Process.Pid, 0) == syscall.ESRCH }, 30*time.Second, 10*time.Millisecond)
	})
	select {
	case saw := <-s.report:
		require.Equal(t, "echo 5; echo 100000; event 0; event 1; event 2", saw)
	case <-time.After(90 * time.Second):
		t.Fatal("the page reported nothing")
	}
}

// WebSockets of Go: many messages both ways, ended by the idle limit and by a drain.
func TestWebSocket(t *testing.T) {
	s := newSite(t)
	g := start(t, upstreams(s.Listener.Addr().String())+
		"routes: [{name: all, backends: [{upstream: u0}], stream_idle: 300ms}]\ndrain: {grace: 100ms}\n")
	open := func() *websocket.Conn {
		c, err := websocket.Dial("ws"+strings.TrimPrefix(g.url, "http")+"/echo", "", g.url)
		require.NoError(t, err)
		require.NoError(t, c.SetDeadline(time.Now().Add(time.Minute)))
		return c
	}
	c := open()
	for i := range 200 {
		sent := strings.Repeat("m", 1+i*100)
		require.NoError(t, websocket.Message.Send(c, sent))
		var got string
		require.NoError(t, websocket.Message.Receive(c, &got))
		require.Equal(t, sent, got)
	}
	var rest string
	err := websocket.Message.Receive(c, &rest)
	require.Error(t, err, "silence ends it")
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the idle limit of the route, not the test's own")

	open()
	require.ErrorContains(t, g.drained(), "requests were cut", "a tunnel does not hold a drain up")
}
