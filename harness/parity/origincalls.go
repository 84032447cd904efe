package parity

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"crossroads/harness/deploy"
	"crossroads/topologies"
)

// originCalls counts at the services themselves what one request makes of calls, as the arm's client sends it, against the same calls
// made past all proxies: equal work, whoever makes the calls. Nothing else may be asked meanwhile.
func (c *checker) originCalls(ctx context.Context) []string {
	var found []string
	for _, r := range c.requests {
		if len(r.Calls) == 0 {
			continue
		}
		for _, seq := range sequences {
			found = append(found, c.originCallsOf(ctx, r, seq)...)
		}
	}
	return found
}

func (c *checker) originCallsOf(ctx context.Context, r topologies.Request, seq int) []string {
	want, err := c.counted(ctx, func() error { return c.pastProxies(ctx, r, seq) })
	if err != nil {
		return one("counting the calls of %s past all proxies: %v", r.Path, err)
	}
	got, err := c.counted(ctx, func() error { return c.asClient(ctx, r, seq) })
	if err != nil {
		return one("counting the calls of %s: %v", r.Path, err)
	}
	var found []string
	for _, service := range slices.Sorted(maps.Keys(want)) {
		if got[service] != want[service] {
			found = append(found, fmt.Sprintf("one request for %s made %s answer %d times, the same calls past all proxies %d times", r.Path, service, got[service], want[service]))
		}
	}
	return found
}

func (c *checker) pastProxies(ctx context.Context, r topologies.Request, seq int) error {
	for _, call := range c.calls(r) {
		base, known := c.origin(call.service)
		if !known {
			return fmt.Errorf("the deployment lists no process of the service %s", call.service)
		}
		if _, err := c.ask(ctx, base, call.Request, seq); err != nil {
			return err
		}
	}
	return nil
}

// asClient sends a request as the arm's client does: whole where the gateway composes it, else call by call.
func (c *checker) asClient(ctx context.Context, r topologies.Request, seq int) error {
	if c.arm.Composes(&r) {
		_, err := c.ask(ctx, c.deployment.Entries()[0].URL, r, seq)
		return err
	}
	for _, call := range c.calls(r) {
		entries := c.entriesOf(call.service)
		if len(entries) == 0 {
			return fmt.Errorf("the deployment has no entry to %s", call.service)
		}
		if _, err := c.ask(ctx, entries[0].URL, call.Request, seq); err != nil {
			return err
		}
	}
	return nil
}

// counted says how many requests each service answered while something was done.
func (c *checker) counted(ctx context.Context, do func() error) (map[string]int, error) {
	before, err := c.counts(ctx)
	if err == nil {
		err = do()
	}
	if err != nil {
		return nil, err
	}
	after, err := c.counts(ctx)
	for service := range after {
		after[service] -= before[service]
	}
	return after, err
}

// counts reads the counters of every workload process.
func (c *checker) counts(ctx context.Context) (map[string]int, error) {
	all := map[string]int{}
	for _, p := range c.processes(deploy.KindWorkload) {
		n, err := c.answered(ctx, p.Admin)
		if err != nil {
			return nil, fmt.Errorf("reading the counters of %s: %w", p.ID, err)
		}
		all[p.Service] += n
	}
	return all, nil
}

const answeredMetric = "workload_requests_total{"

func (c *checker) answered(ctx context.Context, base string) (int, error) {
	got, err := c.ask(ctx, base, topologies.Request{Path: "/metrics"}, 0)
	if err != nil {
		return 0, err
	}
	if got.status != http.StatusOK {
		return 0, fmt.Errorf("answered %d", got.status)
	}
	sum, seen := 0, false
	for line := range strings.Lines(string(got.body)) {
		if !strings.HasPrefix(line, answeredMetric) {
			continue
		}
		n, err := strconv.Atoi(strings.TrimSpace(line[strings.LastIndex(line, " "):]))
		if err != nil {
			return 0, fmt.Errorf("%q is not a counter", strings.TrimSpace(line))
		}
		sum, seen = sum+n, true
	}
	if !seen {
		return 0, fmt.Errorf("no line begins with %s", answeredMetric)
	}
	return sum, nil
}
