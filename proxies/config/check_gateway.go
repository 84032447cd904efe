package config

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"

	"crossroads/proxies/config/strict"
)

func (c *checker) gateway(g *Gateway) {
	c.version(g.Version)
	for i := range g.Listen {
		c.listener(strict.Index("$.listen", i), &g.Listen[i])
	}
	c.address("$.admin.address", g.Admin.Address, true)
	c.identity(g.Identity)
	c.clients("$.clients", g.Clients)
	c.log(g.Log)
	c.logFile(&g.Log)
	c.workers(g.Workers)
	for name, u := range g.Upstreams.All() {
		c.upstream(strict.Key("$.upstreams", name), u, place{identity: g.Identity})
	}
	if len(g.Routes) == 0 {
		c.fault("$.routes", "routes is empty: no request could be answered")
	}
	c.routes(g)
	if k := g.Stages.KeyAuth; k != nil {
		c.keyAuth("$.stages.key_auth", k)
	}
	if r := g.Stages.RateLimit; r != nil {
		c.rateLimit("$.stages.rate_limit", r, g.Stages)
	}
	if j := g.Stages.JWT; j != nil {
		c.jwt("$.stages.jwt", j)
	}
	if i := g.Stages.Introspection; i != nil {
		c.introspection("$.stages.introspection", i)
	}
	if a := g.Stages.Authorization; a != nil {
		c.access("$.stages.authorization", a)
	}
	if k := g.Stages.CORS; k != nil {
		c.cors("$.stages.cors", k)
	}
	c.oneToken(g.Stages)
	c.faults(g.Faults, faultsOf{outbound: true, identity: g.Identity})
}

func (c *checker) listener(path string, l *Listener) {
	c.address(path+".address", l.Address, true)
	if l.TLS != nil {
		c.file(path+".tls.certificate", &l.TLS.Certificate, "certificate")
		c.file(path+".tls.key", &l.TLS.Key, "key")
	}
}

func (c *checker) routes(g *Gateway) {
	names := map[string]bool{}
	taken := map[string]string{} // what a match says -> the route that said it first
	for i, r := range g.Routes {
		path := strict.Index("$.routes", i)
		if r.Name == "" {
			c.fault(path, "name is missing: metrics and logs know a route by its name")
		} else if names[r.Name] {
			c.fault(path+".name", "%q names two routes", r.Name)
		}
		names[r.Name] = true
		c.within(path+".per_try", r.PerTry, r.Timeout, "timeout")
		c.retry(path+".retry", r.Retry)
		for j, h := range r.Hosts {
			c.host(strict.Index(path+".hosts", j), h)
		}
		for j, m := range r.Match {
			c.match(strict.Index(path+".match", j), m)
		}
		for j, flaw := range r.Tolerate {
			c.oneOf(strict.Index(path+".tolerate", j), "flaw of a path", flaw, PathFlaws...)
		}
		c.reachable(path, r, taken)
		if r.Compose != nil {
			c.compose(path, r, g)
			continue
		}
		c.backends(path, r, g)
	}
}

// PathFlaws are the words for ways in which a path is ambiguous, in the order of package wire's bits.
var PathFlaws = []string{"encoded_slash", "encoded_nul", "dot_segment", "empty_segment"}

func (c *checker) backends(path string, r Route, g *Gateway) {
	if len(r.Backends) == 0 {
		c.fault(path, "backends is empty: every request of the route would be answered with 500")
	}
	total := 0
	for j, b := range r.Backends {
		p := strict.Index(path+".backends", j)
		if _, ok := g.Upstreams.Get(b.Upstream); !ok {
			c.oneOf(p+".upstream", "upstream", b.Upstream, g.Upstreams.Keys()...)
		}
		c.notNegative(p+".weight", b.Weight)
		total += b.Weight
	}
	if len(r.Backends) > 0 && total == 0 {
		c.fault(path+".backends", "all weights are 0: no backend would ever be chosen")
	}
}

var hostName = regexp.MustCompile(`^(\*\.)?([a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?\.)*[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?$`)

func (c *checker) host(path, h string) {
	if h == "" || len(h) > 253 || !hostName.MatchString(h) {
		c.fault(path, "%q is not a host: write a name without a port, such as api.example.com or *.example.com", h)
	}
}

var token = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$") // RFC 9110 5.6.2

