package rivals_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/harness/deploy"
	"crossroads/harness/deploy/process"
	"crossroads/harness/parity"
	"crossroads/harness/rivals"
	workloads "crossroads/harness/workload"
	"crossroads/results"
	"crossroads/topologies"
)

const shop = `
version: 1
name: shop
application:
  entry: front
  services:
    front: {replicas: 2, script: [{call: stock}], response: {size: 2KiB}}
    stock: {}
topologies:
  plain: {gateway: {use: RIVAL}}
  two: {gateway: {use: RIVAL, replicas: 2}}
  strict: {gateway: {use: RIVAL}, mesh: {mtls: strict}}
  tls: {gateway: {use: RIVAL, tls: on}}
load:
  rates: [100]
  requests:
    - {path: "/a%20b?c=d&e=%2F"}
    - {method: POST, path: /orders, body: {size: 300KiB}}
`

const stages = `
version: 1
name: stages
application: {entry: app, services: {app: {response: {size: 1KiB}}}}
topologies:
  key: {gateway: {use: RIVAL, stages: {key_auth: on, access_log: on}}}
  limit: {gateway: {use: RIVAL, stages: {rate_limit: {rate: 100k, burst: 10k}}}}
  all: {gateway: {use: RIVAL, stages: {key_auth: on, rate_limit: {rate: 100k, burst: 10k}, access_log: on}}}
  mtls: {gateway: {use: RIVAL}, mesh: {sidecars: server, mtls: strict}}
  jwt: {gateway: {use: RIVAL, stages: {jwt: on, rate_limit: {rate: 100k, burst: 10k}}, upstream: {UPSTREAM}}}
  low: {gateway: {use: RIVAL, stages: {rate_limit: {rate: 2, burst: 3}}}}
load: {rates: [1], requests: [{path: /, headers: {X-Api-Key: demo}}]}
`

const sidecars = `
version: 1
name: sidecars
application:
  entry: front
  services:
    front: {script: [[{call: stock}, {call: price, request: {size: 300KiB}}]], response: {size: 2KiB}}
    stock: {replicas: 2, script: [{call: price}]}
    price: {}
topologies:
  strict: {mesh: {use: RIVAL, mtls: strict}}
  plain: {mesh: {use: RIVAL, mtls: off, balance: least_request}}
  front: {gateway: {use: RIVAL}, mesh: {use: RIVAL, mtls: strict}}
  under-reference: {gateway: {}, mesh: {use: RIVAL, mtls: strict}}
load:
  rates: [100]
  requests: [{path: "/a%20b?c=d&e=%2F"}, {method: POST, path: /orders, body: {size: 300KiB}}]
`

// terms are all that a rival does about its endpoints.
var terms = map[string]string{"envoy": "balance: least_request, retries: on, breaker: on, health: on", "haproxy": "balance: least_request, health: on"}

// TestParity deploys every rival that is installed and holds it against the declaration, as a run does before it loads an arm.
func TestParity(t *testing.T) {
	for _, r := range rivals.All() {
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			found := find(t, r.Name)
			set := rivals.Set{r.Name: found}
			passes(t, set, strings.ReplaceAll(shop, "RIVAL", r.Name), "plain", "two", "strict", "tls")
			if r.Name == "nginx" || r.Name == "haproxy" || r.Name == "envoy" {
				passes(t, set, strings.ReplaceAll(sidecars, "RIVAL", r.Name), "strict", "plain", "front")
			}
			if r.Name == "envoy" { // the one that reads who a caller is
				passes(t, set, strings.ReplaceAll(sidecars, "RIVAL", r.Name), "under-reference")
			}
			guarded := strings.NewReplacer("RIVAL", r.Name, "UPSTREAM", terms[r.Name]).Replace(stages)
			if r.Name == "caddy" { // has no limit
				passes(t, set, guarded, "key", "mtls")
				return
			}
			passes(t, set, guarded, "limit", "all", "mtls")
			if r.Name == "envoy" || r.Name == "haproxy" {
				passes(t, set, guarded, "jwt")
			}
		})
	}
}

