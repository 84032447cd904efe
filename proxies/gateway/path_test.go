package gateway

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/conformance"
)

// An ambiguous path is refused unless its route tolerates just that; what is tolerated is forwarded byte for byte.
func TestRoutesTolerateSingleFlaws(t *testing.T) {
	o, err := conformance.NewOrigin("127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(o.Close)
	g := start(t, upstreams(o.Address)+`routes:
  - {name: files, match: [{path: {prefix: /files}}], backends: [{upstream: u0}], tolerate: [encoded_slash]}
  - {name: mirror, match: [{path: {prefix: /mirror}}], backends: [{upstream: u0}], tolerate: [empty_segment, dot_segment, encoded_nul]}
  - {name: plain, match: [{path: {prefix: /plain}}], backends: [{upstream: u0}]}
`)
	for path, status := range map[string]int{
		"/files/a%2fb": 200, "/files/a%5Cb": 200, "/files//a": 400, "/files/%2e%2e/x": 400, "/files/a%00": 400, "/files/a%2f..%2fb": 400,
		"/mirror//a": 200, "/mirror/./a": 200, "/mirror/a%00": 200, "/mirror/a%2fb": 400, "/mirror/a%zz": 400, "/mirror/a\\b": 400,
		"/plain/a%2fb": 400, "/plain//a": 400, "/plain/../files/a": 400, "/none//x": 400, "/none": 404, "/plain/a": 200,
	} {
		before := len(o.Take())
		answer := raw(t, g, "GET "+path+"?q HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n\r\n")
		require.Equal(t, status, answer, path)
		if status == 200 {
			require.Equal(t, path+"?q", o.Take()[before].Target())
		} else {
			require.Len(t, o.Take(), before, path)
		}
	}
	g.shows(`gateway_rejected_requests_total{reason="ambiguous_path"}`)
}

func TestExplainKnowsAmbiguousPaths(t *testing.T) {
	c := parse(t, "upstreams: {u: {endpoints: [{address: \"h:1\"}]}}\nroutes: [{name: all, backends: [{upstream: u}], tolerate: [empty_segment]}]\n")
	for path, says := range map[string]string{"/a//b": "route all", "/a%2fb": "400 ambiguous_path", "/a%zz": "400 ambiguous_path"} {
		var out strings.Builder
		require.NoError(t, Explain(&out, c, "GET", "h", path, nil))
		require.Contains(t, out.String(), says, path)
	}
}

// raw sends bytes and returns the status of the one answer.
func raw(t *testing.T, g *running, bytes string) int {
	t.Helper()
	v := conformance.Send(strings.TrimPrefix(g.url, "http://"), conformance.Request{Raw: []byte(bytes), HalfClose: true}, 1e10, 0)
	require.Len(t, v.Statuses, 1)
	return v.Statuses[0]
}
