package process

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/harness/deploy"
	"crossroads/proxies/config"
	"crossroads/topologies"
)

const shop = `
version: 1
name: shop
application:
  entry: front
  services:
    front: {script: [{call: orders}, [{call: stock}, {call: price}]]}
    orders: {script: [{call: stock}]}
    stock: {replicas: 2}
    price: {}
topologies:
  direct: {}
  gateway: {gateway: {stages: {key_auth: on, rate_limit: {rate: 100k, burst: 10k}}}}
  gateways: {gateway: {replicas: 2}}
  limited: {gateway: {stages: {rate_limit: {rate: 100k, burst: 10k}}}}
  mesh: {mesh: {sidecars: both, mtls: strict}}
  mesh-plain: {mesh: {sidecars: both, mtls: off}}
  mesh-client: {mesh: {sidecars: client, mtls: off}}
  mesh-server: {mesh: {sidecars: server, mtls: permissive}}
  gateway+mesh: {extends: [gateway, mesh]}
  gateway+plain: {extends: [gateway, mesh-plain]}
  tokens: {gateway: {replicas: 2, stages: {jwt: on, introspection: {mode: shadow, max_age: 5s}, rate_limit: on}}}
  guarded: {gateway: {stages: {cors: on, authorization: on, body_limit: {max: 64KiB}, access_log: on}}}
  watched: {gateway: {stages: {key_auth: shadow, authorization: shadow}}}
  known: {gateway: {stages: {key_auth: on, authorization: on}}}
  terms: {gateway: {upstream: {balance: least_request, retries: on, breaker: on, health: on, bulkhead: on}}}
  nginx: {gateway: {use: nginx}}
  nginx+mesh: {extends: [nginx, mesh], mesh: {mtls: permissive}}
load: {rates: [100], requests: [{path: /, headers: {X-Api-Key: demo}}]}
`

// rendered is an arm with all its files written.
type rendered struct {
	*layout
	programs map[string]program
}

func renderArm(t *testing.T, name string, rivals map[string]RivalRenderer) (rendered, error) {
	t.Helper()
	return renderFrom(t, shop, name, rivals)
}

func renderFrom(t *testing.T, text, name string, rivals map[string]RivalRenderer) (rendered, error) {
	t.Helper()
	e, err := topologies.Parse("shop.yaml", []byte(text))
	require.NoError(t, err)
	arm, known := e.Arm(name)
	require.True(t, known)
	d, err := New(Config{
		Dir: t.TempDir(), Temp: t.TempDir(), Rivals: rivals,
		Binaries: map[string]string{"crossroads": "crossroads", "gateway": "gateway", "sidecar": "sidecar", "control": "control", "workload": "workload"},
	})
	require.NoError(t, err)
	l, err := newLayout(arm, d.ports, t.TempDir(), t.TempDir())
	require.NoError(t, err)
	programs, err := d.render(l)
	return rendered{l, programs}, err
}

func (r rendered) node(t *testing.T, id string) *node {
	t.Helper()
	i := slices.IndexFunc(r.nodes, func(n *node) bool { return n.ID == id })
	require.GreaterOrEqual(t, i, 0, "no process %s", id)
	return r.nodes[i]
}

func (r rendered) sidecarFile(t *testing.T, id string) *config.Sidecar {
	t.Helper()
	s, err := config.LoadSidecar(r.node(t, id).config)
	require.NoError(t, err)
	return s
}

// peersOf reads the peers of a workload off its command line.
func (r rendered) peersOf(t *testing.T, id string) map[string][]string {
	t.Helper()
	args := r.programs[id].args
	var peers map[string][]string
	require.NoError(t, json.Unmarshal([]byte(args[slices.Index(args, "--peers")+1]), &peers))
	return peers
}

