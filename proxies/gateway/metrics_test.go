package gateway

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every metric that is promised is there, with its labels, once what it counts has happened; and no client makes more series.
func TestMetricsThatArePromised(t *testing.T) {
	sick := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }))
	t.Cleanup(sick.Close)
	g := start(t, "upstreams:\n  well: {endpoints: [{address: "+origin(t, "a")+"}], breaker: {open: 1s}}\n"+
		"  sick: {endpoints: [{address: "+sick.Listener.Addr().String()+"}], retry_budget: {share: 0%, per_second: 0.1}}\n"+
		`routes:
  - {name: rest, backends: [{upstream: well}]}
  - {name: sick, match: [{path: {prefix: /sick}}], backends: [{upstream: sick}], retry: {attempts: 2, codes: [503], backoff: 1ms, max_backoff: 1ms}}
  - {name: page, match: [{path: {exact: /page}}], compose: {parts: {a: {upstream: well, path: /a}}}}
stages:
  key_auth: {optional: true, keys: [{consumer: demo, sha256: `+sha("demo")+`}]}
  rate_limit: {policies: [{name: p, rate: 1M, burst: 1M}]}
ledger: {sample: 100%}
`)
	for _, path := range []string{"/", "/sick", "/sick", "/sick", "/page"} {
		g.get(path, "X-Api-Key: demo")
	}
	g.dial().send("nonsense\r\n\r\n").gets(400)
	require.NoError(t, g.Reload(g.current.Load().config))
	for _, series := range []string{
		`http_requests_total{code="200",method="GET",route="rest"}`, `http_request_duration_seconds_count{route="rest"}`, `overhead_seconds_count{route="rest"}`,
		`stage_duration_seconds_bucket{stage="key_auth",le="5e-06"}`, `upstream_attempts_total{result="answered",upstream="well"}`,
		`upstream_connect_seconds_count{upstream="well"}`, `endpoint_healthy{endpoint="`, `retries_total{upstream="sick"} 1`,
		`retry_budget_exhausted_total{upstream="sick"} 2`, `breaker_state{endpoint="`, `rate_limit_decisions_total{decision="allowed",policy="p"}`,
		`auth_decisions_total{outcome="accepted",scheme="key"}`, `rejected_requests_total{reason="bad_request"} 1`,
		`aggregation_parts_total{part="a",result="ok",route="page"} 1`, `config_reloads_total{result="accepted"} 1`, `build_info{`, `stages_info{hash="`,
		`top_consumer_requests{consumer="demo"}`, `rate_limit_evictions_total 0`,
	} {
		g.shows("\ngateway_" + series)
	}
	count := func() int {
		_, text := g.admin("GET", "/metrics")
		return len(regexp.MustCompile(`(?m)^gateway_`).FindAllString(text, -1))
	}
	g.do("FROB0", "/", nil)
	g.shows(`method="other"`)
	before := count()
	for i := range 200 {
		g.do(fmt.Sprintf("FROB%d", i), fmt.Sprintf("/%d?x=%d", i, i), strings.NewReader("b"), fmt.Sprintf("Host: h%d.example", i),
			fmt.Sprintf("X-Forwarded-For: 10.0.0.%d", i), fmt.Sprintf("X-Request-Id: %d", i), fmt.Sprintf("X-Api-Key: wrong%d", i))
	}
	g.shows(`gateway_auth_decisions_total{outcome="unknown",scheme="key"} 200`)
	require.Less(t, count()-before, 5, "two hundred of everything are a few series")
}
