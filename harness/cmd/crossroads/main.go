// Command crossroads measures what it costs, and what it buys, to put an API gateway, a sidecar mesh, or both in front of an
// application.
//
// stdout carries the result alone: a table, or exactly one JSON document with --format json, also on failure. Everything else goes
// to stderr. The exit codes stand in exit.go.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is main with its surroundings as arguments, for tests.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return a.report(root.ExecuteContext(ctx))
}

// app carries the streams and what every verb shares.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	format         string // text | json
	status         int    // of the hidden verbs, which have exit codes of their own
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "crossroads",
		Short: "What does an API gateway, a sidecar mesh, or both cost, and what does it buy?",
		Long: `Crossroads holds an application and its load constant, moves only the proxies, and measures the difference.

It deploys the topologies that an experiment file declares as real processes on this machine, drives
them open-loop at the declared rates in interleaved random rounds, and writes records and a report.`,
		Example: `  crossroads bench                         the ready storefront experiment, with a report
  crossroads validate my.yaml && crossroads bench my.yaml
  crossroads plan my.yaml                  every trial in order, and how long it takes`,
		SilenceUsage: true, SilenceErrors: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.PersistentFlags().StringVar(&a.format, "format", "text", "what stdout carries: text or json")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if a.format != "text" && a.format != "json" {
			return usage("--format %s: choose text or json", a.format)
		}
		return nil
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &exit{code: exitUsage, err: err, hint: "see `" + c.CommandPath() + " --help`"}
	})
	root.AddCommand(a.bench(), a.runVerb(), a.reportVerb(), a.planVerb(), a.compare(), a.gateVerb(), a.capacity(), a.predict(), a.verify(), a.features(), a.render(), a.validate(), a.graph(), a.initVerb(),
		a.doctor(), a.schema(), a.completion(), a.version(), a.drive(), a.supervise())
	return root
}
