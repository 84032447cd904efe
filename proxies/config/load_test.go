package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config/strict"
)

const smallGateway = `version: 1
upstreams:
  api: {endpoints: [{address: 127.0.0.1:9000}]}
routes:
  - name: all
    backends: [{upstream: api}]
`

func TestGatewayDefaults(t *testing.T) {
	g, err := ParseGateway("gateway.yaml", []byte(smallGateway))
	require.NoError(t, err)
	require.Equal(t, []Listener{{Address: ":8080"}}, g.Listen)
	require.Equal(t, "127.0.0.1:9901", g.Admin.Address)
	require.Equal(t, 10*time.Second, g.Clients.HeaderTimeout.D())
	u := g.Upstreams.At("api")
	require.Equal(t, "round_robin", u.Balance)
	require.Equal(t, "off", u.MTLS)
	require.Equal(t, Off, u.Breaker.Mode)
	require.Equal(t, 1, u.Endpoints[0].Weight)
	require.Equal(t, 30*time.Second, g.Routes[0].Timeout.D())
	require.Equal(t, 1, g.Routes[0].Backends[0].Weight)
	require.Equal(t, "off", g.Log.Access)
}

func TestWrittenValuesWinOverDefaults(t *testing.T) {
	g, err := ParseGateway("/etc/gateway.yaml", []byte(`version: 1
listen: [{address: "127.0.0.1:0", tls: {certificate: tls/cert.pem, key: /keys/key.pem}}]
clients: {max_head: 8KiB}
upstreams:
  api: {endpoints: [{address: "unix:/run/api.sock", weight: 3}], breaker: {consecutive_failures: 3}, idle_timeout: 5s}
routes:
  - {name: all, backends: [{upstream: api}], timeout: 0}
stages:
  key_auth:
    mode: shadow
    keys: [{consumer: demo, sha256: 2a97516c354b68848cdbd8f54a226a0a55b21ed138e207ad6c5cbb9c00aa5aea}]
  rate_limit: {policies: [{name: all, rate: 1k}]}
log: {access: access.log}
`))
	require.NoError(t, err)
	require.Equal(t, "/etc/tls/cert.pem", g.Listen[0].TLS.Certificate)
	require.Equal(t, "/keys/key.pem", g.Listen[0].TLS.Key)
	require.Equal(t, "/etc/access.log", g.Log.Access)
	require.EqualValues(t, 8<<10, g.Clients.MaxHead)
	require.Equal(t, 60*time.Second, g.Clients.KeepAlive.D(), "a default beside a written key")
	u := g.Upstreams.At("api")
	require.Equal(t, On, u.Breaker.Mode, "a breaker that is written is on")
	require.Equal(t, 3, u.Breaker.ConsecutiveFailures)
	require.Equal(t, time.Second, u.Breaker.Open.D())
	require.Equal(t, 3, u.Endpoints[0].Weight)
	require.Zero(t, g.Routes[0].Timeout)
	require.Equal(t, Shadow, g.Stages.KeyAuth.Mode)
	require.Equal(t, []KeyPlace{{Header: "X-Api-Key"}}, g.Stages.KeyAuth.Places)
	policy := g.Stages.RateLimit.Policies[0]
	require.Equal(t, []string{"consumer", "address"}, policy.Key)
	require.EqualValues(t, 1000, policy.Burst)
}

func TestSidecarDefaults(t *testing.T) {
	s, err := ParseSidecar("sidecar.yaml", []byte(`version: 1
service: orders
mtls: off
inbound: {app: "127.0.0.1:9000"}
outbound:
  upstreams: {stock: {endpoints: [{address: "127.0.0.1:9001"}]}}
`))
	require.NoError(t, err)
	require.Equal(t, ":4143", s.Inbound.Listen)
	require.Empty(t, s.Inbound.Ingress)
	require.Equal(t, "127.0.0.1:4140", s.Outbound.Listen)
	u := s.Outbound.Upstreams.At("stock")
	require.Equal(t, On, u.Breaker.Mode)
	require.Equal(t, 7, u.Breaker.ConsecutiveFailures)
	require.Equal(t, "off", u.MTLS)
}

