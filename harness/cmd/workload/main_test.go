package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMain lets the test binary stand in for the program, so that signals and exit codes are the real ones.
func TestMain(m *testing.M) {
	if os.Getenv("WORKLOAD_MAIN") == "1" {
		main()
	}
	os.Exit(m.Run())
}

const experiment = `version: 1
name: pair
application:
  entry: front
  services:
    front: {work: {cpu: 5us}, response: {size: 10B}, script: [{call: back}]}
    back: {response: {size: 3B}}
topologies: {direct: {}}
load: {rates: [1]}
`

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	return file
}

func TestUsage(t *testing.T) {
	good := write(t, "e.yaml", experiment)
	broken := write(t, "broken.yaml", strings.Replace(experiment, "entry: front", "entry: frnt", 1))
	notJSON := write(t, "peers.json", "[]")
	for name, c := range map[string]struct {
		args []string
		code int
		err  string
	}{
		"no command":      {nil, 0, ""},
		"help":            {[]string{"--help"}, 0, ""},
		"help of run":     {[]string{"run", "--help"}, 0, ""},
		"version":         {[]string{"version"}, 0, ""},
		"unknown command": {[]string{"walk"}, 2, `unknown command "walk"`},
		"unknown flag":    {[]string{"run", "--port", "1"}, 2, "-port"},
		"nothing given":   {[]string{"run"}, 2, "run needs"},
		"extra argument":  {[]string{"run", "--experiment", good, "--service", "back", "--listen", "127.0.0.1:0", "more"}, 2, "nothing else"},
		"no such file":    {[]string{"run", "--experiment", "none.yaml", "--service", "back", "--listen", "127.0.0.1:0"}, 2, "none.yaml"},
		"broken file":     {[]string{"run", "--experiment", broken, "--service", "back", "--listen", "127.0.0.1:0"}, 2, `did you mean "front"?`},
		"unknown service": {[]string{"run", "--experiment", good, "--service", "bck", "--listen", "127.0.0.1:0"}, 2, `"bck"`},
		"no peers":        {[]string{"run", "--experiment", good, "--service", "front", "--listen", "127.0.0.1:0", "--calibration", "100"}, 2, "no address of back"},
		"bad peers":       {[]string{"run", "--experiment", good, "--service", "front", "--listen", "127.0.0.1:0", "--peers", notJSON}, 2, "peers"},
		"bad calibration": {[]string{"run", "--experiment", good, "--service", "back", "--listen", "127.0.0.1:0", "--calibration", "fast"}, 2, "calibration"},
		"bad address":     {[]string{"run", "--experiment", good, "--service", "back", "--listen", "nowhere"}, 1, "listen for back"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			require.Equal(t, c.code, run(c.args, &out, &errs), errs.String())
			if c.code == 0 {
				require.NotEmpty(t, out.String())
				require.Empty(t, errs.String())
				return
			}
			require.Empty(t, out.String())
			require.True(t, strings.HasPrefix(errs.String(), "error: "))
			require.Contains(t, errs.String(), c.err)
		})
	}
}

// launch starts the program and returns the address that it says it serves.
func launch(t *testing.T, args ...string) (*exec.Cmd, string) {
	t.Helper()
	c := exec.Command(os.Args[0], append([]string{"run"}, args...)...)
	c.Env = append(os.Environ(), "WORKLOAD_MAIN=1")
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	t.Cleanup(func() { c.Process.Kill() })
	line := make([]byte, 200)
	n, err := out.Read(line)
	require.NoError(t, err)
	_, address, found := strings.Cut(strings.TrimSpace(string(line[:n])), " on ")
	require.True(t, found, string(line[:n]))
	return c, address
}

func TestTwoNodesServeAndStop(t *testing.T) {
	file := write(t, "e.yaml", experiment)
	socket := filepath.Join(t.TempDir(), "back.sock")
	back, address := launch(t, "--experiment", file, "--service", "back", "--listen", "unix:"+socket)
	require.Equal(t, socket, address)
	peers := write(t, "peers.json", `{"back": ["unix:`+socket+`"]}`)
	front, address := launch(t, "--experiment", file, "--service", "front", "--listen", "127.0.0.1:0", "--peers", peers, "--calibration", "100")

	r, err := http.Get("http://" + address + "/")
	require.NoError(t, err)
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.NoError(t, r.Body.Close())
	require.Equal(t, 200, r.StatusCode)
	require.Len(t, body, 10)

	for _, c := range []*exec.Cmd{front, back} {
		require.NoError(t, c.Process.Signal(syscall.SIGTERM))
		done := make(chan error, 1)
		go func() { done <- c.Wait() }()
		select {
		case err := <-done:
			require.NoError(t, err, "a clean stop is exit 0")
		case <-time.After(20 * time.Second):
			t.Fatal("SIGTERM did not end it")
		}
	}
	require.NoFileExists(t, socket)
}
