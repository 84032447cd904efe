package stage_test

import (
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
	"crossroads/proxies/stage"
	"crossroads/proxies/stage/stagetest"
	"crossroads/proxies/telemetry"
)

// through sends one request through stages and returns the exchange before it is finished.
func through(r request, stages ...exchange.Stage) *exchange.Exchange {
	x := r.Exchange()
	c := exchange.Chain{Stages: stages, Forward: &stagetest.Upstream{}}
	c.Serve(x)
	return x
}

func field(x *exchange.Exchange, name string) []string {
	var found []string
	for k, v := range x.Request.Header.All() {
		if strings.EqualFold(string(k), name) {
			found = append(found, string(v))
		}
	}
	return found
}

func TestForwardingBelievesNobody(t *testing.T) {
	x := through(request{Peer: "192.0.2.7:1", Fields: []string{
		"X-Forwarded-For: 10.0.0.1", "X-Forwarded-For: 10.0.0.2", "X.Forwarded.For: 1.1.1.1", "x_forwarded_for: 1.1.1.2",
		"X-Forwarded-Proto: https", "X-Forwarded-Host: evil", "X-Forwarded-Port: 1", "X-Forwarded-Anything: 1",
		"X-Real-Ip: 10.0.0.1", "x.real.ip: 10.0.0.1", "Forwarded: for=10.0.0.1",
		"X-Consumer-Name: admin", "X-Consumer-Groups: root", "X-Jwt-Sub: admin", "X-Mesh-Peer: a", "X-Other: kept",
	}}, stage.NewForwarding(0))
	require.Equal(t, netip.MustParseAddr("192.0.2.7"), x.Peer.Client)
	require.Equal(t, []string{"192.0.2.7"}, field(x, "X-Forwarded-For"))
	require.Equal(t, []string{"http"}, field(x, "X-Forwarded-Proto"))
	require.Equal(t, []string{"example.com"}, field(x, "X-Forwarded-Host"))
	require.Equal(t, []string{"kept"}, field(x, "X-Other"))
	for _, gone := range []string{"X.Forwarded.For", "x_forwarded_for", "X-Forwarded-Port", "X-Forwarded-Anything", "X-Real-Ip", "x.real.ip",
		"Forwarded", "X-Consumer-Name", "X-Consumer-Groups", "X-Jwt-Sub", "X-Mesh-Peer"} {
		require.Empty(t, field(x, gone), gone)
	}
}

func TestForwardingCountsTrustedHops(t *testing.T) {
	for _, c := range []struct {
		hops   int
		given  []string
		client string
		sent   string
	}{
		{1, []string{"10.0.0.1"}, "10.0.0.1", "10.0.0.1, 192.0.2.7"},
		{1, []string{"6.6.6.6, 10.0.0.1"}, "10.0.0.1", "6.6.6.6, 10.0.0.1, 192.0.2.7"},
		{2, []string{"6.6.6.6", "10.0.0.1, 10.0.0.2"}, "10.0.0.1", "6.6.6.6, 10.0.0.1, 10.0.0.2, 192.0.2.7"},
		{2, []string{"10.0.0.1"}, "192.0.2.7", "10.0.0.1, 192.0.2.7"},
		{1, []string{"nonsense"}, "192.0.2.7", "nonsense, 192.0.2.7"},
		{1, []string{"[2001:db8::1]:44"}, "2001:db8::1", "[2001:db8::1]:44, 192.0.2.7"},
		{1, nil, "192.0.2.7", "192.0.2.7"},
	} {
		var fields []string
		for _, g := range c.given {
			fields = append(fields, "X-Forwarded-For: "+g)
		}
		x := through(request{Peer: "192.0.2.7:1", Fields: append(fields, "X-Forwarded-Proto: https", "X.Forwarded.Proto: x")}, stage.NewForwarding(c.hops))
		require.Equal(t, c.client, x.Peer.Client.String(), "%v", c)
		require.Equal(t, []string{c.sent}, field(x, "X-Forwarded-For"))
		require.Equal(t, []string{"https"}, field(x, "X-Forwarded-Proto"), "a trusted proxy says how the client came")
	}
}

func TestForwardingKeepsCookiesAsTheyCame(t *testing.T) {
	x := through(request{Fields: []string{`Cookie: a="quoted, x"; b`, "X-Forwarded-For: 1"}}, stage.NewForwarding(0))
	require.Equal(t, []string{`a="quoted, x"; b`}, field(x, "Cookie"))
	require.Contains(t, stagetest.Head(x), "Cookie: a=\"quoted, x\"; b\r\n")
}