// Every file that any arm needs is one that the proxies read without a fault.
func TestRenderedFilesAreValid(t *testing.T) {
	for _, name := range []string{"direct", "gateway", "gateways", "limited", "tokens", "guarded", "watched", "known", "terms", "mesh", "mesh-plain", "mesh-client", "mesh-server", "gateway+mesh", "gateway+plain"} {
		t.Run(name, func(t *testing.T) {
			r, err := renderArm(t, name, nil)
			require.NoError(t, err)
			require.Len(t, r.programs, len(r.arm.Processes()))
			opened := map[string]bool{}
			for _, n := range r.nodes {
				var err error
				switch n.Kind {
				case deploy.KindGateway:
					_, err = config.LoadGateway(n.config)
				case deploy.KindSidecar:
					_, err = config.LoadSidecar(n.config)
				case deploy.KindControl:
					_, err = config.LoadControl(n.config)
				case deploy.KindIssuer:
					require.Contains(t, r.programs[n.ID].args, "issuer")
				}
				require.NoError(t, err, n.ID)
				for _, address := range n.ports {
					require.False(t, opened[address], "%s is opened twice", address)
					opened[address] = true
				}
			}
			_, err = topologies.Load(filepath.Join(r.logs, "experiment.yaml"))
			require.NoError(t, err)
		})
	}
}

func (r rendered) gatewayFile(t *testing.T) *config.Gateway {
	t.Helper()
	g, err := config.LoadGateway(r.node(t, "gateway-1").config)
	require.NoError(t, err)
	return g
}

// TestStagesAreRendered: each with its mode, its settings and the credentials that the declared requests carry.
func TestStagesAreRendered(t *testing.T) {
	r, err := renderArm(t, "tokens", nil)
	require.NoError(t, err)
	g := r.gatewayFile(t)
	keys, err := os.ReadFile(g.Stages.JWT.Keys.File)
	require.NoError(t, err)
	require.JSONEq(t, string(topologies.KeySet()), string(keys))
	require.Equal(t, config.Shadow, g.Stages.Introspection.Mode)
	require.Equal(t, 5*time.Second, g.Stages.Introspection.MaxAge.D())
	require.Equal(t, "http://"+r.node(t, "issuer-1").ports["http"]+"/introspect", g.Stages.Introspection.URL)
	require.Equal(t, topologies.OpaqueField, g.Stages.Introspection.Token.Header)
	secret, err := os.ReadFile(g.Stages.Introspection.ClientSecret.File)
	require.NoError(t, err)
	args := r.programs["issuer-1"].args
	knows, err := os.ReadFile(args[slices.Index(args, "--config")+1])
	require.NoError(t, err)
	require.Contains(t, string(knows), strings.TrimSpace(string(secret)))
	require.Len(t, g.Stages.RateLimit.Policies, 2, "the probe consumer can be told by its token")
	require.Empty(t, r.node(t, "gateway-1").access)

	r, err = renderArm(t, "guarded", nil)
	require.NoError(t, err)
	g = r.gatewayFile(t)
	require.EqualValues(t, 64<<10, g.Routes[0].MaxBody)
	require.Equal(t, r.node(t, "gateway-1").access, g.Log.Access)
	require.Equal(t, r.private, filepath.Dir(g.Log.Access), "it is as long as the load, and is not kept")
	require.Equal(t, []string{topologies.DemoOrigin}, g.Stages.CORS.Origins)
	require.Empty(t, g.Stages.Authorization.Rules[1].Consumers, "nobody authenticates")

	r, err = renderArm(t, "known", nil)
	require.NoError(t, err)
	require.Equal(t, []string{"*"}, r.gatewayFile(t).Stages.Authorization.Rules[1].Consumers)
	r, err = renderArm(t, "watched", nil)
	require.NoError(t, err)
	require.Empty(t, r.gatewayFile(t).Stages.Authorization.Rules[1].Consumers, "a stage in shadow authenticates nobody")

	r, err = renderArm(t, "terms", nil)
	require.NoError(t, err)
	g = r.gatewayFile(t)
	u := g.Upstreams.At("front")
	require.Equal(t, []any{"least_request", config.On, "/healthz", 3}, []any{u.Balance, u.Breaker.Mode, u.Health.Path, g.Routes[0].Retry.Attempts})
	require.Greater(t, u.Limits.Requests, topologies.MaxConnections)
}

func TestDirectCallsEveryReplica(t *testing.T) {
	r, err := renderArm(t, "direct", nil)
	require.NoError(t, err)
	http := func(id string) string { return "http://" + r.node(t, id).ports["http"] }
	require.Equal(t, []deploy.Entry{{Name: "front", URL: http("front-1")}}, r.entries())
	require.Equal(t, map[string][]string{"orders": {http("orders-1")}, "stock": {http("stock-1"), http("stock-2")}, "price": {http("price-1")}}, r.peersOf(t, "front-1"))
	require.Empty(t, r.peersOf(t, "price-1"), "it calls nobody")
}

