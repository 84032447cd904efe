package main

import (
	"errors"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"crossroads/proxies/config"
	"crossroads/proxies/control"
	"crossroads/proxies/operate"
)

func graphCommand() *cobra.Command {
	var admin, format string
	c := &cobra.Command{
		Use:   "graph [--admin URL] [--format text|json|dot|html]",
		Short: "Show who calls whom: rates, errors and latency of each edge, and cascades",
		Long: "graph asks a running control plane for the dependency graph that it assembles from what proxies report, over the last ten\n" +
			"windows, and for the cascades that it saw: where each began, since when, and what it explains. The same graph is a page at\n" +
			"/graph of the admin listener, for a browser.",
		Example: "  control graph\n" +
			"  control graph --admin http://127.0.0.1:9990 --format dot | dot -Tsvg > graph.svg",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if !slices.Contains(control.GraphFormats, format) {
				return operate.Usage(errors.New("--format " + format + ": choose " + strings.Join(control.GraphFormats, ", ")))
			}
			err := control.FetchGraph(c.Context(), admin, format, c.OutOrStdout())
			if errors.Is(err, syscall.ECONNREFUSED) {
				return operate.Hint(err, "`admin.address` of the control plane's file says where its admin listener is; it takes loopback only unless told otherwise")
			}
			return err
		},
	}
	c.Flags().StringVar(&admin, "admin", "http://"+config.ControlAdmin, "`URL` of the control plane's admin listener")
	c.Flags().StringVar(&format, "format", "text", strings.Join(control.GraphFormats, ", "))
	return c
}
