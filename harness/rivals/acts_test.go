package rivals_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/harness/deploy/process"
)

const treatment = `
version: 1
name: treatment
application: {entry: app, services: {app: {}}}
topologies:
  terms: {gateway: {use: RIVAL, upstream: {UPSTREAM}}}
load: {rates: [1], requests: [{path: /}]}
`

// TestTermsAct puts a rival before endpoints of which one says that it is ill, and one fails: what parity cannot do, which breaks nothing.
func TestTermsAct(t *testing.T) {
	t.Run("haproxy", func(t *testing.T) {
		t.Parallel()
		ill, well := played(t, http.StatusServiceUnavailable, http.StatusOK), played(t, http.StatusOK, http.StatusOK)
		url, _ := before(t, "haproxy", ill, well)
		isSpared(t, url, ill)
	})
	t.Run("envoy", func(t *testing.T) {
		t.Parallel()
		ill, fails := played(t, http.StatusServiceUnavailable, http.StatusOK), played(t, http.StatusOK, http.StatusServiceUnavailable)
		// Three that are well, since Envoy asks the ill ones too where fewer than half are left.
		url, admin := before(t, "envoy", ill, fails, played(t, http.StatusOK, http.StatusOK), played(t, http.StatusOK, http.StatusOK), played(t, http.StatusOK, http.StatusOK))
		isSpared(t, url, ill)
		soon(t, "an endpoint is ejected after 7 failures", func() bool {
			answers(t, url)
			return count(t, admin, "cluster.entry.outlier_detection.ejections_enforced_consecutive_5xx") > 0
		})
		require.GreaterOrEqual(t, fails.asked.Load(), int64(7))
		require.GreaterOrEqual(t, count(t, admin, "cluster.entry.upstream_rq_retry_success"), 7, "what it failed was answered by another")
	})
}

// endpoint is one of the entry service, played by the test.
type endpoint struct {
	*httptest.Server
	asked atomic.Int64 // checks apart
}

func played(t *testing.T, health, status int) *endpoint {
	e := &endpoint{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			w.WriteHeader(health)
			return
		}
		e.asked.Add(1)
		w.WriteHeader(status)
	}))
	t.Cleanup(e.Close)
	return e
}

// before deploys the rival, with all that it does about its endpoints, in front of these instead of the application.
func before(t *testing.T, rival string, endpoints ...*endpoint) (url, admin string) {
	found := find(t, rival)
	d := deployerOf(t, map[string]process.RivalRenderer{rival: mistaken{found, func(s *process.RivalSpec) {
		admin, s.Upstream = s.Admin, nil
		for _, e := range endpoints {
			s.Upstream = append(s.Upstream, e.Listener.Addr().String())
		}
	}}}, t.TempDir())
	arm, _ := parse(t, strings.NewReplacer("RIVAL", rival, "UPSTREAM", terms[rival]).Replace(treatment)).Arm("terms")
	running, err := d.Deploy(t.Context(), arm)
	require.NoError(t, err, notReady(err))
	t.Cleanup(func() { require.NoError(t, running.Close(context.WithoutCancel(t.Context()))) })
	return running.Entries()[0].URL, admin
}

// isSpared waits until so many requests in a row pass an endpoint by that chance is no explanation.
func isSpared(t *testing.T, url string, ill *endpoint) {
	t.Helper()
	soon(t, "no request goes to the endpoint that is ill", func() bool {
		until := ill.asked.Load()
		for range 80 {
			answers(t, url)
		}
		return ill.asked.Load() == until
	})
}

func answers(t *testing.T, url string) {
	t.Helper()
	response, err := http.Get(url)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
}

func soon(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		require.True(t, time.Now().Before(deadline), what)
	}
}

// count reads one of Envoy's counters.
func count(t *testing.T, admin, name string) int {
	t.Helper()
	response, err := http.Get("http://" + admin + "/stats")
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	found := regexp.MustCompile(fmt.Sprintf(`(?m)^%s: (\d+)$`, regexp.QuoteMeta(name))).FindSubmatch(text)
	require.NotNil(t, found, "%s is not counted", name)
	n, err := strconv.Atoi(string(found[1]))
	require.NoError(t, err)
	return n
}
