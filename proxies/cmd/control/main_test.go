package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"control": main})
}

// TestScripts runs testdata/*.txt, each a session at a terminal.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata", Cmds: map[string]func(*testscript.TestScript, bool, []string){
		// mode FILE BITS checks who may read a file.
		"mode": func(ts *testscript.TestScript, _ bool, args []string) {
			info, err := os.Stat(ts.MkAbs(args[0]))
			ts.Check(err)
			if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[1] {
				ts.Fatalf("%s has mode %s, not %s", args[0], got, args[1])
			}
		},
		// taken VARIABLE sets a variable to an address on which somebody listens.
		"taken": func(ts *testscript.TestScript, _ bool, args []string) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			ts.Check(err)
			ts.Defer(func() { l.Close() })
			ts.Setenv(args[0], l.Addr().String())
		},
		// substitute FILE WORD VALUE replaces a word of a file.
		"substitute": func(ts *testscript.TestScript, _ bool, args []string) {
			text := strings.ReplaceAll(ts.ReadFile(args[0]), args[1], args[2])
			ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o644))
		},
	}})
}

// TestExampleRuns starts the example as it stands, but for its ports, and drains it by SIGTERM.
func TestExampleRuns(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"example.yaml", "example-endpoints.yaml"} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		free := regexp.MustCompile(`(?m)^(bootstrap: |listen: |admin: \{address: )127\.0\.0\.1:\d+`).ReplaceAll(text, []byte("${1}127.0.0.1:0"))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), free, 0o644))
	}
	executable, err := os.Executable()
	require.NoError(t, err)
	link := filepath.Join(dir, "control") // the test binary plays the command of this name
	require.NoError(t, os.Symlink(executable, link))
	c := exec.Command(link, "run", "--config", filepath.Join(dir, "example.yaml"))
	logs, err := c.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	defer c.Process.Kill()
	admin := ""
	lines := bufio.NewScanner(logs)
	for admin == "" && lines.Scan() {
		if found := regexp.MustCompile(`"admin":"([^"]+)"`).FindStringSubmatch(lines.Text()); found != nil {
			admin = found[1]
		}
	}
	require.NotEmpty(t, admin)
	response, err := (&http.Client{Timeout: 30 * time.Second}).Get("http://" + admin + "/snapshot")
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Contains(t, string(body), "spiffe://mesh.example/ns/default/sa/hello")
	require.FileExists(t, filepath.Join(dir, "state", "ca.pem"))
	require.FileExists(t, filepath.Join(dir, "state", "bootstrap.token"))
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	io.Copy(io.Discard, logs)
	require.NoError(t, c.Wait(), "exit code 0")
}

func TestExitCodes(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	require.NoError(t, os.WriteFile(bad, []byte("version: 1\n"), 0o644))
	for args, code := range map[string]int{
		"version":                        0,
		"--help":                         0,
		"validate --config example.yaml": 0,
		"validate --config " + bad:       2,
		"run --config " + bad:            2,
		"validate":                       2,
		"unknown":                        2,
		"version too much":               2,
		"validate --config none.yaml":    1,
		"init --trust-domain m.test --dir main.go": 1,
	} {
		require.Equal(t, code, run(strings.Fields(args), io.Discard, io.Discard), args)
	}
}

func TestExampleIsValid(t *testing.T) {
	c, err := config.LoadControl("example.yaml")
	require.NoError(t, err)
	_, err = config.LoadEndpoints(c.Endpoints)
	require.NoError(t, err)
	require.Equal(t, config.ControlAdmin, c.Admin.Address)
}
