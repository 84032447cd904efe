package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"crossroads/proxies/operate/operatetest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"conformance": main,
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata", Cmds: operatetest.Commands, RequireExplicitExec: true})
}