func passes(t *testing.T, set rivals.Set, experiment string, arms ...string) {
	t.Helper()
	temp := t.TempDir()
	d := deployer(t, set, temp)
	e := parse(t, experiment)
	for _, name := range arms {
		arm, known := e.Arm(name)
		require.True(t, known)
		running, err := d.Deploy(t.Context(), arm)
		require.NoError(t, err, "%s: %s", name, notReady(err))
		seen := parity.Look(t.Context(), arm, running)
		require.Empty(t, seen.Failures, name)
		if arm.EntryTLS() {
			require.Contains(t, seen.Handshakes, results.Handshake{At: "entry", Process: "gateway-1", Seen: results.SeenByProbe, Version: "TLS 1.3",
				Cipher: "TLS_AES_128_GCM_SHA256", Chain: 1}, name)
		}
		accepted(t, set, running)
		pids := family(running)
		require.NoError(t, running.Close(t.Context()))
		nothingLeft(t, temp, pids)
	}
}

// checkers make each program look at a file as it would before it served by it. Traefik has no such command.
var checkers = map[string]struct {
	suffix    string
	arguments func(file, temp string) []string
}{
	"nginx":   {".conf", func(file, temp string) []string { return []string{"-t", "-q", "-e", "stderr", "-p", temp, "-c", file} }},
	"haproxy": {".cfg", func(file, _ string) []string { return []string{"-c", "-q", "-f", file} }},
	"envoy": {".yaml", func(file, _ string) []string {
		return []string{"--mode", "validate", "--log-level", "error", "-c", file}
	}},
	"caddy": {".json", func(file, _ string) []string { return []string{"validate", "--config", file} }},
}

// accepted has every rendered configuration of a deployment looked at by the rival's own checker.
func accepted(t *testing.T, set rivals.Set, d deploy.Deployment) {
	t.Helper()
	for name, found := range set {
		checker, has := checkers[name]
		if !has {
			require.Equal(t, "traefik", name)
			continue
		}
		looked := 0
		for _, p := range d.Processes() {
			file := filepath.Join(filepath.Dir(p.Log), p.ID+checker.suffix)
			if _, err := os.Stat(file); err != nil || p.Kind == deploy.KindWorkload || p.Kind == deploy.KindControl {
				continue
			}
			if text, err := os.ReadFile(file); err == nil && !strings.Contains(string(text), "rendered by crossroads") && name != "caddy" {
				continue // of the reference sidecar
			}
			temp := t.TempDir()
			command := exec.Command(found.Path, checker.arguments(file, temp)...)
			command.Env = append(os.Environ(), "HOME="+temp)
			said, err := command.CombinedOutput()
			require.NoError(t, err, "%s does not accept %s: %s", name, file, said)
			looked++
		}
		require.NotZero(t, looked, "%s has looked at no file", name)
	}
}

func notReady(err error) string {
	if n, ok := err.(*deploy.NotReady); ok {
		return strings.Join(n.Log, "\n")
	}
	return ""
}

// family lists the processes of a deployment and all of their descendants, with their start times.
func family(d deploy.Deployment) map[int]string {
	pids := map[int]string{}
	for _, p := range d.Processes() {
		pids[p.PID] = started(p.PID)
	}
	for grown := true; grown; {
		grown = false
		entries, _ := os.ReadDir("/proc")
		for _, e := range entries {
			pid, err := strconv.Atoi(e.Name())
			if err != nil || pids[pid] != "" {
				continue
			}
			if parent, _ := strconv.Atoi(stat(pid, 1)); pids[parent] != "" {
				pids[pid], grown = started(pid), true
			}
		}
	}
	return pids
}

