package telemetry

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/exchange"
)

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, 200, w.Code)
	return w.Body.String()
}

func TestMetricsOfAProxy(t *testing.T) {
	m := NewMetrics("sidecar", "1.2")
	m.Rejected("bad_request")
	m.Connections(2)
	m.Connections(-1)
	m.Attempt("u", "answered")
	m.Attempt("u", "answered")
	m.Connect("u", 3*time.Millisecond)
	m.BreakerChange("u", "10.0.0.1:80", "open")
	m.Retried("u")
	m.RetryRefused("u")
	m.Refused("u", "pending")
	m.Checked("u", "passed")
	m.Reloaded(nil)
	m.Reloaded(errors.New("bad"))
	m.Stages("aa", "x,y")
	m.Stages("bb", "x")
	m.LogDropped()
	m.EndpointStates(func() []EndpointState {
		return []EndpointState{{Upstream: "u", Endpoint: "10.0.0.1:80", Breaker: "open", InFlight: 3, Idle: 4}}
	})
	m.Identity(func() SVID { return SVID{NotAfter: time.Now().Add(time.Hour), Rotations: 2, Failures: 1} })
	m.Config(func() ConfigState { return ConfigState{Version: 7, Published: time.Now(), Connected: true} })
	shown := scrape(t, m)
	for _, want := range []string{
		`sidecar_rejected_requests_total{reason="bad_request"} 1`, `sidecar_downstream_connections 1`,
		`sidecar_upstream_attempts_total{result="answered",upstream="u"} 2`, `sidecar_upstream_connect_seconds_count{upstream="u"} 1`,
		`sidecar_breaker_transitions_total{state="open",upstream="u"} 1`, `sidecar_breaker_state{endpoint="10.0.0.1:80",state="open",upstream="u"} 1`,
		`sidecar_endpoint_healthy{endpoint="10.0.0.1:80",upstream="u"} 0`, `sidecar_endpoint_in_flight{endpoint="10.0.0.1:80",upstream="u"} 3`,
		`sidecar_config_reloads_total{result="accepted"} 1`, `sidecar_config_reloads_total{result="refused"} 1`,
		`sidecar_stages_info{hash="bb",stages="x"} 1`, `sidecar_access_log_dropped_total 1`, `version="1.2"`,
		`sidecar_retries_total{upstream="u"} 1`, `sidecar_retry_budget_exhausted_total{upstream="u"} 1`,
		`sidecar_bulkhead_refused_total{limit="pending",upstream="u"} 1`, `sidecar_health_checks_total{result="passed",upstream="u"} 1`,
		`sidecar_svid_rotations_total 2`, `sidecar_config_version 7`, `sidecar_control_connected 1`,
	} {
		require.Contains(t, shown, want)
	}
	require.NotContains(t, shown, `hash="aa"`, "only the set in force")
}

func TestSeriesAreBounded(t *testing.T) {
	m := NewMetrics("gateway", "test")
	for i := range maxSeries + 100 {
		m.Rejected(fmt.Sprint("reason-", i))
	}
	shown := scrape(t, m)
	require.LessOrEqual(t, strings.Count(shown, "gateway_rejected_requests_total{"), maxSeries+1)
	require.Contains(t, shown, `gateway_rejected_requests_total{reason="other"} 100`)

	s := NewMetrics("sidecar", "test")
	e := s.NewEdges()
	x := sampleExchange()
	for i := range maxEdges + 50 {
		e.Edge("outbound", "a", fmt.Sprint(i)).Observe(x, exchange.Complete, time.Millisecond)
	}
	require.Contains(t, scrape(t, s), `sidecar_requests_total{classification="success",code="200",destination="other",direction="outbound",source="other"} 50`)
}

func TestClassification(t *testing.T) {
	x := sampleExchange()
	require.Equal(t, "success", Classify(x, exchange.Complete))
	require.Equal(t, "success", Classify(x, exchange.DownstreamGone), "the client's doing")
	require.Equal(t, "failure", Classify(x, exchange.UpstreamCut))
	x.Response.SetStatusCode(404)
	require.Equal(t, "success", Classify(x, exchange.Complete))
	x.Response.SetStatusCode(500)
	require.Equal(t, "failure", Classify(x, exchange.Complete))
	x.Fault = exchange.NoEndpoint
	require.Equal(t, "mesh_error", Classify(x, exchange.Complete))
}

func TestUnknownMethodsAndStatusesCollapse(t *testing.T) {
	m := NewMetrics("gateway", "test")
	r := m.NewRequests().Route("r")
	x := sampleExchange()
	for _, method := range []string{"BREW", "get", "PROPFIND"} {
		x.Request.Header.SetMethod(method)
		x.Response.SetStatusCode(999)
		r.Observe(x, time.Millisecond)
	}
	require.Contains(t, scrape(t, m), `gateway_http_requests_total{code="other",method="other",route="r"} 3`)
}

func TestCountingDoesNotAllocate(t *testing.T) {
	m := NewMetrics("gateway", "test")
	r, e, x := m.NewRequests().Route("r"), NewMetrics("sidecar", "test").NewEdges(), sampleExchange()
	count := func() {
		r.Observe(x, time.Millisecond)
		e.Edge("inbound", "a", "b").Observe(x, exchange.Complete, time.Millisecond)
		m.Attempt("u", "answered")
		m.Rejected("no_route")
	}
	count()
	require.Zero(t, testing.AllocsPerRun(100, count))
}
