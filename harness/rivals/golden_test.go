package rivals_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/harness/deploy/process"
	"crossroads/harness/rivals"
	"crossroads/topologies"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestRenderings holds every rival's files and command line to what was looked at once, whether its program is installed or not.
func TestRenderings(t *testing.T) {
	for _, r := range rivals.All() {
		holds(t, r, "plain", topologies.GatewayStages{})
		encrypts(t, r)
		secures(t, r)
		treats(t, r)
	}
	key := &topologies.StageMode{Mode: topologies.ModeOn}
	limit := &topologies.RateLimitStage{Mode: topologies.ModeOn, Rate: 100_000, Burst: 10_000}
	shadow := &topologies.RateLimitStage{Mode: topologies.ModeShadow, Rate: 0.5, Burst: 3}
	for _, r := range rivals.All() {
		holds(t, r, "log", topologies.GatewayStages{AccessLog: key, KeyAuth: key})
		if r.Name == "caddy" {
			holds(t, r, "key", topologies.GatewayStages{KeyAuth: key})
		} else {
			holds(t, r, "stages", topologies.GatewayStages{KeyAuth: key, RateLimit: limit})
			holds(t, r, "limit", topologies.GatewayStages{RateLimit: limit})
		}
		if r.Name == "nginx" || r.Name == "haproxy" || r.Name == "envoy" {
			besides(t, r)
		}
		if r.Name == "haproxy" || r.Name == "envoy" {
			holds(t, r, "jwt", topologies.GatewayStages{JWT: key, RateLimit: limit})
		}
		if r.Name == "nginx" || r.Name == "envoy" {
			holds(t, r, "shadow", topologies.GatewayStages{RateLimit: shadow})
		}
	}
}

func holds(t *testing.T, r rivals.Rival, name string, stages topologies.GatewayStages) {
	matches(t, r, name, func(found rivals.Found, dir string) (process.RivalProgram, error) {
		s := inFront(r, dir)
		s.Gateway.Stages = stages
		if stages.AccessLog != nil {
			s.Access = "/private/gateway-1.access.log"
		}
		return found.Render(s)
	})
}

// encrypts holds a rival in front of sidecars that ask for a certificate and show their own.
func encrypts(t *testing.T, r rivals.Rival) {
	matches(t, r, "mtls", func(found rivals.Found, dir string) (process.RivalProgram, error) {
		s := inFront(r, dir)
		s.Identity = "spiffe://mesh/ns/default/sa/app"
		s.TLS = &process.RivalTLS{Certificate: "/private/g.crt", Key: "/private/g.key", Roots: "/private/roots.pem", Both: "/private/g.pem", Domain: "spiffe://mesh/"}
		return found.Render(s)
	})
}

// secures holds a rival that clients come to by TLS.
func secures(t *testing.T, r rivals.Rival) {
	matches(t, r, "tls", func(found rivals.Found, dir string) (process.RivalProgram, error) {
		s := inFront(r, dir)
		s.Gateway.TLS = topologies.ModeOn
		s.Entry = &process.RivalTLS{Certificate: "/private/e.crt", Key: "/private/e.key", Roots: "/private/entry-roots.pem", Both: "/private/e.pem"}
		return found.Render(s)
	})
}

// treats holds a rival to everything that it does about its endpoints.
func treats(t *testing.T, r rivals.Rival) {
	upstream := treated[r.Name]
	if upstream == (topologies.GatewayUpstream{}) {
		return
	}
	matches(t, r, "upstream", func(found rivals.Found, dir string) (process.RivalProgram, error) {
		s := inFront(r, dir)
		s.Gateway.Upstream = upstream
		return found.Render(s)
	})
}

var treated = map[string]topologies.GatewayUpstream{
	"nginx": {Balance: "least_request"}, "caddy": {Balance: "least_request"}, "haproxy": {Balance: "least_request", Health: topologies.ModeOn},
	"envoy": {Balance: "least_request", Health: topologies.ModeOn, Retries: topologies.ModeOn, Breaker: topologies.ModeOn},
}

func inFront(r rivals.Rival, dir string) process.RivalSpec {
	return process.RivalSpec{
		ID: "gateway-1", Gateway: topologies.Gateway{Use: r.Name, Replicas: 1},
		Listen: "127.0.0.1:8080", Admin: "127.0.0.1:9901", Upstream: []string{"127.0.0.1:9000", "127.0.0.1:9001"}, Host: "app",
		Dir: dir, Private: "/private", CPUs: []int{2, 3}, Connections: 64, KeySet: "/logs/keys.json", Key: "/logs/key.pem",
	}
}

