package parity

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"crossroads/harness/deploy"
	"crossroads/topologies"
)

const (
	keyField    = "X-Api-Key"
	policyField = "RateLimit-Policy"
)

// keyAuth tries every gateway without a key and with a wrong one. A stage that is on refuses both with 401; one that is off or in
// shadow lets both pass, for a stage that acts where it should not falsifies a comparison as much.
func (c *checker) keyAuth(ctx context.Context) []string {
	g := c.arm.Topology.Gateway
	if g == nil {
		return nil
	}
	on := g.Stages.KeyAuth != nil && g.Stages.KeyAuth.Mode == topologies.ModeOn
	tries := []struct{ what, key string }{{"without a key", ""}, {"with a wrong key", "not a key of anybody"}}
	return each(c.deployment.Entries(), func(entry deploy.Entry) []string {
		var found []string
		for _, try := range tries {
			got, err := c.ask(ctx, entry.URL, c.first(), 0, change{keyField, try.key})
			switch {
			case err != nil:
				found = append(found, one("a request %s at %s: %v", try.what, entry.Name, err)...)
			case on && got.status != http.StatusUnauthorized:
				found = append(found, one("a request %s at %s was answered %d where key_auth is on: 401 was due", try.what, entry.Name, got.status)...)
			case !on && got.status == http.StatusUnauthorized:
				found = append(found, one("a request %s at %s was answered 401 where key_auth is not on", try.what, entry.Name)...)
			}
		}
		return found
	})
}

// rateLimit tries the limit at each gateway, for each keeps its own count: by exceeding the low limit of the probe consumer where
// consumers are known, otherwise by the fields in which a limit tells its policy.
func (c *checker) rateLimit(ctx context.Context) []string {
	g := c.arm.Topology.Gateway
	if g == nil {
		return nil
	}
	on := g.Stages.RateLimit != nil && g.Stages.RateLimit.Mode == topologies.ModeOn
	known := g.Stages.KeyAuth != nil && g.Stages.KeyAuth.Mode == topologies.ModeOn
	return each(c.deployment.Entries(), func(entry deploy.Entry) []string {
		if on && !known {
			return c.announced(ctx, entry, g.Stages.RateLimit)
		}
		return c.exceeded(ctx, entry, on)
	})
}

// exceeded sends more than the burst of the probe consumer in one go.
func (c *checker) exceeded(ctx context.Context, entry deploy.Entry, on bool) []string {
	var passed, limited int
	for range deploy.ProbeBurst + 2 {
		got, err := c.ask(ctx, entry.URL, c.first(), 0, change{keyField, deploy.ProbeKey})
		switch {
		case err != nil:
			return one("a request of the probe consumer at %s: %v", entry.Name, err)
		case got.status == http.StatusTooManyRequests:
			limited++
		case got.status == http.StatusUnauthorized:
			return one("the probe consumer's key is not known at %s: the limit could not be tried", entry.Name)
		case !on && got.header.Get(policyField) != "":
			return one("answers at %s announce the limit %s where rate_limit is not on", entry.Name, got.header.Get(policyField))
		default:
			passed++
		}
	}
	switch {
	case on && limited == 0:
		return one("%d requests in one go at %s, %d allowed: none was answered 429 where rate_limit is on", passed, entry.Name, deploy.ProbeBurst)
	case on && passed == 0:
		return one("every request of the probe consumer at %s was answered 429, the first included", entry.Name)
	case !on && limited > 0:
		return one("%d of %d requests at %s were answered 429 where rate_limit is not on", limited, limited+passed, entry.Name)
	}
	return nil
}

// announced looks for the declared policy and its quota in RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers). To exceed the
// declared limit itself would take its whole burst from the load that is measured next.
func (c *checker) announced(ctx context.Context, entry deploy.Entry, limit *topologies.RateLimitStage) []string {
	got, err := c.ask(ctx, entry.URL, c.first(), 0)
	if err != nil {
		return one("a request at %s: %v", entry.Name, err)
	}
	due := fmt.Sprintf("%q;q=%d", deploy.DeclaredPolicy, int64(limit.Burst))
	if told := got.header.Get(policyField); !strings.Contains(told, due) {
		return one("%s at %s is %q where rate_limit is on: %s was due", policyField, entry.Name, told, due)
	}
	return nil
}
