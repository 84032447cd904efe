package parity

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"crossroads/harness/deploy"
	"crossroads/harness/workload"
)

// hops has every node of the call graph tell which proxies its request came through: one Via entry each (RFC 9110 7.6.3). It asks for
// every call, so that no probability keeps a service out. What leaves no Via is proved otherwise: see relays and opaque.
func (c *checker) hops(ctx context.Context) []string {
	if c.external() {
		return nil
	}
	return each(c.arm.Experiment.Entered(), func(service string) []string {
		entries := c.entriesOf(service)
		if len(entries) == 0 {
			return one("the deployment has no entry to %s", service)
		}
		return each(entries, func(entry deploy.Entry) []string { return c.hopsTo(ctx, entry, service) })
	})
}

func (c *checker) hopsTo(ctx context.Context, entry deploy.Entry, service string) []string {
	root, found := c.report(ctx, entry.Name, entry.URL, service, 0, "all")
	if found != nil {
		return found
	}
	atEntry, perEdge := c.arm.Told()
	if atEntry+perEdge > 0 {
		c.saw("hops", "via", "which proxies the calls crossed, by Via", fmt.Sprintf("%d on the way in, %d on every call between services", atEntry, perEdge))
	}
	reached := map[string]bool{}
	found = crossings(root, "the driver", atEntry, perEdge, reached)
	if root.Service != service {
		found = append(found, fmt.Sprintf("the request reached %q where %s is the entry", root.Service, service))
	}
	for _, below := range c.below(service) {
		if !reached[below] {
			found = append(found, fmt.Sprintf("no call reached %s", below))
		}
	}
	return found
}

// below lists the services that a call to one of them can reach, itself included.
func (c *checker) below(service string) []string {
	all := []string{service}
	for i := 0; i < len(all); i++ {
		for _, step := range c.arm.Experiment.Application.Services.At(all[i]).Script {
			for _, call := range step.Calls {
				if !slices.Contains(all, call.Call) {
					all = append(all, call.Call)
				}
			}
		}
	}
	return all
}

// report asks the workload at a base URL what a request to a service made it see and do.
func (c *checker) report(ctx context.Context, name, base, service string, seq int, scope string) (*workload.Probe, []string) {
	got, err := c.ask(ctx, base, c.firstOf(service), seq, change{workload.HeaderProbe, scope})
	if err != nil {
		return nil, one("the probe at %s: %v", name, err)
	}
	var root workload.Probe
	if err := json.Unmarshal(got.body, &root); err != nil || root.Service == "" {
		return nil, one("the probe at %s was answered %d and not by the workload: %s", name, got.status, shorten(got.body))
	}
	return &root, nil
}

// crossings compares the proxies that a node's request came through with what is due, and goes on to the calls that the node made.
func crossings(n *workload.Probe, caller string, due, perEdge int, reached map[string]bool) []string {
	reached[n.Service] = true
	var found []string
	if n.Hops != due {
		found = one("the call of %s to %s crossed %s where %d are due", caller, n.Service, proxies(n), due)
	}
	for _, call := range n.Calls {
		switch {
		case call.Probe == nil:
			found = append(found, fmt.Sprintf("the call of %s to %s failed: %s", n.Service, call.To, call.Failed))
		case call.Probe.Service != call.To:
			found = append(found, fmt.Sprintf("the call of %s to %s was not answered by it: %s", n.Service, call.To, shorten([]byte(call.Probe.Text))))
		default:
			found = append(found, crossings(call.Probe, n.Service, perEdge, perEdge, reached)...)
		}
	}
	return found
}

// proxies names what was crossed, as Via tells it.
func proxies(n *workload.Probe) string {
	if n.Hops == 0 {
		return "no proxy"
	}
	var via []string
	for _, field := range n.Headers {
		if strings.EqualFold(field[0], "Via") {
			via = append(via, field[1])
		}
	}
	return fmt.Sprintf("%d (%s)", n.Hops, strings.Join(via, ", "))
}
