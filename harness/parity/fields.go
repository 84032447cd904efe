package parity

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"crossroads/harness/deploy"
	"crossroads/harness/workload"
	"crossroads/results"
	"crossroads/topologies"
)

const requestID = "X-Request-Id"

// forged is what a client may say of itself and a gateway must not pass on.
var forged = []change{
	{"X-Forwarded-For", "6.6.6.6"}, {"X-Forwarded-Proto", "forged"}, {"X-Forwarded-Host", "forged"}, {"Forwarded", "for=6.6.6.6"},
	{requestID, "forged"}, {workload.HeaderProbe, "1"},
}

// fields has the application tell which fields it gets to see of a request whose client lies about who it is: the gateway's own word about
// the client in their place. A request id is noted and not demanded: not every proxy can make one.
func (c *checker) fields(ctx context.Context) []string {
	if g := c.arm.Topology.Gateway; g == nil || g.Use == topologies.Relay {
		return nil
	}
	service := c.arm.Experiment.Entered()[0]
	return each(c.entriesOf(service), func(entry deploy.Entry) []string {
		got, err := c.ask(ctx, entry.URL, c.firstOf(service), 0, forged...)
		if err != nil {
			return one("a request with forged fields at %s: %v", entry.Name, err)
		}
		var seen workload.Probe
		if err := json.Unmarshal(got.body, &seen); err != nil || seen.Service == "" {
			return one("a request with forged fields at %s was answered %d and not by the workload: %s", entry.Name, got.status, shorten(got.body))
		}
		return c.arrived(entry, &seen)
	})
}

func (c *checker) arrived(entry deploy.Entry, seen *workload.Probe) (found []string) {
	at, err := url.Parse(entry.URL)
	if err != nil {
		return one("the address %s of %s: %v", entry.URL, entry.Name, err)
	}
	for _, due := range []struct{ name, value string }{
		{"X-Forwarded-For", at.Hostname()}, {"X-Forwarded-Proto", at.Scheme}, {"X-Forwarded-Host", seen.Host}, {"Forwarded", ""},
	} {
		if is := field(seen, due.name); is != due.value {
			found = append(found, fmt.Sprintf("the application behind %s sees %s: %q of a client that forged it: %q was due", entry.Name, due.name, is, due.value))
		}
	}
	c.saw("fields", "fields", "X-Forwarded-For, -Proto, -Host and Forwarded, forged by the client", "replaced by the gateway's own; Forwarded taken out")
	made := results.Probe{Place: c.place(), Feature: "request_id", Asked: "a request with an id of the client's", Answered: "the application sees another, made by the gateway"}
	if id := field(seen, requestID); id == "" || id == "forged" {
		made.Answered, made.Lacks = fmt.Sprintf("the application sees %q", id), true
	}
	c.notes(note{"fields", made})
	return found
}

// field is all values of a field, as they would stand in one line.
func field(p *workload.Probe, name string) string {
	var all []string
	for _, f := range p.Headers {
		if strings.EqualFold(f[0], name) {
			all = append(all, f[1])
		}
	}
	return strings.Join(all, ", ")
}
