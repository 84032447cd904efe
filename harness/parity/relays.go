package parity

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"crossroads/harness/deploy"
	"crossroads/harness/workload"
)

// relays proves that a request crosses the floor relays that are declared. A relay leaves no field, so its own counts tell: one more at
// each place for every call that the request made there, and at no other.
func (c *checker) relays(ctx context.Context) []string {
	if !c.arm.RelayGateway() && !c.arm.RelaySidecars() {
		return nil
	}
	c.saw("relays", "carried", "the relays' own counts around a request", "one more at each place that it crosses")
	var found []string
	for _, service := range c.arm.Experiment.Entered() { // one after the other: they share relays
		for _, entry := range c.entriesOf(service) {
			found = append(found, c.relaysTo(ctx, entry, service)...)
		}
	}
	return found
}

// relaysTo sends one request and looks at the counts around it.
func (c *checker) relaysTo(ctx context.Context, entry deploy.Entry, service string) (found []string) {
	before, err := c.carried(ctx)
	if err != nil {
		return one("%v", err)
	}
	root, failed := c.report(ctx, entry.Name, entry.URL, service, 0, "all")
	if failed != nil {
		return failed
	}
	after, err := c.carried(ctx)
	if err != nil {
		return one("%v", err)
	}
	due := map[string]int64{}
	if c.arm.RelayGateway() {
		due[entry.Name+" http"]++
	}
	if c.arm.RelaySidecars() {
		c.crossed(root, due)
	}
	for place := range after {
		if got := after[place] - before[place]; got != due[place] {
			found = append(found, fmt.Sprintf("a request at %s was carried %d times by the relay %s where %d are due", entry.Name, got, place, due[place]))
		}
		delete(due, place)
	}
	for place := range due {
		found = append(found, fmt.Sprintf("there is no relay %s, which a request at %s should cross", place, entry.Name))
	}
	return found
}

// crossed counts what the calls below a node, and the one to it, make of work for the relays beside the services.
func (c *checker) crossed(n *workload.Probe, due map[string]int64) {
	if c.arm.Inbound(n.Service) {
		due[n.Service+" inbound"]++
	}
	for _, call := range n.Calls {
		if c.arm.Outbound(n.Service) {
			due[n.Service+" outbound-"+call.To]++
		}
		if call.Probe != nil {
			c.crossed(call.Probe, due)
		}
	}
}

// carried asks every relay what it has carried. Replicas of a service count together: which of them a call reaches is open.
func (c *checker) carried(ctx context.Context) (map[string]int64, error) {
	carried := map[string]int64{}
	for _, p := range c.deployment.Processes() {
		if !c.relay(p) {
			continue
		}
		text, err := adminPage(ctx, p, "/relay")
		if err != nil {
			return nil, err
		}
		var places []struct {
			Name    string
			Carried int64
		}
		if err := json.Unmarshal(text, &places); err != nil {
			return nil, fmt.Errorf("%s does not say what it carried: %w: %s", p.ID, err, shorten(text))
		}
		owner := p.ID
		if p.Kind == deploy.KindSidecar {
			owner = p.Service
		}
		for _, place := range places {
			carried[owner+" "+place.Name] += place.Carried
		}
	}
	return carried, nil
}

func (c *checker) relay(p deploy.Process) bool {
	return p.Kind == deploy.KindGateway && c.arm.RelayGateway() || p.Kind == deploy.KindSidecar && c.arm.RelaySidecars()
}

// opaque proves that the calls between services are carried as bytes: both sidecars of every edge have counted some, and hops has seen
// that neither left a field.
func (c *checker) opaque(ctx context.Context) []string {
	if !c.arm.Opaque() {
		return nil
	}
	c.beside("opaque", "protocol=opaque", "the sidecars' own counts of opaque bytes", "counted at both ends of every edge")
	return each(c.processes(deploy.KindSidecar), func(p deploy.Process) []string {
		text, err := adminPage(ctx, p, "/metrics")
		if err != nil {
			return one("%v", err)
		}
		var found []string
		for _, way := range c.ways(p.Service) {
			if !counted(text, "sidecar_tcp_bytes_total", way...) {
				found = append(found, fmt.Sprintf("%s counted no opaque byte of %s where protocol: opaque is declared", p.ID, strings.Join(way, " ")))
			}
		}
		return found
	})
}

// ways are the labels of the opaque connections that the sidecar of a service must have seen. Nobody calls the entry but from outside.
func (c *checker) ways(service string) [][]string {
	var ways [][]string
	for caller, s := range c.arm.Experiment.Application.Services.All() {
		for _, step := range s.Script {
			for _, call := range step.Calls {
				if caller == service {
					ways = append(ways, []string{`direction="outbound"`, fmt.Sprintf("destination=%q", call.Call)})
				}
				if call.Call == service && c.arm.Experiment.Application.Services.At(service).Replicas == 1 {
					ways = append(ways, []string{`direction="inbound"`, fmt.Sprintf("destination=%q", service)})
				}
			}
		}
	}
	return ways
}

// counted says whether a metric with all of these labels is above zero.
func counted(metrics []byte, name string, labels ...string) bool {
	for line := range strings.Lines(string(metrics)) {
		text, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
		if !strings.HasPrefix(text, name+"{") || value == "" || value == "0" {
			continue
		}
		all := true
		for _, label := range labels {
			all = all && strings.Contains(text, label)
		}
		if all {
			return true
		}
	}
	return false
}
