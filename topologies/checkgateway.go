package topologies

import (
	"strings"

	"crossroads/proxies/config/strict"
	"crossroads/proxies/config/units"
)

func (c *checker) gateway(path string, g *Gateway) {
	c.oneOf(path+".use", "gateway", g.Use, gateways)
	c.platform(path+".use", g.Use, "nginx, haproxy, envoy, traefik or caddy")
	c.ownConfig(path+".config", g)
	c.within(path+".replicas", g.Replicas, 1, MaxReplicas)
	if g.TLS != "" {
		c.oneOf(path+".tls", "tls", g.TLS, switches)
	}
	c.ledger(path, g.Use, g.Ledger)
	if g.Use == Relay {
		c.bare(path, "use", "replicas")
		if n := len(c.e.Entered()); n > 1 {
			c.report(path+".use", "a relay reads no path and cannot tell calls to %d services apart: enter one service, or write use: reference", n)
		}
	}
	for _, s := range g.Stages.All() {
		c.oneOf(path+".stages."+s.Name+".mode", "mode", s.Mode, modes)
	}
	stages := path + ".stages"
	c.credentials(&g.Stages)
	c.introspection(stages+".introspection", g.Stages.Introspection)
	c.authorization(g.Stages.Authorization)
	c.rateLimit(stages+".rate_limit", g.Stages.RateLimit)
	c.bodyLimit(stages+".body_limit", g.Stages.BodyLimit)
	if g.Stages.AccessLog.mode() == ModeShadow {
		c.report(stages+".access_log", "a log that writes nothing is off: write on or off")
	}
	c.oneOf(path+".upstream.balance", "balancer", g.Upstream.Balance, gatewayBalances)
	for _, term := range g.Upstream.switches() {
		c.oneOf(path+".upstream."+term.Name, term.Name, term.Mode, switches)
	}
}

// platform reports a proxy that needs a deployer which this version has not.
func (c *checker) platform(path, use, instead string) {
	if needs, far := elsewhere[use]; far {
		c.report(path, "%s needs the deployer %s, which this version does not have (here: process), because %s: write reference, %s", use, needs.deployers, needs.because, instead)
	}
}

// credentials holds the stages that authenticate against the declared requests: one with other credentials would only ever see 401.
func (c *checker) credentials(s *GatewayStages) {
	for _, asked := range carriedFields() {
		if asked.known == "" || s.Mode(asked.stage) != ModeOn {
			continue
		}
		for i, r := range c.e.Load.Requests {
			value := r.header(asked.field)
			if value == asked.value {
				continue
			}
			at := strict.Index("$.load.requests", i) + ".headers." + r.spelled(asked.field)
			c.report(at, "%s %q: with %s on, a deployment knows %s only and answers 401 to others; leave the field out and it is filled in",
				asked.field, value, asked.stage, asked.known)
		}
	}
}

func (c *checker) introspection(path string, s *IntrospectionStage) {
	if s != nil && s.MaxAge < 0 {
		c.report(path+".max_age", "an answer cannot be remembered for less than no time")
	}
}

// authorization wants that no declared request is one that the rules deny.
func (c *checker) authorization(s *StageMode) {
	if s.mode() != ModeOn {
		return
	}
	for i, r := range c.e.Load.Requests {
		path, _, _ := strings.Cut(r.Path, "?")
		if path == DeniedPath || strings.HasPrefix(path, DeniedPath+"/") {
			c.report(strict.Index("$.load.requests", i)+".path", "%s: with authorization on, the rules deny %s and would answer 403; take another path", r.Path, DeniedPath)
		}
	}
}

func (c *checker) rateLimit(path string, s *RateLimitStage) {
	if s == nil {
		return
	}
	if s.Rate <= 0 && c.doc.Has(path+".rate") {
		c.report(path+".rate", "a limit of nothing refuses every request")
	}
	if s.Burst < 1 && c.doc.Has(path+".burst") {
		c.report(path+".burst", "a burst below 1 refuses every request")
	}
	for _, rate := range c.e.Load.Rates {
		if s.Mode == ModeOn && s.Rate > 0 && s.Rate < rate {
			c.report(path+".rate", "a limit of %s a second is below the offered %s: the difference would be answered with 429 and every such trial "+
				"be saturated; raise the limit, lower load.rates, or write mode: shadow", s.Rate, rate)
			break
		}
	}
}

func (c *checker) bodyLimit(path string, s *BodyLimitStage) {
	switch {
	case s == nil:
		return
	case s.Mode == ModeShadow:
		c.report(path, "a body is counted while it streams past and cut off where it is too long: there is no shadow of that; write on or off")
		return
	case s.Max <= 0:
		c.report(path+".max", "a limit of nothing refuses every body: write a size, such as 1MiB")
	case s.Max >= MaxBody:
		c.report(path+".max", "no body of an experiment is longer than %s, so that this limit could not be seen to act: write a smaller one", units.Bytes(MaxBody))
	}
	for i, r := range c.e.Load.Requests {
		if r.Body.Size > s.Max && s.Max > 0 {
			c.report(strict.Index("$.load.requests", i)+".body.size", "a body of %s is above the %s of body_limit and would be answered with 413; "+
				"raise body_limit.max or send less", r.Body.Size, s.Max)
		}
	}
}