// stat is a field of /proc/PID/stat, counted from the state on; "" where there is no such process.
func stat(pid, field int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if field >= len(fields) {
		return ""
	}
	return fields[field]
}

// started names a process for good, with its PID; "" for one that has ended, whether its parent has taken notice or not.
func started(pid int) string {
	if stat(pid, 0) == "Z" {
		return ""
	}
	return stat(pid, 19)
}

func nothingLeft(t *testing.T, temp string, pids map[int]string) {
	t.Helper()
	for pid, start := range pids {
		require.NotEqual(t, start, started(pid), "process %d is left", pid)
	}
	entries, err := os.ReadDir(temp)
	require.NoError(t, err)
	require.Empty(t, entries, "of the private directory")
}

// TestFields compares what the application gets to see through a rival with what a client sent.
func TestFields(t *testing.T) {
	for _, r := range rivals.All() {
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			found := find(t, r.Name)
			d := deployer(t, rivals.Set{r.Name: found}, t.TempDir())
			arm, _ := parse(t, strings.ReplaceAll(shop, "RIVAL", r.Name)).Arm("plain")
			running, err := d.Deploy(t.Context(), arm)
			require.NoError(t, err)
			defer func() { require.NoError(t, running.Close(t.Context())) }()
			fieldsArrive(t, r.Name, running.Entries()[0].URL)
			if !found.Uncounted { // as Debian's; nginx from a wheel shows none
				counts(t, r.Name, running)
			}
		})
	}
}

func fieldsArrive(t *testing.T, rival, base string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/", nil)
	require.NoError(t, err)
	request.Host = "shop.example:99"
	request.Header = http.Header{"X-Forwarded-For": {"6.6.6.6"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"forged"},
		"Forwarded": {"for=6.6.6.6"}, "X-Request-Id": {"forged"}, "X-Crossroads-Probe": {"1"}}
	fields, response := probe(t, request)
	require.Equal(t, []string{"127.0.0.1"}, fields["X-Forwarded-For"])
	require.Equal(t, []string{"http"}, fields["X-Forwarded-Proto"])
	require.Equal(t, []string{"shop.example:99"}, fields["X-Forwarded-Host"])
	require.Equal(t, []string{"shop.example:99"}, fields["Host"])
	require.Equal(t, "1.1 "+rival, strings.ToLower(strings.Join(fields["Via"], ", ")))
	require.Empty(t, fields["Forwarded"])
	if rival == "traefik" {
		return // makes no request id
	}
	require.Len(t, fields["X-Request-Id"], 1)
	require.NotEqual(t, "forged", fields["X-Request-Id"][0])
	require.Equal(t, fields["X-Request-Id"], response["X-Request-Id"], "the client gets to see the same")
}

// TestLimitActs sends more than a declared burst at once: what parity cannot do, as it would use up the burst that the load needs.
func TestLimitActs(t *testing.T) {
	for _, name := range []string{"nginx", "haproxy", "envoy", "traefik"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deployer(t, rivals.Set{name: find(t, name)}, t.TempDir())
			arm, _ := parse(t, strings.NewReplacer("RIVAL", name, "UPSTREAM", "").Replace(stages)).Arm("low")
			running, err := d.Deploy(t.Context(), arm)
			require.NoError(t, err, notReady(err))
			defer func() { require.NoError(t, running.Close(t.Context())) }()
			var statuses []int
			for range 5 {
				response, err := http.Get(running.Entries()[0].URL)
				require.NoError(t, err)
				require.NoError(t, response.Body.Close())
				statuses = append(statuses, response.StatusCode)
			}
			require.Equal(t, []int{200, 200, 200}, statuses[:3], "the burst passes")
			require.Contains(t, statuses[3:], http.StatusTooManyRequests)
		})
	}
}

// mistaken renders a rival that expects another service behind the address, another authority behind the certificate, or other endpoints.
type mistaken struct {
	rivals.Found
	about func(*process.RivalSpec)
}

