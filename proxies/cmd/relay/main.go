// Command relay runs the floor relay. `relay --help` shows what it can be told; what it does is in package relay.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"

	"github.com/spf13/cobra"

	"crossroads/proxies/config"
	"crossroads/proxies/operate"
	"crossroads/proxies/relay"
	"crossroads/proxies/telemetry"
)

// version is set by the linker.
var version = "development"

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is the whole program; its result is the exit code: 0, 1 where something could not be done, 2 where it was not understood.
func run(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	root := &cobra.Command{
		Use:   "relay",
		Short: "The floor relay: the input and output of a proxy and nothing else; an instrument, not for users",
		Example: `  relay run --config relay.yaml
  relay validate --config relay.yaml`,
		SilenceErrors: true, SilenceUsage: true,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return operate.Usage(err) })
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(runCommand(stderr), validateCommand(), versionCommand())
	return operate.Exit(stderr, "relay", operate.Misuse(root.ExecuteContext(context.Background())))
}

func runCommand(stderr io.Writer) *cobra.Command {
	c := &cobra.Command{
		Use:   "run --config FILE",
		Short: "Serve until SIGTERM",
		Example: `  relay run --config relay.yaml
  curl -s http://127.0.0.1:9902/relay     # connections accepted and messages carried, by place`,
		Args: cobra.NoArgs,
	}
	file := configFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		conf, err := config.LoadRelay(*file)
		if err != nil {
			return err
		}
		if conf.Workers > 0 {
			runtime.GOMAXPROCS(conf.Workers)
		}
		r, err := relay.New(conf)
		if err != nil {
			return err
		}
		slog.New(slog.NewTextHandler(stderr, nil)).Info("serving", "places", len(conf.Listen), "admin", r.AdminAddress())
		return operate.Serve(c.Context(), r.Run, func() {})
	}
	return c
}

func validateCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "validate --config FILE",
		Short:   "Print nothing and exit 0, or print every fault of the file and exit 2",
		Example: "  relay validate --config relay.yaml",
		Args:    cobra.NoArgs,
	}
	file := configFlag(c)
	c.RunE = func(*cobra.Command, []string) error {
		_, err := config.LoadRelay(*file)
		return err
	}
	return c
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version, the commit and the Go release",
		Example: "  relay version",
		Args:    cobra.NoArgs,
		Run: func(c *cobra.Command, _ []string) {
			fmt.Fprintf(c.OutOrStdout(), "relay %s %s %s\n", version, telemetry.Revision(), runtime.Version())
		},
	}
}

// configFlag declares the one flag that every verb about a file needs. Declaring a flag twice, or requiring one that does not
// exist, is a mistake in this file: it shows with the first start.
func configFlag(c *cobra.Command) *string {
	file := c.Flags().StringP("config", "c", "", "the configuration `FILE`")
	if err := c.MarkFlagRequired("config"); err != nil {
		panic(err)
	}
	return file
}