// Each case breaks one thing; the fault must stand at the right line and say the words.
func TestGatewayFaults(t *testing.T) {
	head := "version: 1\nupstreams:\n  api: {endpoints: [{address: \"h:1\"}]}\n"
	route := func(rest string) string {
		return head + "routes:\n  - name: r\n    backends: [{upstream: api}]\n    " + rest + "\n"
	}
	stages := func(rest string) string {
		return head + "routes:\n  - {name: r, backends: [{upstream: api}]}\nstages:\n  " + rest + "\n"
	}
	cases := map[string]struct {
		file string
		line int
		says string
	}{
		"unknown key":        {head + "rutes: []\n", 4, "routes"},
		"version":            {strings.Replace(smallGateway, "1", "2", 1), 1, "version 1"},
		"unknown upstream":   {head + "routes:\n  - name: r\n    backends: [{upstream: apy}]\n", 6, `did you mean "api"`},
		"per_try":            {route("timeout: 1s\n    per_try: 2s"), 8, "longer than timeout"},
		"compose and route":  {head + "routes:\n  - {name: r, backends: [{upstream: api}], compose: {parts: {a: {upstream: api, path: /a}}}}\n", 5, "forwarded or composed"},
		"compose nothing":    {head + "routes:\n  - {name: r, compose: {parts: {}}}\n", 5, "0 parts"},
		"part's upstream":    {head + "routes:\n  - {name: r, compose: {parts: {a: {upstream: apy, path: /a}}}}\n", 5, `did you mean "api"`},
		"part's name":        {head + "routes:\n  - {name: r, compose: {parts: {'a\"b': {upstream: api, path: /a}}}}\n", 5, "is not a name"},
		"part's path":        {head + "routes:\n  - {name: r, compose: {parts: {a: {upstream: api, path: '/a b'}}}}\n", 5, "cannot"},
		"part too patient":   {head + "routes:\n  - {name: r, timeout: 1s, compose: {parts: {a: {upstream: api, path: /a, timeout: 2s}}}}\n", 5, "longer than"},
		"parts too large":    {head + "routes:\n  - {name: r, compose: {parts: {a: {upstream: api, path: /a, max_body: 20MiB}}}}\n", 5, "add up to"},
		"duplicate route":    {head + "routes:\n  - {name: r, backends: [{upstream: api}], hosts: [a.x]}\n  - {name: r, backends: [{upstream: api}], hosts: [b.x]}\n", 6, "names two routes"},
		"unreachable route":  {head + "routes:\n  - {name: r, backends: [{upstream: api}], match: [{path: {prefix: /a}}]}\n  - {name: s, backends: [{upstream: api}], match: [{path: {prefix: /a/}}]}\n", 6, "never reached"},
		"path //":            {route("match: [{path: {prefix: /a//b}}]"), 7, "//"},
		"path /../":          {route("match: [{path: {prefix: /a/../b}}]"), 7, "/../"},
		"path %2f":           {route("match: [{path: {exact: /a%2Fb}}]"), 7, "%2f"},
		"path #":             {route("match: [{path: {exact: '/a#b'}}]"), 7, "#"},
		"path relative":      {route("match: [{path: {exact: a}}]"), 7, "begin with /"},
		"path both":          {route("match: [{path: {exact: /a, prefix: /b}}]"), 7, "exact and prefix"},
		"host with port":     {route("hosts: ['x:80']"), 7, "not a host"},
		"weights 0":          {head + "routes:\n  - name: r\n    backends: [{upstream: api, weight: 0}]\n", 6, "weights"},
		"no routes":          {head, 1, "routes is empty"},
		"hash":               {stages("key_auth: {keys: [{consumer: a, sha256: secret-key}]}"), 7, "64 hexadecimal"},
		"place":              {stages("key_auth: {places: [{header: A, query: b}], keys: [{consumer: a, sha256: " + strings.Repeat("0", 64) + "}]}"), 7, "exactly one"},
		"policy burst":       {stages("rate_limit: {policies: [{name: p, rate: 1, burst: 0.5}]}"), 7, "burst"},
		"policy consumer":    {stages("rate_limit: {policies: [{name: p, rate: 1, only: [ghost]}]}"), 7, "ghost"},
		"policy key":         {stages("rate_limit: {policies: [{name: p, rate: 1, key: [consumre]}]}"), 7, "consumer"},
		"mtls no identity":   {"version: 1\nupstreams:\n  api: {mtls: on, endpoints: [{address: \"h:1\", identity: spiffe://d/ns/n/sa/s}]}\nroutes:\n  - {name: r, backends: [{upstream: api}]}\n", 3, "no identity to present"},
		"discover no source": {"version: 1\nupstreams:\n  api: {discover: api}\nroutes:\n  - {name: r, backends: [{upstream: api}]}\n", 3, "control plane"},
		"endpoint address":   {strings.Replace(smallGateway, "127.0.0.1:9000", "localhost", 1), 3, "host:port"},
		"breaker order":      {strings.Replace(smallGateway, "}]}", "}], breaker: {open: 2m}}", 1), 3, "max_open"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := ParseGateway("g.yaml", []byte(c.file))
			var faults strict.Faults
			require.ErrorAs(t, err, &faults)
			require.Contains(t, err.Error(), c.says)
			lines := map[int]bool{}
			for _, f := range faults {
				lines[f.Line] = true
			}
			require.True(t, lines[c.line], "a fault at line %d, got %v", c.line, err)
		})
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	_, err := ParseGateway("g.yaml", []byte(`version: 1
colour: red
clients: {header_timeout: 5}
upstreams:
  api: {endpoints: [{address: nowhere}]}
routes:
  - {name: a, backends: [{upstream: ipa}]}
`))
	var faults strict.Faults
	require.ErrorAs(t, err, &faults)
	require.Len(t, faults, 4, err.Error())
}

