package gateway

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/discovery"
	"crossroads/proxies/edges"
)

// TestTheGatewayReportsItsEdges lets requests pass to a service of the mesh, directly and as a part of a composed answer, and to somebody
// whom the mesh does not know.
func TestTheGatewayReportsItsEdges(t *testing.T) {
	up := func(status int) string {
		return service(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	}
	stock, price, other := up(200), up(503), up(200)
	g := start(t, upstreams(stock, price, other)+`routes:
  - {name: stock, match: [{path: {prefix: /stock}}], backends: [{upstream: u0}]}
  - {name: other, match: [{path: {prefix: /other}}], backends: [{upstream: u2}]}
  - {name: page, match: [{path: {exact: /page}}], compose: {parts: {stock: {upstream: u0, path: /}, price: {upstream: u1, path: /, optional: true}}}}
`)
	// What New does where the file names a control plane: two of the upstreams are services that it knows.
	g.reports = &reports{out: map[string]*edges.Recorder{}}
	g.discovered.Services = map[string]discovery.Service{}
	c := *g.current.Load().config
	for name, service := range map[string]string{"u0": "stock", "u1": "price"} {
		u, _ := c.Upstreams.Get(name)
		g.discovered.Services[service] = discovery.Service{Protocol: "http", Endpoints: u.Endpoints}
		u.Discover = service
		c.Upstreams.Set(name, u)
	}
	s, err := g.build(&c, nil)
	require.NoError(t, err)
	g.current.Store(s)

	for path, times := range map[string]int{"/stock": 3, "/other": 2, "/page": 4, "/nowhere": 1} {
		for range times {
			response, err := http.Get(g.url + path)
			require.NoError(t, err)
			response.Body.Close()
		}
	}
	require.Eventually(t, func() bool { return g.reports.entry.InFlight() == 0 }, 10*time.Second, time.Millisecond)
	found := map[string]edges.Window{}
	for _, w := range g.report(time.Now()).Windows {
		found[w.Direction+" "+w.Peer] = w
	}
	require.Len(t, found, 3, "who is not of the mesh is nobody's business")
	require.EqualValues(t, 10, found["inbound "].Requests)
	require.EqualValues(t, 1, found["inbound "].Refused, "that nobody serves a path is the client's doing")
	require.Zero(t, found["inbound "].Passed)
	require.Empty(t, found["inbound "].Made)
	require.EqualValues(t, 7, found["outbound stock"].Requests)
	require.Zero(t, found["outbound stock"].Passed)
	require.Equal(t, 1, found["outbound stock"].Endpoints)
	require.EqualValues(t, 4, found["outbound price"].Requests)
	require.EqualValues(t, 4, found["outbound price"].Passed)
	require.Empty(t, g.report(time.Now()).Windows, "each window is told once")
	require.Equal(t, "", callee(config.Upstream{Endpoints: []config.Endpoint{{Address: "somewhere"}}}))
}
