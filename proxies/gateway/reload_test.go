package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
)

func TestBadReloadKeepsWhatIsInForce(t *testing.T) {
	text := "version: 1\nroutes: []\n"
	g := start(t, upstreams(origin(t, "a"))+everything, func(o *Options) {
		o.Load = func() (*config.Gateway, error) { return config.ParseGateway("gateway.yaml", []byte(text)) }
	})
	code, body := g.admin("POST", "/reload")
	require.Equal(t, 422, code)
	require.Contains(t, body, "gateway.yaml:")
	require.Equal(t, 200, g.get("/").StatusCode)
	text = strings.Replace(head, "admin: {address: \"127.0.0.1:0\"}", "admin: {address: \"127.0.0.1:1\"}", 1) + upstreams("127.0.0.1:9") + everything
	code, body = g.admin("POST", "/reload")
	require.Equal(t, 422, code)
	require.Contains(t, body, "`admin` changed")
	require.Equal(t, 200, g.get("/").StatusCode)
	g.shows(`gateway_config_reloads_total{result="refused"} 2`)
}

func TestReloadForgivesNoDebt(t *testing.T) {
	text := upstreams(origin(t, "a")) + everything + "stages:\n  rate_limit: {policies: [{name: p, rate: 0.001, burst: 1}]}\n"
	g := start(t, text)
	require.Equal(t, 200, g.get("/").StatusCode)
	require.NoError(t, g.Reload(parse(t, text)))
	require.Equal(t, 429, g.get("/").StatusCode)
}

// A drain lets the request in flight end, tells kept connections to close, and refuses new ones only after the delay.
func TestDrainFailsNoRequest(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(entered)
			<-leave
		}
		fmt.Fprint(w, "done")
	}))
	t.Cleanup(s.Close)
	g := start(t, upstreams(s.Listener.Addr().String())+everything+"drain: {delay: 200ms, grace: 20s}\n")
	slow := make(chan answer, 1)
	go func() { slow <- g.get("/slow") }()
	<-entered
	idle, err := net.Dial("tcp", g.Addresses()[0].String())
	require.NoError(t, err)
	defer idle.Close()
	g.stop()
	require.Eventually(t, func() bool { code, _ := g.admin("GET", "/readyz"); return code == 503 }, 5*time.Second, time.Millisecond)
	require.Equal(t, 200, g.get("/", "Connection: close").StatusCode, "still serving during the delay")
	_, err = bufio.NewReader(idle).ReadByte()
	require.ErrorIs(t, err, io.EOF, "an idle connection is closed")
	close(leave)
	a := <-slow
	require.Equal(t, 200, a.StatusCode)
	require.Equal(t, "done", a.body)
	require.True(t, a.Close, "Connection: close")
	err = <-g.ended
	g.ended = nil
	require.NoError(t, err)
	_, err = net.Dial("tcp", g.Addresses()[0].String())
	require.Error(t, err)
}

func TestDrainCutsWhatOutlivesTheGrace(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-leave
	}))
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(leave) })
	g := start(t, upstreams(s.Listener.Addr().String())+everything+"drain: {grace: 50ms}\n")
	failed := make(chan error, 1)
	go func() {
		_, err := http.Get(g.url)
		failed <- err
	}()
	<-entered
	require.ErrorContains(t, g.drained(), "requests were cut")
	require.Error(t, <-failed)
}

func TestNewGivesBackWhatItOpened(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := free.Addr().String()
	free.Close()
	c := parse(t, upstreams("127.0.0.1:9")+everything)
	c.Listen = []config.Listener{{Address: address}, {Address: taken.Addr().String()}}
	_, err = New(context.Background(), c, Options{Log: slog.New(slog.DiscardHandler)})
	require.ErrorContains(t, err, "listen on")
	again, err := net.Listen("tcp", address)
	require.NoError(t, err, "the first listener was closed")
	again.Close()
}
