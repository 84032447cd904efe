// Command sidecar runs the reference sidecar. `sidecar --help` shows what it can be told; what it does is in package sidecar.
package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"

	"github.com/spf13/cobra"

	"crossroads/proxies/config"
	"crossroads/proxies/config/strict"
	"crossroads/proxies/operate"
	"crossroads/proxies/sidecar"
)

// version is set by the linker.
var version = "development"

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is the whole program; its result is the exit code: 0, 1 where something could not be done, 2 where it was not understood.
func run(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	return operate.Execute(operate.Program("sidecar", "The reference sidecar: takes all calls of one service instance, in and out, and secures them with mTLS",
		`  sidecar run --config sidecar.yaml
  sidecar validate --config sidecar.yaml`,
		runCommand(stdout, stderr), validateCommand(), interceptCommand(), tapCommand(), operate.Version("sidecar", version)), args, stdout, stderr)
}

func runCommand(stdout, stderr io.Writer) *cobra.Command {
	c := &cobra.Command{
		Use:   "run --config FILE",
		Short: "Serve until SIGTERM; SIGHUP opens the access log again",
		Example: `  sidecar run --config sidecar.yaml
  curl -H 'Host: stock' http://127.0.0.1:4140/items     # a call of the application to the service stock`,
		Args: cobra.NoArgs,
	}
	file := operate.ConfigFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		conf, err := config.LoadSidecar(*file)
		if err != nil {
			return err
		}
		if conf.Workers > 0 {
			runtime.GOMAXPROCS(conf.Workers)
		}
		log := slog.New(slog.NewTextHandler(stderr, nil))
		s, err := sidecar.New(c.Context(), conf, sidecar.Options{Version: version, Stdout: stdout, Stderr: stderr, Log: log})
		if err != nil {
			return err
		}
		log.Info("serving", "service", conf.Service, "inbound", fmt.Sprint(s.Address("inbound")), "ingress", fmt.Sprint(s.Address("ingress")),
			"outbound", fmt.Sprint(s.Address("outbound")), "admin", s.AdminAddress())
		return operate.Serve(c.Context(), s.Run, func() {
			if err := s.Reopen(); err != nil {
				log.Error("the access log goes on where it was", "error", err)
			}
		})
	}
	return c
}

func validateCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "validate --config FILE",
		Short: "Print nothing and exit 0, or print every fault of the file and exit 2",
		Example: `  sidecar validate --config sidecar.yaml
  sidecar validate --config sidecar.yaml --print-defaults   # the file as it is in force`,
		Args: cobra.NoArgs,
	}
	file := operate.ConfigFlag(c)
	show := c.Flags().Bool("print-defaults", false, "print the configuration with every default written out")
	c.RunE = func(c *cobra.Command, _ []string) error {
		conf, err := config.LoadSidecar(*file)
		if err != nil || !*show {
			return err
		}
		data, err := strict.Marshal(conf)
		if err != nil {
			return fmt.Errorf("write the configuration: %w", err)
		}
		_, err = c.OutOrStdout().Write(data)
		return err
	}
	return c
}
