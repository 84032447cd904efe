package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"crossroads/proxies/operate/operatetest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"relay": main})
}

func TestScripts(t *testing.T) {
	example, err := os.ReadFile("example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata", Cmds: operatetest.Commands, RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error { return os.WriteFile(e.WorkDir+"/example.yaml", example, 0o600) },
	})
}
