package parity

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"crossroads/harness/deploy"
	"crossroads/proxies/config/units"
	"crossroads/results"
	"crossroads/topologies"
)

// Probes of the stages that do not authenticate and do not count requests; features.go has those.

// anonymous takes every credential out.
var anonymous = []change{{keyField, ""}, {tokenField, ""}, {topologies.OpaqueField, ""}}

const allowOrigin = "Access-Control-Allow-Origin"

// cors asks as a browser does before it lets a page ask (https://fetch.spec.whatwg.org/#http-cors-protocol): without credentials, from the
// page that may and from one that may not.
func (c *checker) cors(ctx context.Context) []string {
	g := c.arm.Topology.Gateway
	if g == nil {
		return nil
	}
	preflight := c.first()
	preflight.Method, preflight.Body.Size = http.MethodOptions, 0
	on := g.Stages.Mode(topologies.StageCORS) == topologies.ModeOn
	return c.tries(ctx, topologies.StageCORS, func(entry deploy.Entry) []string {
		var found, allowed []string
		for _, page := range []string{topologies.DemoOrigin, "https://foreign.crossroads.invalid"} {
			asked := append([]change{{"Origin", page}, {"Access-Control-Request-Method", http.MethodGet}}, anonymous...)
			got, err := c.ask(ctx, entry.URL, preflight, 0, asked...)
			told, due := got.header.Get(allowOrigin), ""
			allowed = append(allowed, fmt.Sprintf("%d allowing %q", got.status, told))
			if on && page == topologies.DemoOrigin {
				due = page
			}
			switch {
			case err != nil:
				found = append(found, one("a preflight from %s at %s: %v", page, entry.Name, err)...)
			case on && got.status != http.StatusNoContent:
				found = append(found, one("a preflight from %s at %s was answered %d where cors is on: 204 was due", page, entry.Name, got.status)...)
			case told != due:
				found = append(found, one("a preflight from %s at %s was answered with the allowed origin %q: %q was due", page, entry.Name, told, due)...)
			}
		}
		if on {
			c.saw(topologies.StageCORS, topologies.StageCORS, "a preflight from the page that may, from one that may not", strings.Join(allowed, ", "))
		}
		return found
	})
}

// rules asks for what the gateway's rules deny to everybody.
func (c *checker) rules(ctx context.Context) []string {
	g := c.arm.Topology.Gateway
	if g == nil {
		return nil
	}
	denied := c.first()
	denied.Path = topologies.DeniedPath
	on := g.Stages.Mode(topologies.StageAuthorization) == topologies.ModeOn
	return c.tries(ctx, topologies.StageAuthorization, func(entry deploy.Entry) []string {
		got, err := c.ask(ctx, entry.URL, denied, 0)
		if on {
			c.saw(topologies.StageAuthorization, topologies.StageAuthorization, "a path that the rules deny", statuses([]int{got.status}))
		}
		switch {
		case err != nil:
			return one("a request for %s at %s: %v", denied.Path, entry.Name, err)
		case on && got.status != http.StatusForbidden:
			return one("a request for %s at %s was answered %d where authorization is on: 403 was due", denied.Path, entry.Name, got.status)
		case !on && got.status == http.StatusForbidden:
			return one("a request for %s at %s was answered 403 where authorization is not on", denied.Path, entry.Name)
		}
		return nil
	})
}

// bodyLimit sends a body that is just as long as may be, and one that is a byte longer: nothing of that one is to be invited.
func (c *checker) bodyLimit(ctx context.Context) []string {
	g := c.arm.Topology.Gateway
	if g == nil {
		return nil
	}
	limit := g.Stages.BodyLimit
	on := limit != nil
	if !on {
		limit = &topologies.BodyLimitStage{}
		limit.SetDefaults()
	}
	return each(c.deployment.Entries(), func(entry deploy.Entry) []string {
		upload := c.first()
		upload.Method = http.MethodPost
		var answered []int
		for _, try := range []struct {
			size    units.Bytes
			refused bool
		}{{limit.Max, false}, {limit.Max + 1, on}} {
			upload.Body.Size = try.size
			got, err := c.ask(ctx, entry.URL, upload, 0, change{"Expect", "100-continue"})
			answered = append(answered, got.status)
			switch {
			case err != nil:
				return one("a body of %d bytes at %s: %v", try.size, entry.Name, err)
			case try.refused && got.status != http.StatusRequestEntityTooLarge:
				return one("a body of %d bytes at %s was answered %d where body_limit is %s: 413 was due", try.size, entry.Name, got.status, limit.Max)
			case !try.refused && got.status == http.StatusRequestEntityTooLarge:
				return one("a body of %d bytes at %s was answered 413, which is due above %s only, and where body_limit is on", try.size, entry.Name, limit.Max)
			}
		}
		if on {
			c.saw(topologies.StageBodyLimit, topologies.StageBodyLimit, fmt.Sprintf("a body of %s, and of a byte more", limit.Max), statuses(answered))
		}
		return nil
	})
}

// upstream holds how each gateway says it treats the services that it calls against what is declared. That says what is in force and not
// that it acts: nothing fails here that could be tried again, ejected or bounded.
func (c *checker) upstream(ctx context.Context) []string {
	g := c.arm.Topology.Gateway
	return each(c.references(), func(p deploy.Process) []string {
		text, err := readPage(ctx, p.Admin+"/config")
		if err != nil {
			return one("asking %s for its configuration: %v", p.ID, err)
		}
		var said terms
		if err := json.Unmarshal(text, &said); err != nil || len(said.Routes) == 0 {
			return one("%s shows no configuration: %s", p.ID, shorten(text))
		}
		var found []string
		for _, feature := range g.Upstream.Features() {
			c.told("upstream", results.PlaceGateway, feature, "the configuration in force", feature+" for "+strings.Join(c.arm.Experiment.Entered(), ", "))
		}
		for _, service := range c.arm.Experiment.Entered() {
			if is := said.of(service); is != g.Upstream {
				found = append(found, fmt.Sprintf("%s says that it treats %s by %+v where %+v is declared", p.ID, service, is, g.Upstream))
			}
		}
		return found
	})
}

// terms is what a gateway's /config page says of upstreams.
type terms struct {
	Upstreams map[string]struct {
		Balance string
		Breaker struct{ Mode string }
		Health  *struct{ Path string }
		Limits  struct{ Requests int }
	}
	Routes []struct {
		Backends []struct{ Upstream string }
		Retry    struct{ Attempts int }
	}
}

func (t *terms) of(service string) topologies.GatewayUpstream {
	u, retries := t.Upstreams[service], false
	for _, r := range t.Routes {
		retries = retries || len(r.Backends) > 0 && r.Backends[0].Upstream == service && r.Retry.Attempts > 1
	}
	return topologies.GatewayUpstream{Balance: u.Balance, Retries: onOff(retries), Breaker: onOff(u.Breaker.Mode == topologies.ModeOn),
		Health: onOff(u.Health != nil), Bulkhead: onOff(u.Limits.Requests > 0)}
}

func onOff(on bool) string {
	if on {
		return topologies.ModeOn
	}
	return topologies.ModeOff
}
