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
	tokenField  = "Authorization"
	policyField = "RateLimit-Policy"
)

// attempt is a declared request with wrong credentials, and what it is called in a finding.
type attempt struct {
	what   string
	change change
}

// keyAuth tries every gateway without a key and with a wrong one.
func (c *checker) keyAuth(ctx context.Context) []string {
	return c.refuses(ctx, topologies.StageKeyAuth, attempt{"without a key", change{keyField, ""}}, attempt{"with a wrong key", change{keyField, "not a key of anybody"}})
}

// jwt tries without a token, with one that somebody else signed, with half of one and, where tokens are looked at, with each that is wrong in
// one thing.
func (c *checker) jwt(ctx context.Context) []string {
	real := topologies.DemoToken()
	attempts := []attempt{{"without a signed token", change{tokenField, ""}}, {"with a forged token", bearer(topologies.ForgedToken(topologies.DemoConsumer))},
		{"with a token cut short", bearer(real[:len(real)/2])}}
	if g := c.arm.Topology.Gateway; g != nil && g.Stages.Mode(topologies.StageJWT) == topologies.ModeOn {
		for _, wrong := range topologies.WrongTokens() {
			attempts = append(attempts, attempt{"with " + wrong.What, bearer(wrong.Token)})
		}
	}
	return c.refuses(ctx, topologies.StageJWT, attempts...)
}

func bearer(token string) change { return change{tokenField, "Bearer " + token} }

// introspection tries without a token and with one that the authorization server does not know.
func (c *checker) introspection(ctx context.Context) []string {
	return c.refuses(ctx, topologies.StageIntrospection, attempt{"without an opaque token", change{topologies.OpaqueField, ""}},
		attempt{"with an unknown token", change{topologies.OpaqueField, "a-token-of-nobody"}})
}

// refuses holds what a gateway answers to wrong credentials against how the stage is declared. A stage that is on refuses them with 401;
// one that is off or in shadow lets them pass, for a stage that acts where it should not falsifies a comparison as much.
func (c *checker) refuses(ctx context.Context, stage string, attempts ...attempt) []string {
	g := c.arm.Topology.Gateway
	if g == nil {
		return nil
	}
	on := g.Stages.Mode(stage) == topologies.ModeOn
	return c.tries(ctx, stage, func(entry deploy.Entry) []string {
		var found, asked []string
		var answered []int
		for _, try := range attempts {
			got, err := c.ask(ctx, entry.URL, c.first(), 0, try.change)
			asked, answered = append(asked, try.what), append(answered, got.status)
			switch {
			case err != nil:
				found = append(found, one("a request %s at %s: %v", try.what, entry.Name, err)...)
			case on && got.status != http.StatusUnauthorized:
				found = append(found, one("a request %s at %s was answered %d where %s is on: 401 was due", try.what, entry.Name, got.status, stage)...)
			case !on && got.status == http.StatusUnauthorized:
				found = append(found, one("a request %s at %s was answered 401 where %s is not on", try.what, entry.Name, stage)...)
			}
		}
		if on {
			c.saw(stage, stage, "a request "+strings.Join(asked, ", "), statuses(answered))
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
	on, known := g.Stages.Mode(topologies.StageRateLimit) == topologies.ModeOn, false
	for _, stage := range []string{topologies.StageKeyAuth, topologies.StageJWT, topologies.StageIntrospection} {
		known = known || g.Stages.Mode(stage) == topologies.ModeOn
	}
	return c.tries(ctx, topologies.StageRateLimit, func(entry deploy.Entry) []string {
		if on && !known {
			return c.announced(ctx, entry, g.Stages.RateLimit)
		}
		return c.exceeded(ctx, entry, on)
	})
}

// probing are the credentials of the probe consumer, whichever a gateway looks at. Where nobody asks for a kind, sending it changes nothing.
var probing = []change{{keyField, deploy.ProbeKey}, bearer(topologies.SignedToken(deploy.ProbeConsumer)), {topologies.OpaqueField, deploy.ProbeOpaque}}

// exceeded sends more than the burst of the probe consumer in one go.
func (c *checker) exceeded(ctx context.Context, entry deploy.Entry, on bool) []string {
	var passed, limited int
	for range deploy.ProbeBurst + 2 {
		got, err := c.ask(ctx, entry.URL, c.first(), 0, probing...)
		switch {
		case err != nil:
			return one("a request of the probe consumer at %s: %v", entry.Name, err)
		case got.status == http.StatusTooManyRequests:
			limited++
		case got.status == http.StatusUnauthorized:
			return one("the probe consumer is not known at %s: the limit could not be tried", entry.Name)
		case !on && got.header.Get(policyField) != "":
			return one("answers at %s announce the limit %s where rate_limit is not on", entry.Name, got.header.Get(policyField))
		default:
			passed++
		}
	}
	if on {
		c.saw(topologies.StageRateLimit, topologies.StageRateLimit, fmt.Sprintf("%d requests at once where %d may pass", passed+limited, deploy.ProbeBurst),
			fmt.Sprintf("%d passed, %d answered 429", passed, limited))
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
	c.told(topologies.StageRateLimit, c.place(), topologies.StageRateLimit, policyField+" of an answer", got.header.Get(policyField))
	due := fmt.Sprintf("%q;q=%d", deploy.DeclaredPolicy, int64(limit.Burst))
	if told := got.header.Get(policyField); !strings.Contains(told, due) {
		return one("%s at %s is %q where rate_limit is on: %s was due", policyField, entry.Name, told, due)
	}
	return nil
}
