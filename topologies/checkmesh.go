package topologies

import (
	"slices"
	"time"

	"crossroads/proxies/config/strict"
)

// meshKeys are the keys of a mesh that do nothing without sidecars.
var meshKeys = []string{"mtls", "app", "protocol", "balance", "breaker", "retries", "authorization", "ledger", "svid_lifetime"}

func (c *checker) mesh(name, path string, m *Mesh) {
	for _, word := range []struct {
		key, is string
		known   []string
	}{
		{"use", m.Use, meshes}, {"sidecars", m.Sidecars, sidecars}, {"mtls", m.MTLS, mtls}, {"app", m.App, apps}, {"protocol", m.Protocol, protocols},
		{"balance", m.Balance, balances}, {"breaker", m.Breaker, switches}, {"retries", m.Retries, switches}, {"authorization", m.Authorization, decisions},
	} {
		what := word.key
		if what == "use" {
			what = "mesh"
		}
		c.oneOf(path+"."+word.key, what, word.is, word.known)
	}
	if _, far := elsewhere[m.Use]; far {
		c.platform(path+".use", m.Use, "envoy, nginx or haproxy")
		return
	}
	if m.Sidecars == SidecarsClient && len(c.e.edges()) == 0 {
		c.report(path+".sidecars", "no service calls another: sidecars of callers would do nothing")
	}
	c.ledger(path, m.Use, m.Ledger)
	c.svidLifetime(path, m)
	c.busy(path, m)
	if m.Use == Relay {
		c.relays(name, path, m)
		return
	}
	if m.Use != Reference && slices.Contains(meshes, m.Use) {
		c.rivalSidecars(name, path, m)
		return
	}
	g := c.e.Topologies.At(name).Gateway
	if g != nil && g.Use == Relay && m.Sidecars != SidecarsClient && m.MTLS == MTLSStrict {
		c.report(path+".mtls", "mtls: strict would refuse a relay in the gateway's place: it holds no SVID; write mtls: permissive or off")
	}
	gatewayOnly := g != nil && len(c.e.edges()) == 0 // nobody else calls a service
	switch {
	case m.Sidecars == SidecarsClient && m.MTLS != MTLSOff:
		c.report(path+".mtls", "mtls: %s needs a sidecar at both ends of a call, here are only the callers': write mtls: off or sidecars: both", m.MTLS)
	case m.Sidecars == SidecarsServer && m.MTLS == MTLSStrict && !gatewayOnly:
		c.report(path+".mtls", "mtls: strict would refuse every call, as callers have no sidecar here: write mtls: off, permissive, or sidecars: both; "+
			"strict needs a gateway as the only caller")
	}
	proved := m.Sidecars == SidecarsBoth && m.MTLS != MTLSOff
	if m.Authorization != ModeOff && !proved {
		c.report(path+".authorization", "who calls is proved by mutual TLS: authorization needs sidecars: both and mtls: strict or permissive")
	}
	if m.Protocol == ProtocolOpaque && !proved {
		c.report(path+".protocol", "opaque connections travel inside mutual TLS: they need sidecars: both and mtls: strict or permissive")
	}
	switch {
	case m.Sidecars == SidecarsServer:
		c.idleBeside(name, path, "sidecars: server", "balance", "breaker", "retries")
	case m.Protocol == ProtocolOpaque && len(c.e.edges()) == 0:
		c.report(path+".protocol", "no service calls another: nothing would be carried as opaque bytes")
	case m.Protocol == ProtocolOpaque:
		c.idleBeside(name, path, "protocol: opaque", "balance", "breaker", "retries")
	}
}

// svidLifetime is bounded by what certificates can say: they hold whole seconds, and are renewed at half of their time.
func (c *checker) svidLifetime(path string, m *Mesh) {
	life := m.SVIDLifetime.D()
	switch at := path + ".svid_lifetime"; {
	case life == 0:
	case m.Use != Reference || m.MTLS == MTLSOff:
		c.report(at, "svid_lifetime is of SVIDs that the control plane issues: they need use: reference and mutual TLS")
	case life < 2*time.Second || life > 24*time.Hour:
		c.report(at, "%s is outside 2s to 24h", m.SVIDLifetime)
	}
}

// rivalSidecars checks sidecars that we did not write: what is not rendered for them is refused, never left out in silence.
func (c *checker) rivalSidecars(name, path string, m *Mesh) {
	for _, word := range []struct{ key, is, only string }{
		{"sidecars", m.Sidecars, SidecarsBoth}, {"app", m.App, AppTCP}, {"protocol", m.Protocol, ProtocolHTTP}, {"retries", m.Retries, ModeOff},
		{"authorization", m.Authorization, ModeOff},
	} {
		if word.is != word.only && word.is != "" {
			c.report(path+"."+word.key, "%s: %s is rendered for the reference sidecar only: write %s, or use: reference", word.key, word.is, word.only)
		}
	}
	if m.MTLS == MTLSPermissive {
		c.report(path+".mtls", "mtls: permissive is rendered for the reference sidecar only: write strict or off, or use: reference")
	}
	if m.Breaker == ModeOn && m.Use != "envoy" {
		c.report(path+".breaker", "%s takes an endpoint out by rules of its own that are not the breaker's: write off, or use: reference or envoy", m.Use)
	}
	if g := c.e.Topologies.At(name).Gateway; g != nil && g.Use == Relay && m.MTLS == MTLSStrict {
		c.report(path+".mtls", "mtls: strict would refuse a relay in the gateway's place: it holds no SVID; write mtls: off")
	}
}

// relays checks sidecars that are floor relays: two of them in a row on each edge, and plaintext.
func (c *checker) relays(name, path string, m *Mesh) {
	if m.MTLS != MTLSOff {
		c.report(path+".mtls", "a relay passes bytes as they come: it has no mutual TLS; leave the key out")
	}
	c.idleBeside(name, path, "use: relay", "protocol", "balance", "breaker", "retries", "authorization")
}

// bare refuses every key but the ones named: a relay does input and output and nothing else.
func (c *checker) bare(path string, but ...string) {
	n := c.doc.Root().Lookup(path)
	if n == nil {
		return
	}
	for _, e := range n.Entries {
		if empty := e.Value.Kind == strict.Mapping && len(e.Value.Entries) == 0; !empty && !slices.Contains(but, e.Key) {
			c.report(path+"."+e.Key, "%s does nothing with use: relay: leave it out", e.Key)
		}
	}
}

// idleBeside refuses keys that a topology writes itself although they can do nothing there.
func (c *checker) idleBeside(name, path, reason string, keys ...string) {
	for _, key := range keys {
		if c.wrote(name, "mesh."+key) {
			c.report(path+"."+key, "%s does nothing with %s: leave it out", key, reason)
		}
	}
}
