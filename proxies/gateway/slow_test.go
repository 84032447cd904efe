package gateway

import (
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSlowClients(t *testing.T) { slowClients(t, 60, time.Second, 100) }

// slowClients lets n clients drip a head byte by byte until the gateway has had enough of them, while another client is served.
func slowClients(t *testing.T, n int, headerTimeout time.Duration, others int) {
	g := start(t, upstreams(bareOrigin(t))+everything+"clients: {header_timeout: "+headerTimeout.String()+"}\n")
	g.get("/warm")
	before := memory()
	stop := make(chan struct{})
	var dripping sync.WaitGroup
	var refused atomic.Int64
	for range n {
		c, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
		require.NoError(t, err)
		dripping.Go(func() {
			defer c.Close()
			if strings.HasPrefix(drip(c, stop), "HTTP/1.1 408 ") {
				refused.Add(1)
			}
		})
	}
	held := memory()
	for range others {
		require.Equal(t, 200, g.get("/").StatusCode, "served while %d clients drip", n)
	}
	perClient := (held - before) / int64(n)
	t.Logf("%d slow clients: %d bytes each, both ends of the connection and the client's goroutine included", n, perClient)
	require.Less(t, perClient, int64(48<<10))
	dripping.Wait()
	close(stop)
	require.EqualValues(t, n, refused.Load(), "every slow client was told 408")
	g.shows("gateway_downstream_connections ")
	require.Eventually(t, func() bool {
		_, text := g.admin("GET", "/metrics")
		return strings.Contains(text, "\ngateway_downstream_connections 1\n") || strings.Contains(text, "\ngateway_downstream_connections 0\n")
	}, 10*time.Second, 10*time.Millisecond, "nothing is left of them")
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

var slowHead = "GET / HTTP/1.1\r\nHost: gw.test\r\nX-Slow: " + strings.Repeat("z", 1<<16)

// drip sends an endless head, a byte at a time, and returns what came back.
func drip(c net.Conn, stop chan struct{}) string {
	answer := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(c)
		answer <- string(b)
	}()
	for i := range len(slowHead) {
		select {
		case a := <-answer:
			return a
		case <-stop:
			return ""
		case <-time.After(20 * time.Millisecond):
		}
		if _, err := io.WriteString(c, slowHead[i:i+1]); err != nil {
			return <-answer
		}
	}
	return <-answer
}

// memory is what the process holds, in bytes, once garbage is gone.
func memory() int64 {
	runtime.GC()
	runtime.GC() // what the first put into pools' victims
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// A timeout of 0 is none.
func TestTimeoutsCanBeOff(t *testing.T) {
	g := start(t, upstreams(origin(t, "a"))+"routes: [{name: all, backends: [{upstream: u0}], timeout: 0s, stream_idle: 0s}]\n"+
		"clients: {header_timeout: 0s, body_idle: 0s, keep_alive: 0s}\n")
	c := g.dial()
	for _, part := range []string{"", "POST / HT", "TP/1.1\r\nHost: gw.test\r\nContent-Length: 5\r\n\r\nhe", "llo", plainRequest} {
		time.Sleep(120 * time.Millisecond) // two sweeps over the deadlines
		c.send(part)
	}
	require.Contains(t, c.gets(200), `"body":"hello"`)
	c.gets(200)
}
