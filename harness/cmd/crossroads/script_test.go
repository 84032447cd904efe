package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts run the command in a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(cleaned{m}, map[string]func(){
		"crossroads": func() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// cleaned removes the programs that the end-to-end tests built.
type cleaned struct{ m *testing.M }

func (c cleaned) Run() int {
	defer func() { _ = os.RemoveAll(binDir) }()
	return c.m.Run()
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true, UpdateScripts: os.Getenv("UPDATE") != ""})
}