func TestMeshCallsThroughItsOwnSidecar(t *testing.T) {
	r, err := renderArm(t, "mesh", nil)
	require.NoError(t, err)
	front := r.node(t, "sidecar-front-1")
	require.Equal(t, []deploy.Entry{{Name: "front", URL: "http://" + front.ports["ingress"]}}, r.entries())
	out := []string{"http://" + front.ports["outbound"]}
	require.Equal(t, map[string][]string{"orders": out, "stock": out, "price": out}, r.peersOf(t, "front-1"))

	file := r.sidecarFile(t, "sidecar-front-1")
	require.Equal(t, "strict", file.MTLS)
	require.Equal(t, "on", file.Outbound.Defaults.MTLS)
	require.True(t, file.Outbound.Discover)
	require.Equal(t, r.node(t, "front-1").ports["http"], file.Inbound.App)
	leaf := r.sidecarFile(t, "sidecar-stock-2")
	require.Nil(t, leaf.Outbound, "it calls nobody")
	require.Empty(t, leaf.Inbound.Ingress, "nobody comes to it in plaintext")
	require.Equal(t, r.node(t, "stock-2").ports["http"], leaf.Inbound.App)
	require.NotEqual(t, file.Identity.Control.Token, leaf.Identity.Control.Token, "one service's token makes nobody another")

	served, err := config.LoadEndpoints(filepath.Join(r.logs, "endpoints.yaml"))
	require.NoError(t, err)
	stock := served.Services.At("stock")
	require.Equal(t, serviceID+"stock", stock.Identity)
	require.Equal(t, []string{r.node(t, "sidecar-stock-1").ports["inbound"], r.node(t, "sidecar-stock-2").ports["inbound"]},
		[]string{stock.Endpoints[0].Address, stock.Endpoints[1].Address})
}

func TestMeshWithoutMTLSNeedsNoControlPlane(t *testing.T) {
	r, err := renderArm(t, "mesh-plain", nil)
	require.NoError(t, err)
	require.Nil(t, r.control)
	file := r.sidecarFile(t, "sidecar-orders-1")
	require.Nil(t, file.Identity)
	require.Equal(t, []string{"stock"}, file.Outbound.Upstreams.Keys(), "the services that it calls and no others")
	require.Equal(t, r.node(t, "sidecar-stock-1").ports["inbound"], file.Outbound.Upstreams.At("stock").Endpoints[0].Address)
}

func TestSidecarsOnOneSide(t *testing.T) {
	r, err := renderArm(t, "mesh-client", nil)
	require.NoError(t, err)
	require.Equal(t, []deploy.Entry{{Name: "front", URL: "http://" + r.node(t, "front-1").ports["http"]}}, r.entries())
	require.Nil(t, r.sidecarFile(t, "sidecar-front-1").Inbound)
	require.Equal(t, r.node(t, "stock-1").ports["http"], r.sidecarFile(t, "sidecar-orders-1").Outbound.Upstreams.At("stock").Endpoints[0].Address)

	r, err = renderArm(t, "mesh-server", nil)
	require.NoError(t, err)
	require.Equal(t, []string{"http://" + r.node(t, "sidecar-stock-1").ports["inbound"], "http://" + r.node(t, "sidecar-stock-2").ports["inbound"]},
		r.peersOf(t, "orders-1")["stock"])
	require.Equal(t, "http://"+r.node(t, "sidecar-front-1").ports["ingress"], r.entries()[0].URL)
	require.Nil(t, r.sidecarFile(t, "sidecar-orders-1").Outbound)
}