func TestSecretsNeverPrinted(t *testing.T) {
	_, err := ParseGateway("g.yaml", []byte(smallGateway+`stages:
  key_auth:
    keys:
      - consumer: demo
        sha256: hunter2-is-the-key
`))
	require.Error(t, err)
	require.NotContains(t, err.Error(), "hunter2")
	_, err = ParseGateway("g.yaml", []byte(smallGateway+"stages: {key_auth: {keys: [{consumer: a, sha256: hunter2, groop: b}]}}\n"))
	require.ErrorContains(t, err, "sha256: *******, groop")
}

func TestMeshFaults(t *testing.T) {
	cases := map[string]struct{ file, says string }{
		"strict without identity": {"version: 1\nservice: a\ninbound: {app: \"h:1\"}\n", "there is no identity"},
		"endpoint without identity": {`version: 1
service: a
identity: {trust_domain: d, id: spiffe://d/ns/n/sa/a, files: {certificate: c, key: k, bundle: b}}
outbound: {upstreams: {b: {endpoints: [{address: "h:1"}]}}}
`, "no identity to verify"},
		"foreign identity": {`version: 1
service: a
identity: {trust_domain: d, id: spiffe://e/ns/n/sa/a, files: {certificate: c, key: k, bundle: b}}
inbound: {app: "h:1"}
`, `not in the trust domain "d"`},
		"nothing to do":         {"version: 1\nservice: a\nmtls: off\n", "would do nothing"},
		"discover needs source": {"version: 1\nservice: a\nmtls: off\noutbound: {discover: true}\n", "control plane"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := ParseSidecar("s.yaml", []byte(c.file))
			require.ErrorContains(t, err, c.says)
		})
	}
	_, err := ParseControl("c.yaml", []byte("version: 1\ntrust_domain: d\nca: {key: k}\ntokens: [{file: t, ids: [spiffe://e/*]}]\n"))
	require.ErrorContains(t, err, "belong together")
	require.ErrorContains(t, err, "not below spiffe://d/")
	require.ErrorContains(t, err, "endpoints is missing")
}

