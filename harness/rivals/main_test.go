package rivals_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/harness/deploy"
	"crossroads/harness/deploy/process"
	"crossroads/harness/rivals"
	"crossroads/topologies"
)

// TestMain lets the test binary be the supervisor. syscall.Exit, because os.Exit sleeps a second under the race detector.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "supervise" {
		syscall.Exit(process.Supervise(os.Stdin, os.Stdout))
	}
	status := m.Run()
	if workloadDir != "" {
		_ = os.RemoveAll(workloadDir)
	}
	os.Exit(status)
}

var workloadDir string

// workload builds the application under test once, as it is measured: without the race detector.
var workload = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "rivals-test-")
	if err != nil {
		return "", err
	}
	workloadDir = dir
	path := filepath.Join(dir, "workload")
	build := exec.Command("go", "build", "-o", path, "crossroads/harness/cmd/workload")
	build.Stderr = os.Stderr
	return path, build.Run()
})

func deployer(t *testing.T, set rivals.Set, temp string) *process.Deployer {
	t.Helper()
	path, err := workload()
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	d, err := process.New(process.Config{
		Binaries: map[string]string{"crossroads": self, deploy.KindWorkload: path},
		Dir:      t.TempDir(), Temp: temp, Rivals: set.Renderers(),
	})
	require.NoError(t, err)
	return d
}

// find returns a rival's program. Where CI is set the ones that CI installs must be there: a test that is skipped in silence would hide
// a rival that no longer works.
func find(t *testing.T, name string) rivals.Found {
	t.Helper()
	for _, r := range rivals.All() {
		if r.Name != name {
			continue
		}
		found, err := r.Find()
		installed := map[string]bool{"nginx": true, "haproxy": true, "caddy": true}[name]
		if err != nil && (os.Getenv("CI") == "" || !installed) {
			t.Skipf("%v: %s", err, r.Get)
		}
		require.NoError(t, err)
		return found
	}
	t.Fatalf("no rival %s", name)
	return rivals.Found{}
}

func parse(t *testing.T, text string) *topologies.Experiment {
	t.Helper()
	e, err := topologies.Parse("rivals.yaml", []byte(text))
	require.NoError(t, err)
	return e
}
