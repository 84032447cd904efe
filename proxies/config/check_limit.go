package config

import (
	"math"
	"strings"

	"crossroads/proxies/config/strict"
)

// MaxPolicies is the largest number of rate limit policies: each costs every request.
const MaxPolicies = 16

func (c *checker) rateLimit(path string, r *RateLimit, stages GatewayStages) {
	c.mode(path+".mode", r.Mode)
	if r.Redis != nil && r.Mode != Off {
		c.redis(path+".redis", r.Redis)
	}
	if len(r.Policies) == 0 && r.Mode != Off {
		c.fault(path, "policies is empty: nothing would be limited")
	}
	if len(r.Policies) > MaxPolicies {
		c.fault(path+".policies", "%d policies: at most %d are asked for each request", len(r.Policies), MaxPolicies)
	}
	if r.MaxKeys < 1 {
		c.fault(path+".max_keys", "%d: the table holds at least one key", r.MaxKeys)
	}
	var consumers map[string]bool // nil: tokens name them, so none can be called unknown
	if stages.JWT == nil && stages.Introspection == nil {
		consumers = map[string]bool{}
		if stages.KeyAuth != nil {
			for _, k := range stages.KeyAuth.Keys {
				consumers[k.Consumer] = true
			}
		}
	}
	names := map[string]bool{}
	for i, p := range r.Policies {
		at := strict.Index(path+".policies", i)
		// The name stands in a structured field as a string (RFC 9651 3.3.3) and in a metric.
		if !fieldValue(p.Name) || strings.ContainsAny(p.Name, `"\`) {
			c.fault(at, "name is missing or holds characters that a field cannot carry")
		} else if names[p.Name] {
			c.fault(at+".name", "%q names two policies", p.Name)
		}
		names[p.Name] = true
		c.policy(at, p, consumers)
		if r.Redis != nil && p.Rate > 1e6 {
			c.fault(at+".rate", "%s: Redis counts in microseconds, so at most 1M", p.Rate)
		}
	}
}

func (c *checker) policy(at string, p RateLimitPolicy, consumers map[string]bool) {
	if p.Rate < 0.001 || p.Rate > 1e9 {
		c.fault(at, "rate is %s: write requests per second, 0.001 to 1000M", p.Rate)
	}
	if p.Burst < 1 || p.Burst > 1e9 || p.Burst.F() != math.Trunc(p.Burst.F()) {
		c.fault(at+".burst", "%s is not a burst: a whole number of requests, at least 1", p.Burst)
	}
	for i, k := range p.Key {
		name, isHeader := strings.CutPrefix(k, "header:")
		if isHeader && !token.MatchString(name) {
			c.fault(strict.Index(at+".key", i), "%q is not a field name", name)
		}
		if !isHeader {
			c.oneOf(strict.Index(at+".key", i), "kind of key", k, "consumer", "credential", "address", "route", "header:NAME")
		}
	}
	for i, name := range p.Only {
		if consumers != nil && !consumers[name] {
			c.fault(strict.Index(at+".only", i), "no key belongs to consumer %q", name)
		}
	}
}
