package parity

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"crossroads/harness/deploy"
)

// seen is what the workload answers to a request with X-Crossroads-Probe: the request as it arrived, and what came of its own calls.
type seen struct {
	Service string   `json:"service"`
	Via     []string `json:"via"`
	Calls   []seen   `json:"calls"`
}

// hops has every node of the call graph tell which proxies its request came through: one Via entry each (RFC 9110 7.6.3).
func (c *checker) hops(ctx context.Context) []string {
	if c.external() {
		return nil
	}
	return each(c.deployment.Entries(), func(entry deploy.Entry) []string {
		got, err := c.ask(ctx, entry.URL, c.first(), 0, change{"X-Crossroads-Probe", "1"})
		if err != nil {
			return one("the probe at %s: %v", entry.Name, err)
		}
		var root seen
		if err := json.Unmarshal(got.body, &root); err != nil || got.status != http.StatusOK {
			return one("the probe at %s was answered %d and not by the workload: %s", entry.Name, got.status, shorten(got.body))
		}
		atEntry, perEdge := c.arm.Hops()
		reached := map[string]bool{}
		found := crossings(root, "the driver", atEntry, perEdge, reached)
		if entry := c.arm.Experiment.Application.Entry; root.Service != entry {
			found = append(found, fmt.Sprintf("the request reached %q where %s is the entry", root.Service, entry))
		}
		for service := range c.arm.Experiment.Application.Services.All() {
			if !reached[service] {
				found = append(found, fmt.Sprintf("no call reached %s", service))
			}
		}
		return found
	})
}

// crossings compares the proxies that a node's request came through with what is due, and goes on to the calls that the node made.
func crossings(n seen, caller string, due, perEdge int, reached map[string]bool) []string {
	reached[n.Service] = true
	var found []string
	if len(n.Via) != due {
		found = one("the call of %s to %s crossed %s where %d are due", caller, n.Service, proxies(n.Via), due)
	}
	for _, call := range n.Calls {
		found = append(found, crossings(call, n.Service, perEdge, perEdge, reached)...)
	}
	return found
}

func proxies(via []string) string {
	if len(via) == 0 {
		return "no proxy"
	}
	return fmt.Sprintf("%d (%s)", len(via), strings.Join(via, ", "))
}