func (m mistaken) Render(s process.RivalSpec) (process.RivalProgram, error) {
	m.about(&s)
	return m.Found.Render(s)
}

// TestEndpointsAreVerified: a rival hands nothing on to an endpoint that does not prove what it should, neither to another service of the
// mesh nor to one that somebody else vouches for.
func TestEndpointsAreVerified(t *testing.T) {
	for _, r := range rivals.All() {
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			found := find(t, r.Name)
			for what, about := range map[string]func(*process.RivalSpec){
				"another service":   func(s *process.RivalSpec) { s.Host, s.Identity = "other", s.Identity+"-other" },
				"another authority": func(s *process.RivalSpec) { s.TLS.Roots = s.TLS.Certificate },
			} {
				d := deployerOf(t, map[string]process.RivalRenderer{r.Name: mistaken{found, about}}, t.TempDir())
				arm, _ := parse(t, strings.NewReplacer("RIVAL", r.Name, "UPSTREAM", "").Replace(stages)).Arm("mtls")
				running, err := d.Deploy(t.Context(), arm)
				require.NoError(t, err, notReady(err))
				response, err := http.Get(running.Entries()[0].URL)
				require.NoError(t, err)
				require.NoError(t, response.Body.Close())
				require.Contains(t, []int{http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable}, response.StatusCode, what)
				require.NoError(t, running.Close(t.Context()))
			}
		})
	}
}

// probe sends a request that the workload answers with what it saw of it.
func probe(t *testing.T, request *http.Request) (seen, response http.Header) {
	t.Helper()
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	var saw workloads.Probe
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&saw))
	seen = http.Header{}
	for _, field := range saw.Headers {
		seen.Add(field[0], field[1])
	}
	seen.Set("Host", saw.Host)
	return seen, answer.Header
}

// TestKilledSupervisor kills the supervisor itself: whatever a rival forked has to end all the same.
func TestKilledSupervisor(t *testing.T) {
	for _, r := range rivals.All() {
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			temp := t.TempDir()
			d := deployer(t, rivals.Set{r.Name: find(t, r.Name)}, temp)
			arm, _ := parse(t, strings.ReplaceAll(shop, "RIVAL", r.Name)).Arm("plain")
			running, err := d.Deploy(t.Context(), arm)
			require.NoError(t, err)
			pids := family(running)
			supervisor, err := strconv.Atoi(stat(running.Processes()[0].PID, 1))
			require.NoError(t, err)
			killed, err := os.FindProcess(supervisor)
			require.NoError(t, err)
			require.NoError(t, killed.Kill())
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			require.NoError(t, running.Close(ctx))
			nothingLeft(t, temp, pids)
		})
	}
}

// TestPlacement lets a rival have one CPU: it starts as many workers as that.
func TestPlacement(t *testing.T) {
	found := find(t, "nginx")
	d := deployer(t, rivals.Set{"nginx": found}, t.TempDir())
	e := parse(t, strings.ReplaceAll(shop, "RIVAL", "nginx"))
	e.Placement = topologies.Placement{Proxies: topologies.Ints{0}}
	arm, _ := e.Arm("plain")
	running, err := d.Deploy(t.Context(), arm)
	require.NoError(t, err)
	defer func() { require.NoError(t, running.Close(t.Context())) }()
	i := slices.IndexFunc(running.Processes(), func(p deploy.Process) bool { return p.Kind == deploy.KindGateway })
	gateway := running.Processes()[i]
	workers := 0
	for pid := range family(running) {
		if stat(pid, 1) == strconv.Itoa(gateway.PID) {
			workers++
		}
	}
	require.Equal(t, 1, workers)
	conf, err := os.ReadFile(filepath.Join(filepath.Dir(gateway.Log), "gateway-1.conf"))
	require.NoError(t, err)
	require.Contains(t, string(conf), "worker_processes 1;")
}
