package config

import "crossroads/proxies/config/strict"

// The parts that a gateway and a sidecar have in common.

func (c *checker) clients(path string, k Clients) {
	if k.MaxHead < 1<<10 || k.MaxHead > 1<<20 {
		c.fault(path+".max_head", "%s is outside 1KiB to 1MiB", k.MaxHead)
	}
	c.notNegative(path+".max_connections", k.MaxConnections)
	c.notNegative(path+".connections_per_address", k.ConnectionsPerAddress)
	c.notNegative(path+".trusted_hops", k.TrustedHops)
}

func (c *checker) log(l Log) {
	if l.Access == "" {
		c.fault("$.log.access", "access is empty: write off, stdout, stderr or a file")
	}
}

// logFile makes a relative access log start beside the configuration.
func (c *checker) logFile(l *Log) {
	switch l.Access {
	case "off", "stdout", "stderr", "":
	default:
		c.file("$.log.access", &l.Access, "access")
	}
}

func (c *checker) workers(n int) { c.notNegative("$.workers", n) }

// identity checks how a proxy obtains its SVID: from exactly one source.
func (c *checker) identity(i *Identity) {
	if i == nil {
		return
	}
	const path = "$.identity"
	if i.TrustDomain == "" {
		c.fault(path, "trust_domain is missing")
	}
	c.spiffe(path+".id", i.ID, i.TrustDomain)
	switch {
	case i.Control != nil && i.Files != nil:
		c.fault(path+".files", "control and files are both given: an SVID comes from one of them")
	case i.Control == nil && i.Files == nil:
		c.fault(path, "neither control nor files is given: an SVID comes from one of them")
	}
	if k := i.Control; k != nil {
		c.address(path+".control.bootstrap", k.Bootstrap, false)
		c.address(path+".control.address", k.Address, false)
		c.file(path+".control.roots", &k.Roots, "roots")
		c.file(path+".control.token", &k.Token, "token")
		c.oneOf(path+".control.reports", "mode", k.Reports, "off", "on")
	}
	if f := i.Files; f != nil {
		c.file(path+".files.certificate", &f.Certificate, "certificate")
		c.file(path+".files.key", &f.Key, "key")
		c.file(path+".files.bundle", &f.Bundle, "bundle")
	}
}

// place is where an upstream stands, for what is required of it there.
type place struct {
	identity    *Identity
	discoverOwn bool // the service's name is the key of the mapping: no discover key is needed
	permissive  bool // endpoints without an identity are called in plaintext
	terms       bool // only terms for others: neither endpoints nor discover
}

func (c *checker) upstream(path string, u Upstream, at place) {
	c.balance(path, u)
	c.oneOf(path+".mtls", "mode", u.MTLS, "off", "on")
	c.notNegative(path+".max_idle", u.MaxIdle)
	c.notNegative(path+".max_connections", u.MaxConns)
	c.breaker(path+".breaker", u.Breaker)
	c.health(path+".health", u.Health)
	c.limits(path+".limits", u.Limits)
	c.budget(path+".retry_budget", u.Budget)
	if u.MTLS == "on" && at.identity == nil {
		c.fault(path, "mtls is on, but the file has no identity to present: add `identity`, or write `mtls: off`")
	}
	switch {
	case at.terms && (len(u.Endpoints) > 0 || u.Discover != ""):
		c.fault(path, "only terms may stand here: endpoints belong to an upstream")
	case at.terms:
	case len(u.Endpoints) > 0 && u.Discover != "":
		c.fault(path+".discover", "endpoints and discover are both given: endpoints come from one of them")
	case len(u.Endpoints) == 0 && u.Discover == "" && !at.discoverOwn:
		c.fault(path, "neither endpoints nor discover is given: nothing could be reached")
	case u.Discover != "" && (at.identity == nil || at.identity.Control == nil):
		c.fault(path+".discover", "discover needs a control plane: add `identity` with `control`")
	}
	c.endpointList(path, u.Endpoints, func(p string, e Endpoint) {
		if u.MTLS == "on" && e.Identity == "" && !at.permissive {
			c.fault(p, "mtls is on, but this endpoint has no identity to verify: add `identity`")
		}
		if e.Identity != "" && at.identity != nil {
			c.spiffe(p+".identity", e.Identity, at.identity.TrustDomain)
		}
	})
}

func (c *checker) endpointList(path string, endpoints []Endpoint, also func(path string, e Endpoint)) {
	seen := map[string]bool{}
	for i, e := range endpoints {
		p := strict.Index(path+".endpoints", i)
		c.address(p+".address", e.Address, false)
		if seen[e.Address] {
			c.fault(p+".address", "%s stands here twice: raise its weight instead", e.Address)
		}
		seen[e.Address] = true
		if e.Weight < 1 {
			c.fault(p+".weight", "%d is not a weight: an endpoint that is listed takes at least 1 part", e.Weight)
		}
		also(p, e)
	}
}
