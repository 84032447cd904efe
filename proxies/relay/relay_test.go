package relay

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
)

// start runs a relay of one place to the given addresses until the test ends.
func start(t *testing.T, address string, to ...string) *Relay {
	t.Helper()
	r, err := New(&config.Relay{Admin: config.Admin{Address: "127.0.0.1:0"}, Listen: []config.RelayPlace{{Name: "http", Address: address, To: to}}})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx, ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
	return r
}

// echo answers with the request's bytes as they arrived, head first, and counts its connections.
func echo(t *testing.T) (address string) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		fmt.Fprintf(w, "%s %s %v\n", r.Method, r.RequestURI, r.Header)
		w.Write(body)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// TestBusyWithEveryMessage: a busy relay takes its time with the request and with the answer, and with nothing else.
func TestBusyWithEveryMessage(t *testing.T) {
	p := &place{pools: make([]pool, 1), busy: 15 * time.Millisecond}
	p.To = []string{echo(t)}
	near, far := net.Pipe()
	defer far.Close()
	go func() { _, _ = io.WriteString(far, "GET / HTTP/1.1\r\nHost: a\r\n\r\n") }()
	go func() { _, _ = io.Copy(io.Discard, far) }()
	since := time.Now()
	require.NoError(t, p.exchange(&side{Conn: near}))
	require.GreaterOrEqual(t, time.Since(since), 30*time.Millisecond)
}

func TestBytesPassAsTheyCame(t *testing.T) {
	to := echo(t)
	r := start(t, "127.0.0.1:0", to)
	ask := func(address, body string) string {
		q, err := http.NewRequest("POST", "http://"+address+"/a?b", strings.NewReader(body))
		require.NoError(t, err)
		q.Header.Set("X-Odd", "thing")
		got, err := http.DefaultClient.Do(q)
		require.NoError(t, err)
		defer got.Body.Close()
		text, err := io.ReadAll(got.Body)
		require.NoError(t, err)
		return string(text)
	}
	for _, size := range []int{0, 1, bufferSize, 300 << 10} {
		body := string(bytes.Repeat([]byte{'x'}, size))
		require.Equal(t, ask(to, body), ask(r.Address("http"), body))
	}
	require.EqualValues(t, 4, r.Counts()[0].Carried)
	require.EqualValues(t, 1, r.Counts()[0].Accepted, "one connection of the client's pool")
}

func TestConnectionsAreKeptOnBothSides(t *testing.T) {
	var mu sync.Mutex
	opened := 0
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		if state == http.StateNew {
			opened++
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	socket := filepath.Join(t.TempDir(), "relay.sock")
	first := start(t, "unix:"+socket, s.Listener.Addr().String())
	r := start(t, "127.0.0.1:0", "unix:"+socket)
	c, err := net.Dial("tcp", r.Address("http"))
	require.NoError(t, err)
	defer c.Close()
	in := bufio.NewReader(c)
	for range 5 {
		_, err := fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		require.NoError(t, err)
		got, err := http.ReadResponse(in, nil)
		require.NoError(t, err)
		text, err := io.ReadAll(got.Body)
		require.NoError(t, err)
		require.Equal(t, "ok", string(text))
	}
	require.EqualValues(t, 5, first.Counts()[0].Carried)
	require.EqualValues(t, 1, first.Counts()[0].Accepted)
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, 1, opened)
}

func TestWhatFailsEndsTheConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	r := start(t, "127.0.0.1:0", l.Addr().String()) // nobody there
	_, err = http.Get("http://" + r.Address("http"))
	require.Error(t, err)
	require.Zero(t, r.Counts()[0].Carried)
}
