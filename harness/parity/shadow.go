package parity

import (
	"context"
	"fmt"

	"crossroads/harness/deploy"
	"crossroads/topologies"
)

// shadows are the series in which a stage that only looks counts what it would have done to the wrong requests of its probe.
var shadows = map[string]string{
	topologies.StageCORS:          authSeries("cors", "shadow_preflight_allowed"),
	topologies.StageKeyAuth:       authSeries("key", "shadow_missing"),
	topologies.StageJWT:           authSeries("jwt", "shadow_missing"),
	topologies.StageIntrospection: authSeries("introspection", "shadow_missing"),
	topologies.StageAuthorization: authSeries("authorization", "shadow_denied"),
	topologies.StageRateLimit:     fmt.Sprintf("gateway_rate_limit_decisions_total{decision=%q,policy=%q}", "shadow_allowed", deploy.DeclaredPolicy),
}

func authSeries(scheme, outcome string) string {
	return fmt.Sprintf("gateway_auth_decisions_total{outcome=%q,scheme=%q}", outcome, scheme)
}

// tries runs a probe at every entry. A stage in shadow must have counted it: one that neither acts nor counts is off.
func (c *checker) tries(ctx context.Context, stage string, probe func(deploy.Entry) []string) []string {
	g := c.arm.Topology.Gateway
	watched := g.Stages.Mode(stage) == topologies.ModeShadow && g.Use == topologies.Reference
	return each(c.deployment.Entries(), func(entry deploy.Entry) []string {
		if !watched {
			return probe(entry)
		}
		p, known := c.gateway(entry)
		if !known {
			return one("no process of the deployment is the entry %s: what %s counts in shadow could not be read", entry.Name, stage)
		}
		before, err := scrape(ctx, p)
		if err != nil {
			return one("reading what %s counts: %v", p.ID, err)
		}
		found := probe(entry)
		after, err := scrape(ctx, p)
		switch {
		case err != nil:
			found = append(found, one("reading what %s counts: %v", p.ID, err)...)
		case after.count(shadows[stage]) <= before.count(shadows[stage]):
			found = append(found, one("%s did not count the requests of the probe where %s is in shadow: it neither acts nor looks", p.ID, stage)...)
		}
		c.saw(stage, stage+"=shadow", "what the stage would refuse", "passed, and counted")
		return found
	})
}

// gateway is the process behind an entry.
func (c *checker) gateway(entry deploy.Entry) (deploy.Process, bool) {
	for _, p := range c.processes(deploy.KindGateway) {
		if p.ID == entry.Name {
			return p, true
		}
	}
	return deploy.Process{}, false
}
