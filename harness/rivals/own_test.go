package rivals_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/harness/deploy/process"
	"crossroads/harness/parity"
	"crossroads/harness/rivals"
	"crossroads/topologies"
)

const ownShop = `
version: 1
name: own
application: {entry: app, services: {app: {replicas: 2, response: {size: 1KiB}}}}
topologies:
  plain: {gateway: {use: RIVAL}}
  own: {gateway: {use: RIVAL, config: my.file}}
load: {rates: [100], connections: 64}
`

// TestOwnFileComesBack: what is rendered with variables and given back as a file of one's own is the rendered file again.
func TestOwnFileComesBack(t *testing.T) {
	entry := &process.RivalTLS{Certificate: "/private/e.crt", Key: "/private/e.key", Roots: "/private/entry-roots.pem", Both: "/private/e.pem"}
	for _, r := range rivals.All() {
		t.Run(r.Name, func(t *testing.T) { comesBack(t, r, "", nil) })
		t.Run(r.Name+" by TLS", func(t *testing.T) { comesBack(t, r, ", tls: on", entry) })
	}
}

func comesBack(t *testing.T, r rivals.Rival, besides string, entry *process.RivalTLS) {
	name, text, e := open(t, r.Name+besides)
	require.Equal(t, "plain", strings.TrimSuffix(strings.TrimSuffix(name, filepath.Ext(name)), "-routes"))
	require.NotContains(t, text, "127.0.0.1:", "an address that only one deployment has")
	require.Contains(t, text, "{{")
	found, err := r.Find()
	if err != nil {
		found.Rival = r
	}
	var files []map[string]string
	for _, arm := range e.Arms() {
		dir := t.TempDir()
		_, err := found.Render(process.RivalSpec{ID: "gateway-1", Gateway: *arm.Topology.Gateway, Listen: "127.0.0.1:8080", Admin: "127.0.0.1:9901",
			Upstream: []string{"127.0.0.1:9000", "127.0.0.1:9001"}, Host: "app", Entry: entry, Dir: dir, Private: "/private", Connections: 64})
		require.NoError(t, err)
		files = append(files, contents(t, dir))
	}
	require.Equal(t, files[0], files[1])
}

// open renders the plain topology with variables and makes it the other's own file.
func open(t *testing.T, rival string) (name, text string, e *topologies.Experiment) {
	t.Helper()
	declared := strings.ReplaceAll(ownShop, "RIVAL", rival)
	plain, _ := parse(t, strings.Replace(declared, ", config: my.file", "", 1)).Arm("plain")
	name, text, err := rivals.Rendered(plain)
	require.NoError(t, err)
	return name, text, withOwn(t, declared, text)
}

func withOwn(t *testing.T, declared, text string) *topologies.Experiment {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "my.file"), []byte(text), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "own.yaml"), []byte(declared), 0o600))
	e, err := topologies.Load(filepath.Join(dir, "own.yaml"))
	require.NoError(t, err)
	resolved, err := topologies.Marshal(e)
	require.NoError(t, err)
	again, err := topologies.Parse("resolved.yaml", resolved)
	require.NoError(t, err, "a run keeps the text, and needs the file no more")
	return again
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		require.NoError(t, err)
		all[entry.Name()] = strings.ReplaceAll(string(text), dir, "DIR")
	}
	return all
}

// TestOwnFileIsProbed: a file of one's own is deployed and asked like any other, and kept out where it does not do what is declared.
func TestOwnFileIsProbed(t *testing.T) {
	set := rivals.Set{"nginx": find(t, "nginx")}
	_, text, _ := open(t, "nginx")
	text = strings.Replace(text, "worker_connections", "multi_accept on; worker_connections", 1)
	e := withOwn(t, strings.ReplaceAll(ownShop, "RIVAL", "nginx"), text)
	d := deployer(t, set, t.TempDir())
	for name, want := range map[string]string{"own": "", "own-key": "key_auth"} {
		if want != "" {
			own := e.Topologies.At("own")
			g := *own.Gateway
			g.Stages.KeyAuth = &topologies.StageMode{Mode: topologies.ModeOn}
			e.Topologies.Set(name, topologies.Topology{Gateway: &g})
		}
		arm, _ := e.Arm(name)
		running, err := d.Deploy(t.Context(), arm)
		require.NoError(t, err, notReady(err))
		failures := parity.Check(t.Context(), arm, running)
		kept, err := os.ReadFile(filepath.Join(filepath.Dir(running.Processes()[0].Log), "gateway-1.conf"))
		require.NoError(t, err)
		require.Contains(t, string(kept), "multi_accept on;", "with the run's logs")
		require.NoError(t, running.Close(t.Context()))
		if want == "" {
			require.Empty(t, failures)
			continue
		}
		require.NotEmpty(t, failures)
		for _, f := range failures {
			require.Equal(t, want, f.Probe, f.Text)
		}
	}
}
