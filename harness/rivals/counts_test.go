package rivals_test

import (
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/harness/deploy"
)

// pages are where each rival shows what it counts, and which of it are requests to the entry: the first group of each match, added up.
var pages = map[string]struct{ path, requests string }{
	"nginx":   {"/metrics", `(?m)^ \d+ \d+ (\d+) $`}, // accepts, handled, requests: of all its servers
	"haproxy": {"/metrics", `(?m)^haproxy_frontend_http_requests_total\{proxy="gateway"\} (\d+)`},
	"envoy":   {"/stats/prometheus", `(?m)^envoy_http_downstream_rq_total\{envoy_http_conn_manager_prefix="gateway"\} (\d+)`},
	"traefik": {"/metrics", `(?m)^traefik_entrypoint_requests_total\{.*entrypoint="gateway".*\} (\d+)`},
	"caddy":   {"/metrics", `(?m)^caddy_http_requests_total\{handler="headers",server="gateway"\} (\d+)`},
}

// counts holds a rival to counting requests where its admin address shows it, as the reference proxies do.
func counts(t *testing.T, rival string, running deploy.Deployment) {
	t.Helper()
	gateway := running.Processes()[slices.IndexFunc(running.Processes(), func(p deploy.Process) bool { return p.Kind == deploy.KindGateway })]
	before := counted(t, rival, gateway.Admin)
	const more = 5
	for range more {
		answers(t, running.Entries()[0].URL)
	}
	asked := 0
	soon(t, "requests are counted", func() bool { // some count once they have answered
		grown := counted(t, rival, gateway.Admin) - before
		if asked++; rival == "nginx" {
			grown -= asked // the page is a request too
		}
		require.LessOrEqual(t, grown, more)
		return grown == more
	})
}

func counted(t *testing.T, rival, admin string) int {
	t.Helper()
	page := pages[rival]
	response, err := http.Get(admin + page.path)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	found := regexp.MustCompile(page.requests).FindAllSubmatch(text, -1)
	require.NotEmpty(t, found, "no count of requests on the page %s: %s", page.path, text)
	sum := 0
	for _, match := range found {
		n, err := strconv.Atoi(string(match[1]))
		require.NoError(t, err)
		sum += n
	}
	return sum
}