func TestGatewayInFrontOfAMesh(t *testing.T) {
	r, err := renderArm(t, "gateway+mesh", nil)
	require.NoError(t, err)
	require.Equal(t, []deploy.Entry{{Name: "gateway-1", URL: "http://" + r.node(t, "gateway-1").ports["http"]}}, r.entries())
	g, err := config.LoadGateway(r.node(t, "gateway-1").config)
	require.NoError(t, err)
	up := g.Upstreams.At("front")
	require.Equal(t, "on", up.MTLS)
	require.Equal(t, r.node(t, "sidecar-front-1").ports["inbound"], up.Endpoints[0].Address)
	require.Equal(t, serviceID+"front", up.Endpoints[0].Identity)
	require.Equal(t, gatewayID, g.Identity.ID)
	require.Empty(t, r.sidecarFile(t, "sidecar-front-1").Inbound.Ingress, "the gateway is the only way in")

	tokens, err := config.LoadControl(r.node(t, "control-1").config)
	require.NoError(t, err)
	require.Len(t, tokens.Tokens, 5, "four services and the gateway")
	for _, token := range tokens.Tokens {
		info, err := os.Stat(token.File)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		require.NotContains(t, token.File, r.logs, "secrets do not stand among the logs of a run")
	}
}

func TestWhoIsAskedComesFirst(t *testing.T) {
	r, err := renderArm(t, "gateway+mesh", nil)
	require.NoError(t, err)
	var kinds []map[string]bool
	for _, wave := range r.waves() {
		of := map[string]bool{}
		for _, n := range wave {
			of[n.Kind] = true
		}
		kinds = append(kinds, of)
	}
	require.Equal(t, []map[string]bool{{"control": true, "workload": true}, {"sidecar": true}, {"gateway": true}}, kinds)
}

func TestSeveralGateways(t *testing.T) {
	r, err := renderArm(t, "gateways", nil)
	require.NoError(t, err)
	require.Equal(t, []string{"gateway-1", "gateway-2"}, []string{r.entries()[0].Name, r.entries()[1].Name})
	g, err := config.LoadGateway(r.node(t, "gateway-2").config)
	require.NoError(t, err)
	require.Nil(t, g.Stages.KeyAuth, "a stage that is off is not in the chain")
	require.Nil(t, g.Stages.RateLimit)
}

type nginx struct{ asked RivalSpec }

func (n *nginx) RenderSidecar(RivalSidecar) (RivalProgram, error) { return RivalProgram{}, nil }

func (n *nginx) Render(s RivalSpec) (RivalProgram, error) {
	n.asked = s
	return RivalProgram{Path: "/usr/sbin/nginx", Args: []string{"-c", s.Dir + "/nginx.conf"}, Ready: "http://" + s.Listen + "/"}, nil
}

func TestRivals(t *testing.T) {
	_, err := renderArm(t, "nginx", nil)
	require.ErrorContains(t, err, `topology nginx: no deployer for gateway "nginx": known are reference`)

	renderer := &nginx{}
	rivals := map[string]RivalRenderer{"nginx": renderer}
	r, err := renderArm(t, "nginx", rivals)
	require.NoError(t, err)
	require.Equal(t, []string{r.node(t, "front-1").ports["http"]}, renderer.asked.Upstream)
	require.Equal(t, r.entries()[0].URL, "http://"+renderer.asked.Listen)
	require.Equal(t, "/usr/sbin/nginx", r.programs["gateway-1"].path)

	r, err = renderArm(t, "nginx+mesh", rivals)
	require.NoError(t, err)
	require.Equal(t, []string{r.node(t, "sidecar-front-1").ports["inbound"]}, renderer.asked.Upstream)
	require.Nil(t, r.layout.control, "nobody asks it")
	require.Equal(t, serviceID+"front", renderer.asked.Identity)
	require.Equal(t, gatewayID, names(t, renderer.asked.TLS.Certificate).URIs[0].String())

	s, err := config.LoadSidecar(r.node(t, "sidecar-front-1").config)
	require.NoError(t, err)
	require.Equal(t, serviceID+"front", s.Identity.ID)
	certificate := names(t, s.Identity.Files.Certificate)
	require.Equal(t, []string{"front"}, certificate.DNSNames, "for rivals that verify names only")
	require.Equal(t, serviceID+"front", certificate.URIs[0].String())
	stock, _ := s.Outbound.Upstreams.Get("stock")
	require.Equal(t, serviceID+"stock", stock.Endpoints[0].Identity, "without discovery, identities stand in the file")
}

func names(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	block, _ := pem.Decode(text)
	certificate, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	return certificate
}
