package main

import (
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"crossroads/proxies/config"
	"crossroads/proxies/operate"
)

func tapCommand() *cobra.Command {
	var admin, path, method, status, direction string
	var most int
	var length time.Duration
	c := &cobra.Command{
		Use:   "tap [--admin URL] [--direction D] [--path PREFIX] [--method M] [--status S] [--max N] [--for TIME]",
		Short: "Watch requests that pass a running sidecar, live, as JSON lines",
		Long: "tap shows requests once they are over: who called, what was asked for, what became of it, and where the time went. It never\n" +
			"shows bodies, queries or header fields. It ends after --max requests or --for; a sidecar shows at most 200 a second and says\n" +
			"how many it left out. Where nobody watches it costs requests nothing.",
		Example: "  sidecar tap --status 5xx\n  sidecar tap --admin http://127.0.0.1:4191 --direction outbound --path /items --for 30s",
		Args:    cobra.NoArgs,
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		q := url.Values{"max": {strconv.Itoa(most)}, "for": {length.String()}}
		for name, value := range map[string]string{"path": path, "method": method, "status": status, "direction": direction} {
			if value != "" {
				q.Set(name, value)
			}
		}
		return operate.FetchTap(c.Context(), admin, q, c.OutOrStdout())
	}
	f := c.Flags()
	f.StringVar(&admin, "admin", "http://"+config.SidecarAdmin, "`URL` of the sidecar's admin listener")
	f.StringVar(&path, "path", "", "paths that begin with `PREFIX`")
	f.StringVar(&method, "method", "", "requests of this method")
	f.StringVar(&status, "status", "", "answers with this status: 503, or 5xx")
	f.StringVar(&direction, "direction", "", "inbound, outbound, ingress or transparent")
	f.IntVar(&most, "max", 100, "end after so many requests")
	f.DurationVar(&length, "for", 10*time.Second, "end after this `TIME`")
	return c
}