func (c *checker) match(path string, m Match) {
	if m.Path.Exact != "" && m.Path.Prefix != "" {
		c.fault(path+".path", "exact and prefix are both given: a path matches in one way")
	}
	if m.Path.Exact != "" {
		c.path(path+".path.exact", m.Path.Exact)
	}
	if m.Path.Prefix != "" {
		c.path(path+".path.prefix", m.Path.Prefix)
	}
	if m.Method != "" && !token.MatchString(m.Method) {
		c.fault(path+".method", "%q is not a method", m.Method)
	}
	for name := range m.Headers.All() {
		if !token.MatchString(name) {
			c.fault(path+".headers", "%q is not a field name", name)
		}
	}
}

// path refuses what could never match, because requests that hold it are refused, or would be read in two ways.
func (c *checker) path(at, p string) {
	if !strings.HasPrefix(p, "/") {
		c.fault(at, "%q does not begin with /", p)
		return
	}
	lower := strings.ToLower(p)
	for _, bad := range []string{"//", "/./", "/../", "%2f", "%5c", "%00", "#", "?", `\`} {
		if strings.Contains(lower, bad) {
			c.fault(at, "%q holds %s: no request path that passes holds it", p, bad)
			return
		}
	}
	if strings.HasSuffix(p, "/.") || strings.HasSuffix(p, "/..") {
		c.fault(at, "%q ends in a dot segment: no request path that passes does", p)
	}
}

// reachable reports a route of which every match was already made by one before it.
func (c *checker) reachable(path string, r Route, taken map[string]string) {
	var says []string
	for _, h := range orAny(r.Hosts) {
		if len(r.Match) == 0 {
			says = append(says, saying(h, Match{}))
		}
		for _, m := range r.Match {
			says = append(says, saying(h, m))
		}
	}
	hidden := 0
	first := ""
	for _, s := range says {
		if by, ok := taken[s]; ok {
			hidden++
			first = by
			continue
		}
		taken[s] = r.Name
	}
	if hidden == len(says) {
		c.fault(path, "route %q is never reached: route %q before it matches the same", r.Name, first)
	}
}

func orAny(hosts []string) []string {
	if len(hosts) == 0 {
		return []string{""}
	}
	return hosts
}

// saying writes a match so that two that say the same are the same string.
func saying(host string, m Match) string {
	kind, p := "prefix", strings.TrimSuffix(m.Path.Prefix, "/")
	if m.Path.Exact != "" {
		kind, p = "exact", m.Path.Exact
	}
	headers, query := map[string]string{}, map[string]string{}
	for k, v := range m.Headers.All() {
		headers[strings.ToLower(k)] = v
	}
	for k, v := range m.Query.All() {
		query[k] = v
	}
	return fmt.Sprintf("%q %s %q %q %q %q", strings.ToLower(host), kind, p, m.Method, headers, query)
}

func (c *checker) keyAuth(path string, k *KeyAuth) {
	c.mode(path+".mode", k.Mode)
	for i, p := range k.Places {
		at := strict.Index(path+".places", i)
		given := 0
		for _, s := range []string{p.Header, p.Query, p.Cookie} {
			if s != "" {
				given++
			}
		}
		if given != 1 {
			c.fault(at, "a place is exactly one of header, query and cookie")
		}
		if p.Header != "" && !token.MatchString(p.Header) {
			c.fault(at+".header", "%q is not a field name", p.Header)
		}
		if p.Cookie != "" && !token.MatchString(p.Cookie) {
			c.fault(at+".cookie", "%q is not a cookie name", p.Cookie)
		}
	}
	if len(k.Keys) == 0 && k.Mode != Off {
		c.fault(path, "keys is empty: nobody could be authenticated")
	}
	owners := map[string]string{}
	for i, key := range k.Keys {
		at := strict.Index(path+".keys", i)
		if !fieldValue(key.Consumer) {
			c.fault(at, "consumer is missing or holds characters that a field cannot carry")
		}
		for _, g := range key.Groups {
			if !fieldValue(g) || strings.Contains(g, ",") {
				c.fault(at+".groups", "%q is not a group: a field carries them, separated by commas", g)
			}
		}
		if raw, err := hex.DecodeString(key.SHA256); err != nil || len(raw) != 32 {
			// The value is not shown: it may be the key itself, written here by mistake.
			c.fault(at, "sha256 is not a hash: write 64 hexadecimal digits, as `printf %%s KEY | sha256sum` prints them")
			continue
		}
		if other, ok := owners[strings.ToLower(key.SHA256)]; ok {
			c.fault(at+".sha256", "the same key belongs to %q already", other)
		}
		owners[strings.ToLower(key.SHA256)] = key.Consumer
	}
}

func fieldValue(s string) bool {
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e {
			return false
		}
	}
	return s != "" && len(s) <= 128
}
