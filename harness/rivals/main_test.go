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
	if programsDir != "" {
		_ = os.RemoveAll(programsDir)
	}
	os.Exit(status)
}

var programsDir string

// programs builds the application under test and a mesh, once, as they are measured: without the race detector.
var programs = sync.OnceValues(func() (map[string]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if programsDir, err = os.MkdirTemp("", "rivals-test-"); err != nil {
		return nil, err
	}
	build := exec.Command("go", "build", "-trimpath", "-o", programsDir+"/", "crossroads/harness/cmd/workload", "crossroads/proxies/cmd/gateway", "crossroads/proxies/cmd/sidecar", "crossroads/proxies/cmd/control")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as the Makefile builds them, so that the two share the build cache
	build.Stderr = os.Stderr
	found := map[string]string{"crossroads": self}
	for _, kind := range []string{deploy.KindWorkload, deploy.KindGateway, deploy.KindSidecar, deploy.KindControl} {
		found[kind] = filepath.Join(programsDir, kind)
	}
	return found, build.Run()
})

func deployer(t *testing.T, set rivals.Set, temp string) *process.Deployer {
	t.Helper()
	return deployerOf(t, set.Renderers(), temp)
}

func deployerOf(t *testing.T, renderers map[string]process.RivalRenderer, temp string) *process.Deployer {
	t.Helper()
	binaries, err := programs()
	require.NoError(t, err)
	d, err := process.New(process.Config{Binaries: binaries, Dir: filepath.Join(programsDir, "logs"), Temp: temp, Rivals: renderers})
	require.NoError(t, err)
	return d
}

// find returns a rival's program. Where CI is set every one must be there: a test that is skipped in silence would hide
// a rival that no longer works.
func find(t *testing.T, name string) rivals.Found {
	t.Helper()
	for _, r := range rivals.All() {
		if r.Name != name {
			continue
		}
		found, err := r.Find()
		if err != nil && os.Getenv("CI") == "" {
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
