package parity_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/harness/deploy"
	"crossroads/harness/deploy/process"
	"crossroads/harness/parity"
	"crossroads/topologies"
)

// TestMain lets the test binary be the supervisor. syscall.Exit, because os.Exit sleeps a second under the race detector.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "supervise" {
		syscall.Exit(process.Supervise(os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}

// build builds the programs themselves, as they are measured: without the race detector.
func build(t *testing.T) map[string]string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	dir := t.TempDir()
	binaries := map[string]string{"crossroads": self}
	packages := map[string]string{
		deploy.KindGateway: "crossroads/proxies/cmd/gateway", deploy.KindSidecar: "crossroads/proxies/cmd/sidecar",
		deploy.KindControl: "crossroads/proxies/cmd/control", deploy.ProgramRelay: "crossroads/proxies/cmd/relay", deploy.KindWorkload: "crossroads/harness/cmd/workload",
	}
	arguments := []string{"build", "-trimpath", "-o", dir + "/"} // as the Makefile builds them, so that the two share the build cache
	for kind, path := range packages {
		arguments = append(arguments, path)
		binaries[kind] = filepath.Join(dir, kind)
	}
	made := exec.Command("go", arguments...)
	made.Env = append(os.Environ(), "CGO_ENABLED=0")
	said, err := made.CombinedOutput()
	require.NoError(t, err, "%s", said)
	return binaries
}

// pages has requests that are made of calls, behind everything that can stand in front of a service; one service fails now and then,
// and one asks another.
const pages = `
version: 1
name: pages
application:
  services:
    orders: {script: [{call: price}], response: {size: 2KiB}}
    stock: {replicas: 2, errors: 50%, response: {size: 0}}
    price: {}
topologies:
  mesh: {mesh: {sidecars: both, mtls: strict}}
  composed: {gateway: {replicas: 2, stages: {key_auth: on}, compose: {/page: {parts: {b: {service: stock}, a: {service: orders}, c: {service: orders, path: /again}}}}}}
  composed+mesh: {extends: [composed, mesh]}
load: {rates: [100], requests: [{path: /page, calls: [{service: orders}, {service: orders, path: /again}, {service: stock}]}]}
`

func composedPagesPass(t *testing.T, d *process.Deployer) {
	e, err := topologies.Parse("pages.yaml", []byte(pages))
	require.NoError(t, err)
	for _, arm := range e.Arms() {
		t.Run(arm.Name, func(t *testing.T) {
			running, err := d.Deploy(t.Context(), arm)
			require.NoError(t, err)
			defer func() { require.NoError(t, running.Close(t.Context())) }()
			require.Empty(t, parity.Check(t.Context(), arm, running))
		})
	}
}

func TestRealPrograms(t *testing.T) {
	d, err := process.New(process.Config{Binaries: build(t), Dir: t.TempDir(), Temp: t.TempDir()})
	require.NoError(t, err)
	t.Run("storefront", func(t *testing.T) { readyFilePasses(t, d, "storefront", "direct", "gateway", "mesh", "gateway+mesh") })
	t.Run("aggregation", func(t *testing.T) { readyFilePasses(t, d, "aggregation", "direct", "composed") })
	t.Run("pages", func(t *testing.T) { composedPagesPass(t, d) })
	t.Run("arrangements", func(t *testing.T) { everyArrangementIsWhatItSays(t, d) })
}

// readyFilePasses deploys topologies of an experiment: each comes up and does the work it is compared by.
func readyFilePasses(t *testing.T, d *process.Deployer, name string, arms ...string) {
	text, known := topologies.Ready(name)
	require.True(t, known)
	e, err := topologies.Parse(name+".yaml", text)
	require.NoError(t, err)
	for _, name := range arms {
		arm, known := e.Arm(name)
		require.True(t, known)
		t.Run(arm.Name, func(t *testing.T) {
			began := time.Now()
			running, err := d.Deploy(t.Context(), arm)
			require.NoError(t, err)
			defer func() { require.NoError(t, running.Close(t.Context())) }()
			ready := time.Since(began)
			began = time.Now()
			require.Empty(t, parity.Check(t.Context(), arm, running))
			t.Logf("%d processes ready in %v, probed in %v", len(running.Processes()), ready, time.Since(began))
		})
	}
}

