package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"crossroads/proxies/operate/operatetest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sidecar": main})
}

func TestScripts(t *testing.T) {
	example, err := os.ReadFile("example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata", Cmds: operatetest.Commands, RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			if err := os.CopyFS(filepath.Join(e.WorkDir, "examples"), os.DirFS("examples")); err != nil {
				return err
			}
			return os.WriteFile(e.WorkDir+"/example.yaml", example, 0o600)
		},
	})
}

func TestExitCodes(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	require.NoError(t, os.WriteFile(bad, []byte("version: 2\n"), 0o600))
	for args, code := range map[string]int{
		"version": 0, "--help": 0, "validate -c example.yaml": 0, "validate -c example-mesh.yaml": 0,
		"frobnicate": 2, "validate": 2, "validate --frob": 2, "validate more -c example.yaml": 2, "validate -c " + bad: 2,
		"run -c " + bad:            2,
		"validate -c missing.yaml": 1,
	} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, code, run(strings.Fields(args), nil, &stdout, &stderr), "%s: %s", args, stderr.String())
		require.Equal(t, code != 0, strings.HasPrefix(stderr.String(), "error: "), args)
	}
}

func TestWhatItSays(t *testing.T) {
	for args, says := range map[string]string{
		"": "Usage:", "--help": "sidecar run --config", "run --help": "Examples:", "validate --help": "--print-defaults",
		"frobnicate": "error: unknown command", "validate": "error: required flag", "validate -c missing.yaml": "error: read the configuration: ",
	} {
		var out bytes.Buffer
		run(strings.Fields(args), nil, &out, &out)
		require.Contains(t, out.String(), says, args)
	}
}
