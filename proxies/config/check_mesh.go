package config

import (
	"time"

	"crossroads/proxies/config/strict"
)

func (c *checker) sidecar(s *Sidecar) {
	c.version(s.Version)
	if !fieldValue(s.Service) {
		c.fault("$.service", "service is missing: others know the application by it")
	}
	c.address("$.admin.address", s.Admin.Address, true)
	c.oneOf("$.mtls", "mode", s.MTLS, "strict", "permissive", "off")
	c.identity(s.Identity)
	c.clients("$.clients", s.Clients)
	c.log(s.Log)
	c.logFile(&s.Log)
	c.workers(s.Workers)
	c.within("$.drain.application", s.Drain.Application, s.Drain.Grace, "grace")
	if s.Identity == nil && s.MTLS != "off" {
		c.fault("$", "mtls is %s, but there is no identity: add `identity`, or write `mtls: off`", s.MTLS)
	}
	if s.Inbound == nil && s.Outbound == nil {
		c.fault("$", "neither inbound nor outbound is given: the sidecar would do nothing")
	}
	if in := s.Inbound; in != nil {
		c.address("$.inbound.listen", in.Listen, true)
		if in.App != "" || len(in.TCP) == 0 {
			c.address("$.inbound.app", in.App, false)
		}
		c.inboundTCP(s)
		if in.Ingress != "" {
			c.address("$.inbound.ingress", in.Ingress, true)
		}
		c.meshAuthorization("$.inbound.authorization", in.Authorization, false)
		c.callerLimits("$.inbound.limits", in.Limits)
		c.register(s)
	}
	if s.Outbound != nil {
		c.outbound(s)
	}
	c.faults(s.Faults, faultsOf{s.Inbound != nil, s.Outbound != nil, s.Identity})
}

func (c *checker) outbound(s *Sidecar) {
	const path = "$.outbound"
	out := s.Outbound
	at := place{identity: s.Identity, discoverOwn: out.Discover, permissive: s.MTLS == "permissive"}
	c.address(path+".listen", out.Listen, true)
	c.within(path+".per_try", out.PerTry, out.Timeout, "timeout")
	c.retry(path+".retry", out.Retry)
	c.outboundTCP(s)
	c.splits(path+".splits", out.Splits, func(name string) bool {
		_, listed := out.Upstreams.Get(name)
		return listed || out.Discover
	})
	if out.Discover && (s.Identity == nil || s.Identity.Control == nil) {
		c.fault(path+".discover", "discover needs a control plane: add `identity` with `control`")
	}
	if !out.Discover && out.Upstreams.Len() == 0 {
		c.fault(path, "no upstreams and no discover: no service could be called")
	}
	for name, u := range out.Upstreams.All() {
		p := strict.Key(path+".upstreams", name)
		c.host(p, name)
		c.upstream(p, u, at)
	}
	if terms := out.Defaults; s.Identity != nil || terms.MTLS == "off" {
		at.terms = true
		c.upstream(path+".defaults", terms, at)
	}
}

func (c *checker) control(k *Control) {
	c.version(k.Version)
	if k.TrustDomain == "" {
		c.fault("$", "trust_domain is missing")
	}
	c.address("$.bootstrap", k.Bootstrap, true)
	c.address("$.listen", k.Listen, true)
	c.address("$.admin.address", k.Admin.Address, true)
	c.file("$.endpoints", &k.Endpoints, "endpoints")
	if (k.CA.Certificate == "") != (k.CA.Key == "") {
		c.fault("$.ca", "certificate and key belong together: give both, or neither for a root that lives in memory")
	} else if k.CA.Certificate != "" {
		c.file("$.ca.certificate", &k.CA.Certificate, "certificate")
		c.file("$.ca.key", &k.CA.Key, "key")
	}
	c.registration(k)
	if k.Lifetime <= 0 {
		c.fault("$.svid_lifetime", "svid_lifetime is 0: an SVID has to live for some time")
	}
	if w := k.Graph.Window.D(); w < 100*time.Millisecond || w > time.Minute {
		c.fault("$.graph.window", "%s: write a window between 100ms and 1m", k.Graph.Window)
	}
	if k.Graph.Keep < k.Graph.Window {
		c.fault("$.graph.keep", "%s is shorter than a window: no edge would ever be shown", k.Graph.Keep)
	}
	if len(k.Tokens) == 0 {
		c.fault("$", "tokens is empty: no proxy could obtain an SVID")
	}
	for i := range k.Tokens {
		at := strict.Index("$.tokens", i)
		c.file(at+".file", &k.Tokens[i].File, "file")
		if len(k.Tokens[i].IDs) == 0 {
			c.fault(at, "ids is empty: the token would allow nothing")
		}
		for j, id := range k.Tokens[i].IDs {
			c.tokenID(strict.Index(at+".ids", j), id, k.TrustDomain)
		}
	}
}

// tokenID checks an identity, or a prefix of identities that ends in /*.
func (c *checker) tokenID(path, id, trustDomain string) {
	prefix, wild := cutWildcard(id)
	if !wild {
		c.spiffe(path, id, trustDomain)
		return
	}
	root := "spiffe://" + trustDomain
	if prefix != root && (len(prefix) <= len(root) || prefix[:len(root)+1] != root+"/") {
		c.fault(path, "%q is not below spiffe://%s/", id, trustDomain)
	}
}

func cutWildcard(id string) (string, bool) {
	if n := len(id) - len("/*"); n >= 0 && id[n:] == "/*" {
		return id[:n], true
	}
	return id, false
}

func (c *checker) endpoints(e *Endpoints) {
	c.version(e.Version)
	c.meshAuthorization("$.authorization", e.Authorization, true)
	c.splits("$.splits", e.Splits, func(name string) bool { _, known := e.Services.Get(name); return known })
	taken := map[string]bool{}
	for name, s := range e.Services.All() {
		path := strict.Key("$.services", name)
		c.host(path, name)
		c.oneOf(path+".protocol", "protocol", s.Protocol, "http")
		c.addresses(path, s.Addresses, taken)
		if s.Identity != "" {
			c.spiffe(path+".identity", s.Identity, "")
		}
		c.endpointList(path, s.Endpoints, func(p string, e Endpoint) {
			if e.Identity != "" {
				c.spiffe(p+".identity", e.Identity, "")
			}
		})
	}
}