// besides holds a rival in a sidecar's place to its file: with everything, and a service that calls nobody in plaintext.
func besides(t *testing.T, r rivals.Rival) {
	full := process.RivalSidecar{
		ID: "sidecar-front-1", Service: "front", Mesh: topologies.Mesh{Use: r.Name, Balance: "least_request", Breaker: topologies.ModeOn},
		Inbound: "127.0.0.1:4143", Ingress: "127.0.0.1:4145", Outbound: "127.0.0.1:4140", Admin: "127.0.0.1:4191", App: "127.0.0.1:9000",
		Callees: []process.RivalCallee{{Service: "stock", Endpoints: []string{"127.0.0.1:5143", "127.0.0.1:5144"}, Identity: "spiffe://mesh/ns/default/sa/stock"}},
		TLS:     &process.RivalTLS{Certificate: "/private/f.crt", Key: "/private/f.key", Roots: "/private/roots.pem", Both: "/private/f.pem", Domain: "spiffe://mesh/"},
		Private: "/private", CPUs: []int{2, 3}, Connections: 64,
	}
	bare := process.RivalSidecar{ID: "sidecar-stock-1", Service: "stock", Mesh: topologies.Mesh{Use: r.Name}, Inbound: "127.0.0.1:5143", Admin: "127.0.0.1:5191", App: "127.0.0.1:9001", Private: "/private", CPUs: []int{2}, Connections: 64}
	for name, s := range map[string]process.RivalSidecar{"sidecar": full, "sidecar-bare": bare} {
		matches(t, r, name, func(found rivals.Found, dir string) (process.RivalProgram, error) {
			s.Dir = dir
			return found.RenderSidecar(s)
		})
	}
}

func matches(t *testing.T, r rivals.Rival, name string, render func(found rivals.Found, dir string) (process.RivalProgram, error)) {
	t.Run(r.Name+"-"+name, func(t *testing.T) {
		dir := t.TempDir()
		p, err := render(rivals.Found{Rival: r, Path: "/somewhere/" + r.Name}, dir)
		require.NoError(t, err)
		text := strings.Join(append([]string{p.Path}, p.Args...), " ") + "\n" + strings.Join(p.Env, " ") + "\nready: " + p.Ready + "\n"
		if p.Out != "" {
			text += "out: " + p.Out + "\n"
		}
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		require.NoError(t, err)
		for _, file := range files {
			content, err := os.ReadFile(file)
			require.NoError(t, err)
			text += "\n==> " + filepath.Base(file) + "\n" + string(content)
		}
		// Tests run as root and as a user; only nginx's configuration tells.
		text = strings.ReplaceAll(strings.ReplaceAll(text, dir, "/logs"), "\nuser root root; # as the reference proxy runs: as it was started", "")
		golden := filepath.Join("testdata", r.Name+"-"+name+".golden")
		if *update {
			require.NoError(t, os.MkdirAll("testdata", 0o755))
			require.NoError(t, os.WriteFile(golden, []byte(text), 0o644))
		}
		want, err := os.ReadFile(golden)
		require.NoError(t, err)
		require.Equal(t, string(want), text)
	})
}

const refused = `
version: 1
name: refused
application: {entry: app, services: {app: {}}}
topologies:
  arm: {gateway: {use: RIVAL, stages: {STAGES}}}
load: {rates: [1], requests: [{path: /, headers: {X-Api-Key: demo}}]}
`