func TestRequestID(t *testing.T) {
	edge := through(request{Fields: []string{"X-Request-Id: mine"}}, stage.NewRequestID(false))
	require.Regexp(t, "^[0-9a-f]{32}$", edge.ID)
	require.Equal(t, []string{edge.ID}, field(edge, "X-Request-Id"))
	require.Equal(t, edge.ID, string(edge.Response.Header.Peek("X-Request-Id")))
	require.NotEqual(t, edge.ID, through(request{}, stage.NewRequestID(false)).ID)

	for given, kept := range map[string]bool{"a-B_9.": true, strings.Repeat("a", 128): true, strings.Repeat("a", 129): false, "a b": false, "a\"": false, "": false} {
		x := through(request{Fields: []string{"X-Request-Id: " + given}}, stage.NewRequestID(true))
		require.Equal(t, kept, x.ID == given, "%q", given)
	}
}

func TestTrace(t *testing.T) {
	const given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	x := through(request{Fields: []string{"Traceparent: " + given, "Tracestate: a=b"}}, stage.NewTrace())
	sent := field(x, "Traceparent")
	require.Len(t, sent, 1)
	require.Regexp(t, "^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$", sent[0])
	require.NotEqual(t, given, sent[0], "a span of its own")
	require.Equal(t, []string{"a=b"}, field(x, "Tracestate"))

	for _, bad := range [][]string{nil, {"Traceparent: 00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, {"Traceparent: " + given, "Traceparent: " + given}} {
		x := through(request{Fields: append(bad, "Tracestate: a=b")}, stage.NewTrace())
		sent := field(x, "Traceparent")
		require.Len(t, sent, 1)
		require.NotContains(t, sent[0], "0af7651916cd43dd8448eb211c80319c")
		require.Empty(t, field(x, "Tracestate"), "the state of a context that was not continued")
	}
}

func TestMeshPeerIsWhatTheCertificateSays(t *testing.T) {
	forged := []string{"X-Mesh-Peer: spiffe://d/ns/n/sa/admin", "x.mesh.peer: admin", "X_Mesh_Peer: admin"}
	x := through(request{PeerID: "spiffe://d/ns/n/sa/a", Fields: forged}, stage.NewMeshPeer())
	require.Equal(t, []string{"spiffe://d/ns/n/sa/a"}, field(x, "X-Mesh-Peer"))
	require.Empty(t, field(x, "x.mesh.peer"))
	x = through(request{Fields: forged}, stage.NewMeshPeer())
	require.NotContains(t, stagetest.Head(x), "admin")
}

func TestMetricsCountByRouteMethodAndCode(t *testing.T) {
	m := telemetry.NewMetrics("gateway", "test")
	r := &exchange.Route{Name: "orders"}
	st := stage.NewRouteMetrics(m, m.NewRequests(), m.NewTop(), []*exchange.Route{r})
	send := func(req request) {
		x := req.Exchange()
		c := exchange.Chain{Stages: []exchange.Stage{st}, Forward: &stagetest.Upstream{}}
		c.Serve(x)
		c.Finish(x, exchange.Complete)
	}
	send(request{Route: r})
	send(request{Route: r})
	send(request{Route: r, Method: "BREW"})
	send(request{})
	shown := scrape(t, m)
	require.Contains(t, shown, `gateway_http_requests_total{code="200",method="GET",route="orders"} 2`)
	require.Contains(t, shown, `gateway_http_requests_total{code="200",method="other",route="orders"} 1`)
	require.Contains(t, shown, `gateway_http_requests_total{code="200",method="GET",route=""} 1`)
	require.Contains(t, shown, `gateway_requests_in_flight 0`)
}

// scrape returns what Prometheus would read.
func scrape(t *testing.T, m *telemetry.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, 200, w.Code)
	return w.Body.String()
}

// Fields of one name keep their order whatever is removed around them (RFC 9110 5.3).
func TestRemovingFieldsKeepsTheOrderOfOthers(t *testing.T) {
	fields := []string{"X-Api-Key: demo", "X-Forwarded-For: 1", "Accept: a", "Via: 1.1 one", "X-Request-Id: 1", "Cookie: a=1", "Accept: b",
		"X-Request-Id: 2", "Via: 1.1 two", "Accept: c", "Via: 1.1 three"}
	x := through(request{Fields: fields}, stage.NewForwarding(0), stage.NewMeshPeer(), stage.NewRequestID(true), stage.NewTrace(), keyAuth(config.On)(t))
	require.Nil(t, x.Fault)
	require.Equal(t, []string{"a", "b", "c"}, field(x, "Accept"))
	require.Equal(t, []string{"1.1 one", "1.1 two", "1.1 three"}, field(x, "Via"))
	require.Len(t, field(x, "X-Request-Id"), 1)
	require.Equal(t, []string{"a=1"}, field(x, "Cookie"))

	trusted := through(request{Fields: []string{"X-Forwarded-For: 1.1.1.1", "Via: 1.1 one", "Via: 1.1 two"}}, stage.NewForwarding(1))
	require.Equal(t, []string{"1.1 one", "1.1 two"}, field(trusted, "Via"))
}