func TestEndpointsTakeTheirServicesIdentity(t *testing.T) {
	e, err := ParseEndpoints("e.yaml", []byte(`version: 1
services:
  stock:
    identity: spiffe://d/ns/n/sa/stock
    endpoints: [{address: "10.0.0.1:4143"}, {address: "10.0.0.2:4143", identity: spiffe://d/ns/n/sa/other}]
`))
	require.NoError(t, err)
	s := e.Services.At("stock")
	require.Equal(t, "http", s.Protocol)
	require.Equal(t, "spiffe://d/ns/n/sa/stock", s.Endpoints[0].Identity)
	require.Equal(t, "spiffe://d/ns/n/sa/other", s.Endpoints[1].Identity)
}

func TestLoadReadsAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	require.NoError(t, os.WriteFile(file, []byte(smallGateway), 0o600))
	g, err := LoadGateway(file)
	require.NoError(t, err)
	require.Equal(t, "all", g.Routes[0].Name)
	_, err = LoadGateway(file + ".missing")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestAStageThatIsOffNeedsNoSettings(t *testing.T) {
	_, err := ParseGateway("g.yaml", []byte(smallGateway+"stages: {key_auth: {mode: off}, rate_limit: {mode: off}}\n"))
	require.NoError(t, err)
	_, err = ParseGateway("g.yaml", []byte(smallGateway+"stages: {key_auth: {mode: shadow}, rate_limit: {}}\n"))
	require.ErrorContains(t, err, "keys is empty")
	require.ErrorContains(t, err, "policies is empty")
}

// What a program writes with strict.Marshal, such as a harness, reads back as the same configuration.
func TestMarshalledConfigurationReadsBack(t *testing.T) {
	g, err := ParseGateway("/g.yaml", []byte(smallGateway))
	require.NoError(t, err)
	data, err := strict.Marshal(g)
	require.NoError(t, err)
	again, err := ParseGateway("/g.yaml", data)
	require.NoError(t, err, "%s", data)
	require.Equal(t, g, again)

	s, err := ParseSidecar("/s.yaml", []byte("version: 1\nservice: a\nmtls: off\ninbound: {app: \"h:1\"}\noutbound: {upstreams: {b: {endpoints: [{address: \"h:1\"}]}}}\n"))
	require.NoError(t, err)
	data, err = strict.Marshal(s)
	require.NoError(t, err)
	same, err := ParseSidecar("/s.yaml", data)
	require.NoError(t, err, "%s", data)
	require.Equal(t, s, same)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(smallGateway))
	f.Add([]byte("version: 1\nservice: a\nmtls: off\noutbound: {upstreams: {b: {endpoints: [{address: \"h:1\"}]}}}\n"))
	f.Add([]byte("version: 1\nservices: {a: {endpoints: [{address: \"h:1\"}]}}\n"))
	f.Add([]byte("routes: [{match: [{path: {prefix: /%2F}}], hosts: ['*.']}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		g, gatewayErr := ParseGateway("f.yaml", data)
		_, sidecarErr := ParseSidecar("f.yaml", data)
		_, controlErr := ParseControl("f.yaml", data)
		_, endpointsErr := ParseEndpoints("f.yaml", data)
		for _, err := range []error{gatewayErr, sidecarErr, controlErr, endpointsErr} {
			if faults := (strict.Faults)(nil); err != nil && (!errors.As(err, &faults) || len(faults) == 0) {
				t.Fatalf("an error that names no fault: %v", err)
			}
		}
		if gatewayErr == nil && (len(g.Listen) == 0 || len(g.Routes) == 0) {
			t.Fatal("accepted, but not whole")
		}
	})
}