// TestRefusals: what a rival cannot do is said before anything is started, with the arm, the stage and the way out.
func TestRefusals(t *testing.T) {
	for _, c := range []struct{ rival, stages, says string }{
		{"caddy", "key_auth: shadow", "caddy cannot do the stage key_auth"},
		{"caddy", "rate_limit: {rate: 10, burst: 5}", "caddy cannot do the stage rate_limit: the program as released has none"},
		{"envoy", "key_auth: shadow", "envoy cannot do the stage key_auth"},
		{"envoy", "rate_limit: {rate: 1.01, burst: 5}", "whole requests a second or a minute"},
		{"traefik", "key_auth: shadow", "traefik cannot do the stage key_auth"},
		{"traefik", "rate_limit: shadow", "traefik cannot do the stage rate_limit"},
		{"nginx", "key_auth: shadow", "there is no shadow"},
		{"nginx", "cors: on", "nginx cannot do the stage cors"},
		{"haproxy", "cors: shadow", "haproxy cannot do the stage cors"},
		{"caddy", "jwt: on", "caddy cannot do the stage jwt: the program as released has none"},
		{"nginx", "jwt: on", "nginx cannot do the stage jwt: only its commercial version"},
		{"traefik", "jwt: shadow", "traefik cannot do the stage jwt: only its commercial version"},
		{"envoy", "jwt: shadow", "envoy cannot do the stage jwt: its filter refuses or is absent"},
		{"haproxy", "jwt: shadow", "haproxy cannot do the stage jwt: it is rendered on or off"},
		{"envoy", "introspection: on", "envoy cannot do the stage introspection"},
		{"traefik", "authorization: on", "traefik cannot do the stage authorization"},
		{"nginx", "body_limit: {max: 1KiB}", "nginx cannot do the stage body_limit"},
		{"nginx", "}, upstream: {balance: peak_ewma", "nginx cannot do upstream.balance: it is rendered with round robin"},
		{"traefik", "}, upstream: {balance: least_request", "traefik cannot do upstream.balance"},
		{"envoy", "}, upstream: {balance: hash", "envoy cannot do upstream.balance"},
		{"haproxy", "}, upstream: {retries: on", "haproxy cannot do upstream.retries"},
		{"haproxy", "}, upstream: {breaker: on", "haproxy cannot do upstream.breaker"},
		{"envoy", "}, upstream: {bulkhead: on", "envoy cannot do upstream.bulkhead"},
		{"traefik", "}, upstream: {health: on", "traefik cannot do upstream.health"},
		{"nginx", "}, upstream: {retries: on", "nginx cannot do upstream.retries"},
		{"caddy", "}, upstream: {bulkhead: on", "caddy cannot do upstream.bulkhead"},
		{"nginx", "rate_limit: {rate: 1.01, burst: 5}", "whole requests a second or a minute"},
		{"haproxy", "key_auth: shadow", "there is no shadow"},
		{"haproxy", "rate_limit: shadow", "there is no shadow"},
		{"haproxy", "rate_limit: {rate: 100k, burst: 10}", "raise the burst"},
	} {
		t.Run(c.rival+" "+c.stages, func(t *testing.T) {
			e := parse(t, strings.NewReplacer("RIVAL", c.rival, "STAGES", c.stages).Replace(refused))
			_, err := rivals.For(e)
			var unusable *rivals.Unusable
			require.ErrorAs(t, err, &unusable)
			require.False(t, unusable.Missing)
			require.ErrorContains(t, err, c.says)
			require.ErrorContains(t, err, "topology arm:")
			require.Contains(t, unusable.Mend, "use: reference")

			arm, _ := e.Arm("arm")
			for _, r := range rivals.All() {
				if r.Name == c.rival {
					_, err = rivals.Found{Rival: r}.Render(process.RivalSpec{ID: "gateway-1", Gateway: *arm.Topology.Gateway})
					require.ErrorContains(t, err, c.says, "a deployer that is not asked first says so too")
				}
			}
		})
	}
}

// TestMissingProgram names what to install. A script of the name is no program.
func TestMissingProgram(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	t.Setenv(rivals.Dir, t.TempDir())
	e := parse(t, strings.NewReplacer("RIVAL", "traefik", "STAGES", "").Replace(refused))
	_, err := rivals.For(e)
	var unusable *rivals.Unusable
	require.ErrorAs(t, err, &unusable)
	require.True(t, unusable.Missing)
	require.ErrorContains(t, err, "topology arm: the program traefik is not installed")
	require.Contains(t, unusable.Mend, "make rivals")

	script := filepath.Join(dir, "traefik")
	require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\necho Version: 9.9.9\n"), 0o755))
	_, err = rivals.For(e)
	require.ErrorContains(t, err, "is a script that starts traefik")
}

// TestReferenceNeedsNothing: an experiment without rivals finds none.
func TestReferenceNeedsNothing(t *testing.T) {
	set, err := rivals.For(parse(t, strings.NewReplacer("RIVAL", "reference", "STAGES", "key_auth: on").Replace(refused)))
	require.NoError(t, err)
	require.Empty(t, set)
}

// TestVersions asks programs that say what the real ones say.
func TestVersions(t *testing.T) {
	says := map[string]struct{ text, want string }{
		"nginx":   {"nginx version: nginx/1.22.1", "1.22.1"},
		"haproxy": {"HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/", "2.6.12-1+deb12u4"},
		"caddy":   {"v2.8.4 h1:q3pe0wpBj1OcHFZ3n/1nl4V4bxBrYoSoab7rL9BMYNk=", "2.8.4"},
		"envoy":   {"/usr/lib/python3.11/envoy  version: bad8280de85c25b147a90c1d9b8a8c67a13e7134/1.36.4/Clean/RELEASE/BoringSSL", "1.36.4"},
		"traefik": {"Version:      3.3.4\nCodename:     saintnectaire\nGo version:   go1.26.8", "3.3.4"},
	}
	for _, r := range rivals.All() {
		require.Equal(t, says[r.Name].want, r.VersionIn([]byte(says[r.Name].text)), r.Name)
	}
}
