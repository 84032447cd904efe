package parity

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"crossroads/harness/deploy"
	"crossroads/harness/workload"
	"crossroads/topologies"
)

// composition holds a composed answer against what the client's own calls get: the parts of the file, in its order, each with the body
// that the service itself answers, and nothing else; and every part comes to its service over the proxies that the topology says.
func (c *checker) composition(ctx context.Context) []string {
	return each(c.requests, func(r topologies.Request) []string {
		if !c.arm.Composes(&r) {
			return nil
		}
		c.saw("composition", "composition", "a composed path", "every part as the service itself answers it, in order")
		return each(c.deployment.Entries(), func(entry deploy.Entry) []string {
			bodies := each(sequences, func(seq int) []string { return c.composedBy(ctx, entry, r, seq) })
			return append(bodies, c.composedOver(ctx, entry, r)...)
		})
	})
}

// composedOver asks every part's service what it saw of the gateway's call.
func (c *checker) composedOver(ctx context.Context, entry deploy.Entry, r topologies.Request) []string {
	got, err := c.ask(ctx, entry.URL, r, 0, change{workload.HeaderProbe, "all"})
	if err != nil {
		return one("the probe of %s at %s: %v", r.Path, entry.Name, err)
	}
	var seen map[string]*workload.Probe
	if err := json.Unmarshal(got.body, &seen); err != nil {
		return one("the probe of %s at %s was answered %d and not by the workload: %s", r.Path, entry.Name, got.status, shorten(got.body))
	}
	atEntry, perEdge := c.arm.Hops()
	var found []string
	for name, call := range c.arm.Topology.Gateway.Compose.At(r.Path).Parts.All() {
		p := seen[name]
		if p == nil || p.Service != call.Service || p.Method != http.MethodGet || p.Path != call.Path || p.Seq != "0" {
			found = append(found, fmt.Sprintf("the part %s of %s at %s is not GET %s of %s with the client's sequence number", name, r.Path, entry.Name, call.Path, call.Service))
			continue
		}
		found = append(found, crossings(p, "the part "+name, atEntry, perEdge, map[string]bool{})...)
	}
	return found
}

func (c *checker) composedBy(ctx context.Context, entry deploy.Entry, r topologies.Request, seq int) []string {
	want, complete, found := c.parts(ctx, r, seq)
	if found != nil {
		return found
	}
	got, err := c.ask(ctx, entry.URL, r, seq)
	switch {
	case err != nil:
		return one("%s at %s: %v", r.Path, entry.Name, err)
	case !complete && got.status != http.StatusBadGateway:
		return one("%s at %s: answered %d where a part fails as declared: 502 was due", r.Path, entry.Name, got.status)
	case !complete:
		return nil
	case got.status != http.StatusOK:
		return one("%s at %s: answered %d where it is composed: %s", r.Path, entry.Name, got.status, shorten(got.body))
	}
	members, err := membersOf(got.body)
	switch {
	case err != nil:
		return one("%s at %s: not an object of parts: %v: %s", r.Path, entry.Name, err, shorten(got.body))
	case len(members) != len(want):
		return one("%s at %s: %d parts where %d are composed", r.Path, entry.Name, len(members), len(want))
	}
	for i, m := range members {
		switch {
		case m.name != want[i].name:
			found = append(found, fmt.Sprintf("%s at %s: part %d is %q where %q is declared", r.Path, entry.Name, i+1, m.name, want[i].name))
		case !bytes.Equal(m.body, want[i].body):
			found = append(found, fmt.Sprintf("%s at %s: the part %s has %d bytes that are not the %d that the service itself answers", r.Path, entry.Name,
				m.name, len(m.body), len(want[i].body)))
		}
	}
	return found
}

// part is a member of a composed answer.
type part struct {
	name string
	body []byte
}

// parts are the answers of the services themselves, in the order of the composition; complete is false where one fails as declared.
func (c *checker) parts(ctx context.Context, r topologies.Request, seq int) (all []part, complete bool, found []string) {
	complete = true
	for name, call := range c.arm.Topology.Gateway.Compose.At(r.Path).Parts.All() {
		alone := r
		alone.Calls = []topologies.ClientCall{call}
		got, found := c.expected(ctx, c.calls(alone)[0], seq)
		if found != nil {
			return nil, false, found
		}
		complete = complete && got.status == http.StatusOK
		all = append(all, part{name, got.body})
	}
	return all, complete, nil
}

// membersOf reads an object whose members are texts, in their order. The workload answers with text, so each body stands there as one.
func membersOf(body []byte) ([]part, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("it does not begin with {")
	}
	var all []part
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		var text *string // an empty body is null
		if err := d.Decode(&text); err != nil {
			return nil, fmt.Errorf("the part %v: %w", name, err)
		}
		m := part{name: fmt.Sprint(name)}
		if text != nil {
			m.body = []byte(*text)
		}
		all = append(all, m)
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	return all, nil
}