const arrangements = `
version: 1
name: arrangements
application:
  entry: front
  services:
    front: {script: [{call: orders}, [{call: stock, probability: 10%}, {call: price}]], response: {size: 2KiB}}
    orders: {script: [{call: stock}], work: {wait: {uniform: {min: 10us, max: 90us}}}}
    stock: {replicas: 2, errors: 5%}
    price: {}
topologies:
  gateways: {gateway: {replicas: 2, stages: {key_auth: on, rate_limit: {rate: 100k, burst: 10k}}}}
  plain: {gateway: {}}
  tls: {gateway: {tls: on}}
  limited: {gateway: {stages: {rate_limit: {rate: 100k, burst: 10k}}}}
  shadow: {gateway: {stages: {key_auth: shadow, rate_limit: {mode: shadow, rate: 100k, burst: 10k}}}}
  jwt: {gateway: {stages: {jwt: on}}}
  introspection: {gateway: {stages: {introspection: on, rate_limit: on}}}
  guarded: {gateway: {stages: {cors: on, authorization: on, body_limit: {max: 64KiB}, access_log: on}}}
  watching: {gateway: {stages: {cors: shadow, jwt: shadow, introspection: shadow, authorization: shadow}}}
  terms: {gateway: {upstream: {balance: peak_ewma, retries: on, breaker: on, health: on, bulkhead: on}}}
  everything: {extends: [gateways, tls, jwt, introspection, guarded, terms, strict]}
  client: {mesh: {sidecars: client, mtls: off}}
  server: {mesh: {sidecars: server, mtls: permissive}}
  permissive: {mesh: {sidecars: both, mtls: permissive}}
  strict: {mesh: {sidecars: both, mtls: strict}}
  off: {mesh: {sidecars: both, mtls: off}}
  gateway+permissive: {extends: [plain, permissive]}
  gateway+off: {extends: [plain, off]}
  gateway+client: {extends: [plain, client]}
  relay: {gateway: {use: relay}}
  relays: {mesh: {use: relay, app: unix}}
  relay+relays: {extends: [relay, relays]}
  opaque: {mesh: {protocol: opaque, authorization: on}}
  unix: {mesh: {app: unix, authorization: on, retries: on, breaker: off}}
  opaque-unix: {extends: [plain], mesh: {protocol: opaque, app: unix}}
  dry: {mesh: {authorization: dry_run}}
load: {rates: [100], requests: [{path: /, headers: {X-Api-Key: demo}}]}
`

// everyArrangementIsWhatItSays deploys what an experiment can declare. Held against the declaration of another arm it fails, by the
// probe that is there for the difference.
func everyArrangementIsWhatItSays(t *testing.T, d *process.Deployer) {
	e, err := topologies.Parse("arrangements.yaml", []byte(arrangements))
	require.NoError(t, err)
	mistaken := map[string]struct{ as, probe string }{
		"tls":                {"plain", "tls"},
		"limited":            {"plain", "rate_limit"},
		"shadow":             {"limited", "rate_limit"},
		"jwt":                {"introspection", "introspection"},
		"introspection":      {"jwt", "jwt"},
		"watching":           {"guarded", "authorization"},
		"guarded":            {"watching", "cors"},
		"terms":              {"plain", "upstream"},
		"everything":         {"gateway+permissive", "stages"},
		"client":             {"strict", "hops"},
		"server":             {"client", "hops"},
		"off":                {"strict", "mtls"},
		"permissive":         {"strict", "mtls"},
		"gateway+permissive": {"permissive", "hops"},
		"plain":              {"relay", "relays"},
		"relays":             {"off", "hops"},
		"opaque":             {"strict", "hops"},
		"strict":             {"opaque", "opaque"},
		"unix":               {"strict", "terms"},
		"dry":                {"unix", "app"},
	}
	for _, arm := range e.Arms() {
		t.Run(arm.Name, func(t *testing.T) {
			running, err := d.Deploy(t.Context(), arm)
			require.NoError(t, err)
			defer func() { require.NoError(t, running.Close(t.Context())) }()
			require.Empty(t, parity.Check(t.Context(), arm, running))
			other, paired := mistaken[arm.Name]
			if !paired {
				return
			}
			declared, known := e.Arm(other.as)
			require.True(t, known)
			var probes []string
			for _, f := range parity.Check(t.Context(), declared, running) {
				probes = append(probes, f.Probe)
			}
			require.Contains(t, probes, other.probe, "%s taken for %s", arm.Name, other.as)
		})
	}
}
