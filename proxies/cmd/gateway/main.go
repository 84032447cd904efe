// Command gateway runs the reference gateway. `gateway --help` shows what it can be told; what it does is in package gateway.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"crossroads/proxies/config"
	"crossroads/proxies/config/strict"
	"crossroads/proxies/gateway"
	"crossroads/proxies/operate"
)

// version is set by the linker.
var version = "development"

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is the whole program; its result is the exit code: 0, 1 where something could not be done, 2 where it was not understood.
func run(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	return operate.Execute(operate.Program("gateway", "The reference gateway: routes, authenticates and limits requests on their way to services",
		`  gateway run --config gateway.yaml
  gateway validate --config gateway.yaml
  gateway explain --config gateway.yaml --host api.example.com --path /orders/7`,
		runCommand(stdout, stderr), validateCommand(), explainCommand(), operate.Version("gateway", version)), args, stdout, stderr)
}

func runCommand(stdout, stderr io.Writer) *cobra.Command {
	c := &cobra.Command{
		Use:   "run --config FILE",
		Short: "Serve until SIGTERM; a changed file is put in force, at once by SIGHUP or POST /reload",
		Example: `  gateway run --config gateway.yaml
  kill -HUP "$(pidof gateway)"      # reload: a bad file changes nothing`,
		Args: cobra.NoArgs,
	}
	file := operate.ConfigFlag(c)
	watch := c.Flags().Duration("watch", 2*time.Second, "how often to look whether the file has changed; 0 never looks")
	c.RunE = func(c *cobra.Command, _ []string) error {
		conf, err := config.LoadGateway(*file)
		if err != nil {
			return err
		}
		if conf.Workers > 0 {
			runtime.GOMAXPROCS(conf.Workers)
		}
		log := slog.New(slog.NewTextHandler(stderr, nil))
		g, err := gateway.New(c.Context(), conf, gateway.Options{
			Version: version, Stdout: stdout, Stderr: stderr, Log: log,
			Load: func() (*config.Gateway, error) { return config.LoadGateway(*file) },
		})
		if err != nil {
			return err
		}
		log.Info("serving", "addresses", fmt.Sprint(g.Addresses()), "admin", g.AdminAddress())
		reload := func() {
			if err := g.ReloadFile(); err != nil {
				log.Error("reload refused, the configuration in force stays", "error", err)
				return
			}
			log.Info("reloaded")
		}
		return operate.Serve(c.Context(), func(ctx, force context.Context) error {
			if *watch > 0 {
				go operate.Watch(ctx, *watch, func() string { return operate.FileIdentity(*file) }, reload)
			}
			return g.Run(ctx, force)
		}, reload)
	}
	return c
}

func validateCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "validate --config FILE",
		Short: "Print nothing and exit 0, or print every fault of the file and exit 2",
		Example: `  gateway validate --config gateway.yaml
  gateway validate --config gateway.yaml --print-defaults   # the file as it is in force`,
		Args: cobra.NoArgs,
	}
	file := operate.ConfigFlag(c)
	show := c.Flags().Bool("print-defaults", false, "print the configuration with every default written out")
	c.RunE = func(c *cobra.Command, _ []string) error {
		conf, err := config.LoadGateway(*file)
		if err != nil || !*show {
			return err
		}
		data, err := strict.Marshal(conf.Redacted())
		if err != nil {
			return fmt.Errorf("write the configuration: %w", err)
		}
		_, err = c.OutOrStdout().Write(data)
		return err
	}
	return c
}

func explainCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "explain --config FILE --path PATH",
		Short: "Say which route a request takes, and why no other",
		Example: `  gateway explain --config gateway.yaml --method GET --host api.example.com --path '/orders/7?full=1'
  gateway explain --config gateway.yaml --path / --header 'X-Version: 2'`,
		Args: cobra.NoArgs,
	}
	file := operate.ConfigFlag(c)
	method := c.Flags().String("method", "GET", "request method")
	host := c.Flags().String("host", "", "Host field; its port is ignored")
	path := c.Flags().String("path", "", "path, with its query if there is one")
	headers := c.Flags().StringArray("header", nil, "a field, `NAME: VALUE`; may be given several times")
	operate.Required(c, "path")
	c.RunE = func(c *cobra.Command, _ []string) error {
		conf, err := config.LoadGateway(*file)
		if err != nil {
			return err
		}
		return gateway.Explain(c.OutOrStdout(), conf, *method, *host, *path, *headers)
	}
	return c
}
