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
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"crossroads/proxies/config"
	"crossroads/proxies/config/strict"
	"crossroads/proxies/control"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1 // internal, or input and output
	exitUsage   = 2 // the command line or a file is not valid
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is main without the process: it returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := command(stderr)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(stderr, "error: %v\n", err)
	if text := hint(err); text != "" {
		fmt.Fprintf(stderr, "hint: %s\n", text)
	}
	var faults strict.Faults
	if errors.As(err, &faults) || errors.As(err, new(*usageError)) {
		return exitUsage
	}
	return exitFailure
}

// usageError is a command line that cannot be meant.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// hint says what to do about an error, where that is known.
func hint(err error) string {
	var faults strict.Faults
	switch {
	case errors.As(err, new(*usageError)):
		return "see `control --help`"
	case errors.As(err, &faults):
		return "mend the file; `control validate --config FILE` checks it without running"
	case errors.Is(err, syscall.EADDRINUSE):
		return "another process has this port: stop it, or change the address in the configuration (port 0 takes a free one)"
	case errors.Is(err, fs.ErrPermission):
		return "run as the user who owns the file"
	case errors.Is(err, fs.ErrExist):
		return "choose another directory, or remove the file if nothing needs it"
	case errors.Is(err, fs.ErrNotExist):
		return "check the path; `control init --dir DIR --trust-domain NAME` writes a set of files to start with"
	}
	return ""
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
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddCommand(runCommand(stderr), validateCommand(), initCommand(), versionCommand())
	for _, c := range append(root.Commands(), root) {
		if check := c.Args; check != nil {
			c.Args = func(c *cobra.Command, args []string) error {
				if err := check(c, args); err != nil {
					return &usageError{err}
				}
				return nil
			}
		}
	}
	return root
}

// configFlag declares --config, without which the command has nothing to do.
func configFlag(c *cobra.Command, file *string) {
	c.Flags().StringVarP(file, "config", "c", "", "configuration file (YAML)")
	c.PreRunE = func(*cobra.Command, []string) error {
		if *file == "" {
			return &usageError{errors.New("--config is missing")}
		}
		return nil
	}
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
				return &usageError{fmt.Errorf("--log-level %q: write debug, info, warn or error", level)}
			}
			loaded, err := config.LoadControl(file)
			if err != nil {
				return err
			}
			log := slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: minimum}))
			// The identity outlives the signal: draining still needs it.
			alive, end := context.WithCancel(context.Background())
			defer end()
			k, err := control.New(alive, loaded, control.Options{Version: version(), Log: log})
			if err != nil {
				return err
			}
			return k.Run(c.Context())
		},
	}
	configFlag(c, &file)
	c.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
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
	configFlag(c, &file)
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
		PreRunE: func(*cobra.Command, []string) error {
			if dir == "" || domain == "" {
				return &usageError{errors.New("--dir and --trust-domain are both needed")}
			}
			return nil
		},
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
	c.Flags().StringVar(&dir, "dir", "", "directory to write to; made if missing")
	c.Flags().StringVar(&domain, "trust-domain", "", "name of the trust domain, such as mesh.example")
	return c
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of the build",
		Example: "  control version",
		Args:    cobra.NoArgs,
		Run: func(c *cobra.Command, _ []string) {
			fmt.Fprintf(c.OutOrStdout(), "control %s %s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
		},
	}
}

// version is the commit that was built, as the toolchain recorded it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version
}
