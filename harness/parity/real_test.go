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
		deploy.KindControl: "crossroads/proxies/cmd/control", deploy.KindWorkload: "crossroads/harness/cmd/workload",
	}
	arguments := []string{"build", "-o", dir + "/"}
	for kind, path := range packages {
		arguments = append(arguments, path)
		binaries[kind] = filepath.Join(dir, kind)
	}
	said, err := exec.Command("go", arguments...).CombinedOutput()
	require.NoError(t, err, "%s", said)
	return binaries
}

// Every topology of the default experiment, with the real programs: it comes up, it does the work it is compared by, and a feature
// that is lost is noticed.
func TestStorefrontPassesParity(t *testing.T) {
	text, known := topologies.Ready("storefront")
	require.True(t, known)
	e, err := topologies.Parse("storefront.yaml", text)
	require.NoError(t, err)
	d, err := process.New(process.Config{Binaries: build(t), Dir: t.TempDir(), Temp: t.TempDir()})
	require.NoError(t, err)
	for _, arm := range e.Arms() {
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
