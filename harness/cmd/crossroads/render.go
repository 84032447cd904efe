package main

import (
	"strings"

	"github.com/spf13/cobra"

	"crossroads/harness/rivals"
)

// render prints the file that `config:` would replace.
func (a *app) render() *cobra.Command {
	var topology string
	c := &cobra.Command{
		Use: "render FILE", Short: "Print the configuration that a topology's gateway gets, to start one's own from",
		Long: `Render prints the file of a gateway by nginx, HAProxy, Envoy, Traefik or Caddy as it is made from the declaration, with variables
such as {{.Listen}} in the place of what a deployment chooses. Changed, and named by config: in the topology, it is used instead; of
Traefik it is the file of routes. Parity asks a gateway with a file of one's own for all that the topology declares.`,
		Example: "  crossroads render rivals-gateway --topology nginx > my-nginx.conf",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			e, err := loadExperiment(args)
			if err != nil {
				return err
			}
			arm, known := e.Arm(topology)
			if !known {
				return usage("--topology %q: the experiment has %s", topology, strings.Join(e.Topologies.Keys(), ", "))
			}
			name, text, err := rivals.Rendered(arm)
			if err != nil {
				return &exit{code: exitUsage, err: err, hint: "name a topology whose gateway is nginx, haproxy, envoy, traefik or caddy"}
			}
			return a.result(map[string]string{"name": name, "text": text}, text)
		},
	}
	c.Flags().StringVar(&topology, "topology", "", "the topology whose gateway to render")
	return c
}
