package process

import (
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/harness/deploy"
	"crossroads/proxies/config"
	"crossroads/topologies"
)

const pages = `
version: 1
name: pages
application:
  entry: front
  services:
    front: {script: [{call: price}]}
    orders: {replicas: 2, script: [{call: price}]}
    stock: {}
    price: {}
topologies:
  direct: {}
  mesh: {mesh: {}}
  gateway: {gateway: {}}
  composed: {gateway: {compose: {/page: {parts: {b: {service: stock, path: "/x?n=1"}, a: {service: orders, path: /}}}}}}
  composed+mesh: {extends: [composed, mesh]}
load: {rates: [100], requests: [{path: /page, calls: [{service: orders}, {service: stock, path: "/x?n=1"}]}, {path: /}]}
`

// A client that composes by itself comes in at every service that it calls; one that has a gateway at the gateway.
func TestEntriesOfAClientThatComposes(t *testing.T) {
	names := func(r rendered) (all []string) {
		for _, e := range r.entries() {
			all = append(all, e.Name)
		}
		return all
	}
	direct, err := renderFrom(t, pages, "direct", nil)
	require.NoError(t, err)
	require.Equal(t, []string{"orders", "orders", "stock", "front"}, names(direct))
	require.Equal(t, "http://"+direct.node(t, "orders-2").ports[portHTTP], direct.entries()[1].URL)
	require.Equal(t, []string{"orders", "orders"}, func() (all []string) {
		for _, e := range deploy.EntriesOf(&external{entries: direct.entries()}, direct.arm, "orders") {
			all = append(all, e.Name)
		}
		return all
	}())

	mesh, err := renderFrom(t, pages, "mesh", nil)
	require.NoError(t, err)
	require.Equal(t, []string{"orders", "orders", "stock", "front"}, names(mesh))
	require.Equal(t, "http://"+mesh.node(t, "sidecar-stock-1").ports[portIngress], mesh.entries()[2].URL)
	require.Empty(t, mesh.node(t, "sidecar-price-1").ports[portIngress], "nobody from outside calls it")

	composed, err := renderFrom(t, pages, "composed", nil)
	require.NoError(t, err)
	require.Equal(t, []string{"gateway-1"}, names(composed))
}

// The gateway tells services apart by their hosts, composes where it is told to, and sends what is left to the entry.
func TestGatewayRoutes(t *testing.T) {
	for _, arm := range []string{"gateway", "composed", "composed+mesh"} {
		r, err := renderFrom(t, pages, arm, nil)
		require.NoError(t, err)
		g, err := config.LoadGateway(r.node(t, "gateway-1").config)
		require.NoError(t, err, arm)
		routes := g.Routes
		if arm != "gateway" {
			require.Equal(t, "/page", routes[0].Match[0].Path.Exact)
			require.Equal(t, []string{"b", "a"}, routes[0].Compose.Parts.Keys(), "the order of the file")
			part := routes[0].Compose.Parts.At("b")
			require.Equal(t, []any{"stock", "/x?n=1", routes[0].Timeout, false}, []any{part.Upstream, part.Path, part.Timeout, part.Optional})
			require.GreaterOrEqual(t, int64(part.MaxBody), int64(topologies.MaxPart), "what an experiment may declare fits")
			routes = routes[1:]
		}
		var ways [][]string
		for _, route := range routes {
			ways = append(ways, append([]string{route.Backends[0].Upstream}, route.Hosts...))
		}
		require.Equal(t, [][]string{{"orders", "orders"}, {"stock", "stock"}, {"front"}}, ways)
		require.Equal(t, []string{"orders", "stock", "front"}, g.Upstreams.Keys())
		require.Len(t, g.Upstreams.At("orders").Endpoints, 2)
		require.Equal(t, map[bool]string{true: "on", false: "off"}[arm == "composed+mesh"], g.Upstreams.At("stock").MTLS)
	}
}
