// Command control is the control plane of the reference mesh: it issues identities to proxies and tells them where services are.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"crossroads/proxies/config"
	"crossroads/proxies/control"
	"crossroads/proxies/operate"
)

// version is set by the linker.
var version = "development"

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the whole program; its result is the exit code: 0, 1 where something could not be done, 2 where it was not understood.
func run(args []string, stdout, stderr io.Writer) int {
	root := command(stderr)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return operate.Exit(stderr, "control", hinted(operate.Misuse(root.ExecuteContext(context.Background()))))
}

// hinted adds what to do about an error, where that is known.
func hinted(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return operate.Hint(err, "another process has this port: stop it, or change the address in the configuration (port 0 takes a free one)")
	case errors.Is(err, fs.ErrPermission):
		return operate.Hint(err, "run as the user who owns the file")
	case errors.Is(err, fs.ErrExist):
		return operate.Hint(err, "choose another directory, or remove the file if nothing needs it")
	case errors.Is(err, fs.ErrNotExist):
		return operate.Hint(err, "check the path; `control init --dir DIR --trust-domain NAME` writes a set of files to start with")
	}
	return err
}

func command(stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "control",
		Short: "The control plane of the reference mesh",
		Long: "control issues SPIFFE identities to proxies that hold a bootstrap token, and streams to those that hold an identity\n" +
			"where services are. When it is down, the mesh goes on with what it has until certificates expire.",
		Example: "  control init --dir mesh --trust-domain mesh.example\n" +
			"  control run --config mesh/control.yaml",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return operate.Usage(err) })
	root.AddCommand(runCommand(stderr), validateCommand(), graphCommand(), initCommand(), operate.Version("control", version))
	return root
}

func runCommand(stderr io.Writer) *cobra.Command {
	var file, level string
	c := &cobra.Command{
		Use:   "run --config FILE",
		Short: "Serve until SIGTERM or an interrupt, then drain",
		Long: "run serves three listeners: bootstrap (a token and a certificate request against an SVID), snapshots (mutual TLS) and admin.\n" +
			"Missing root and token files are made, readable by their owner only. Files are watched: a good change is in force within a\n" +
			"second, a bad one is reported and changes nothing. Logs are JSON lines on stderr.",
		Example: "  control run --config proxies/cmd/control/example.yaml\n" +
			"  curl -s localhost:9990/readyz",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var minimum slog.Level
			if err := minimum.UnmarshalText([]byte(level)); err != nil {
				return operate.Usage(fmt.Errorf("--log-level %q: write debug, info, warn or error", level))
			}
			loaded, err := config.LoadControl(file)
			if err != nil {
				return err
			}
			log := slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: minimum}))
			// The identity outlives the signal: draining still needs it.
			alive, end := context.WithCancel(context.Background())
			defer end()
			k, err := control.New(alive, loaded, control.Options{Version: version, Log: log})
			if err != nil {
				return err
			}
			return operate.Serve(c.Context(), k.Run, func() { log.Info("SIGHUP needs nothing here: files are watched") })
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "the configuration `FILE`")
	c.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	operate.Required(c, "config")
	return c
}

func validateCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "validate --config FILE",
		Short: "Check the configuration and its endpoints file; print nothing if both are good",
		Long: "validate reports every fault with its place and exits 2, or prints nothing and exits 0. It opens no listener and makes no\n" +
			"file.",
		Example: "  control validate --config proxies/cmd/control/example.yaml",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			loaded, err := config.LoadControl(file)
			if err != nil {
				return err
			}
			_, err = config.LoadEndpoints(loaded.Endpoints)
			return err
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "the configuration `FILE`")
	operate.Required(c, "config")
	return c
}

func initCommand() *cobra.Command {
	var dir, domain string
	c := &cobra.Command{
		Use:   "init --dir DIR --trust-domain NAME",
		Short: "Write a root, a bootstrap token and a configuration to start with",
		Long: "init prepares a control plane without running it: ca.pem (the root, for proxies), ca.key and bootstrap.token (readable by\n" +
			"their owner only), control.yaml and endpoints.yaml. It overwrites nothing.",
		Example: "  control init --dir mesh --trust-domain mesh.example",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			files, err := control.Init(dir, domain, time.Now())
			if err != nil {
				return err
			}
			for _, f := range files {
				fmt.Fprintln(c.OutOrStdout(), f)
			}
			return nil
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "`DIR`ectory to write to; made if missing")
	c.Flags().StringVar(&domain, "trust-domain", "", "`NAME` of the trust domain, such as mesh.example")
	operate.Required(c, "dir", "trust-domain")
	return c
}
