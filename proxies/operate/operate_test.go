package operate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/config/strict"
	"crossroads/proxies/config/units"
)

func TestAdminPages(t *testing.T) {
	var notReady, refused error
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "metrics") })
	a, err := NewAdmin("127.0.0.1:0", metrics, func() error { return notReady })
	require.NoError(t, err)
	a.Page("/config", func() any { return map[string]int{"version": 1} })
	a.Action("/reload", func() error { return refused })
	served := make(chan error, 1)
	go func() { served <- a.Serve() }()

	ask := func(method, path string) (int, string) {
		req, err := http.NewRequest(method, "http://"+a.Address()+path, nil)
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(body)
	}
	for _, c := range []struct {
		method, path string
		code         int
		body         string
	}{
		{"GET", "/healthz", 200, "ok\n"}, {"GET", "/readyz", 200, "ready\n"}, {"GET", "/metrics", 200, "metrics"},
		{"GET", "/config", 200, "{\n  \"version\": 1\n}\n"}, {"POST", "/reload", 200, "done\n"},
		{"GET", "/reload", 405, "Method Not Allowed\n"}, {"POST", "/config", 405, "Method Not Allowed\n"},
		{"GET", "/nowhere", 404, "404 page not found\n"},
	} {
		code, body := ask(c.method, c.path)
		require.Equal(t, c.code, code, c.path)
		require.Equal(t, c.body, body)
	}
	notReady, refused = errors.New("waiting for an SVID"), errors.New("line 3")
	code, body := ask("GET", "/readyz")
	require.Equal(t, 503, code)
	require.Equal(t, "waiting for an SVID\n", body)
	code, body = ask("POST", "/reload")
	require.Equal(t, 422, code)
	require.Equal(t, "line 3\n", body)

	a.Close()
	require.NoError(t, <-served)
	_, err = NewAdmin("127.0.0.1:99999", metrics, nil)
	require.ErrorContains(t, err, "admin listener")
}

// recorder is a server that notes when it was told to stop.
type recorder struct {
	name  string
	takes time.Duration
	notes *notes
}

type notes struct {
	mu    sync.Mutex
	since time.Time
	said  []string
}

func (n *notes) note(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.said = append(n.said, fmt.Sprintf("%s %s", time.Since(n.since), fmt.Sprintf(format, args...)))
}

func (r recorder) Shutdown(ctx context.Context) error {
	r.notes.note("%s stops", r.name)
	select {
	case <-time.After(r.takes):
		return nil
	case <-ctx.Done():
		r.notes.note("%s is cut", r.name)
		return ctx.Err()
	}
}

func seconds(n int) units.Duration { return units.Duration(time.Duration(n) * time.Second) }

func TestDrainInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &notes{since: time.Now()}
		var l Life
		require.NoError(t, l.Ready())
		done := make(chan error)
		go func() {
			done <- l.Drain(t.Context(), config.Drain{Delay: seconds(2), Grace: seconds(10)},
				[]Server{recorder{"in", 3 * time.Second, n}, recorder{"ingress", time.Second, n}}, []Server{recorder{"out", 0, n}})
		}()
		synctest.Wait()
		require.ErrorIs(t, l.Ready(), ErrStopping, "not ready at once")
		require.NoError(t, <-done)
		require.ElementsMatch(t, []string{"2s in stops", "2s ingress stops", "5s out stops"}, n.said)
	})
}

func TestDrainCutsAfterTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &notes{since: time.Now()}
		var l Life
		err := l.Drain(t.Context(), config.Drain{Grace: seconds(4)}, []Server{recorder{"in", time.Hour, n}}, []Server{recorder{"out", time.Hour, n}})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, []string{"0s in stops", "4s in is cut", "4s out stops", "4s out is cut"}, n.said)
	})
}

func TestDrainIsForced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &notes{since: time.Now()}
		force, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		var l Life
		require.Error(t, l.Drain(force, config.Drain{Delay: seconds(60), Grace: seconds(60)}, []Server{recorder{"in", time.Hour, n}}))
		require.Equal(t, "1s in stops", n.said[0])
	})
}

func TestServeAnswersSignals(t *testing.T) {
	self, err := os.FindProcess(os.Getpid())
	require.NoError(t, err)
	reloads := make(chan struct{}, 1)
	err = Serve(t.Context(), func(ctx, force context.Context) error {
		require.NoError(t, self.Signal(syscall.SIGHUP))
		<-reloads
		require.NoError(t, ctx.Err())
		require.NoError(t, self.Signal(syscall.SIGTERM))
		<-ctx.Done()
		require.NoError(t, force.Err(), "the first signal drains")
		require.NoError(t, self.Signal(syscall.SIGINT))
		<-force.Done()
		return errors.New("cut")
	}, func() { reloads <- struct{}{} })
	require.EqualError(t, err, "cut")
}

func TestExit(t *testing.T) {
	plain := errors.New("it broke")
	for name, c := range map[string]struct {
		err  error
		code int
		says string
	}{
		"nothing": {nil, 0, ""},
		"plain":   {plain, 1, "error: it broke\n"},
		"hinted":  {fmt.Errorf("start: %w", Hint(plain, "try %s", "again")), 1, "error: start: it broke\nhint: try again\n"},
		"usage":   {Usage(plain), 2, "error: it broke\nhint: `p --help` shows what there is\n"},
		"misuse":  {Misuse(errors.New("unknown command \"x\"")), 2, "error: unknown command \"x\"\nhint: `p --help` shows what there is\n"},
		"other":   {Misuse(plain), 1, "error: it broke\n"},
		"faults": {strict.Faults{{File: "f", Line: 1, Column: 2, Message: "wrong"}}, 2,
			"error: f:1:2: wrong\nhint: mend the file and check it with `p validate --config FILE`\n"},
	} {
		var b bytes.Buffer
		require.Equal(t, c.code, Exit(&b, "p", c.err), name)
		require.Equal(t, c.says, b.String(), name)
	}
	require.NoError(t, Hint(nil, "x"))
	require.NoError(t, Usage(nil))
}
