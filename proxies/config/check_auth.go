package config

import (
	"net"
	"net/netip"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	"crossroads/proxies/config/strict"
)

// Algorithms are the signatures that tokens may have (RFC 7518 3.1, RFC 8037 3.1). none is not among them.
var Algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512"}

func (c *checker) jwt(path string, j *JWT) {
	c.mode(path+".mode", j.Mode)
	if j.Mode == Off {
		return
	}
	keys := path + ".keys"
	switch {
	case j.Keys.File != "" && j.Keys.URL != "":
		c.fault(keys, "file and url are both given: keys come from one of them")
	case j.Keys.File != "":
		c.file(keys+".file", &j.Keys.File, "file")
	case j.Keys.URL != "":
		c.source(keys+".url", j.Keys.URL, j.Keys.Plaintext)
	default:
		c.fault(path, "keys names neither file nor url: no token could be verified")
	}
	if j.Keys.Roots != "" {
		c.file(keys+".roots", &j.Keys.Roots, "roots")
	}
	c.positive(keys+".fresh", j.Keys.Fresh.D())
	c.positive(keys+".refetch", j.Keys.Refetch.D())
	c.positive(keys+".timeout", j.Keys.Timeout.D())
	c.algorithms(path+".algorithms", j)
	c.texts(path, "issuers", j.Issuers)
	c.texts(path, "audiences", j.Audiences)
	if j.Skew > seconds(300) {
		c.fault(path+".skew", "%s: clocks that differ by more than 5m are wrong", j.Skew)
	}
	c.atLeast(path+".max_cached", j.MaxCached, 1)
	c.token(path+".token", j.Token)
	c.claimUse(path+".claims", j.Claims)
}

func (c *checker) algorithms(path string, j *JWT) {
	if len(j.Algorithms) == 0 {
		c.fault(path, "algorithms is empty: no token could be verified")
	}
	for i, a := range j.Algorithms {
		at := strict.Index(path, i)
		c.oneOf(at, "algorithm", a, Algorithms...)
		if strings.HasPrefix(a, "HS") && j.Keys.URL != "" {
			c.fault(at, "%s takes a secret, and a key set that is fetched holds none: use a file, or another algorithm", a)
		}
	}
}

// texts wants a list that says something.
func (c *checker) texts(path, name string, list []string) {
	if len(list) == 0 {
		c.fault(path, "%s is missing: a token made for others would be accepted", name)
	}
	if i := slices.Index(list, ""); i >= 0 {
		c.fault(strict.Index(path+"."+name, i), "an empty text is nobody's")
	}
}

func (c *checker) positive(path string, n time.Duration) {
	if n <= 0 {
		c.fault(path, "it is 0: write a time above it")
	}
}

func (c *checker) atLeast(path string, n, least int) {
	if n < least {
		c.fault(path, "%d: at least %d", n, least)
	}
}

// source is a URL that is trusted to say who may pass: in plaintext only on this host, unless told otherwise.
func (c *checker) source(path, address string, plaintext bool) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.Fragment != "" {
		c.fault(path, "it is not a URL: write https://host/path, without a user")
		return
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "http" && !plaintext && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		c.fault(path, "whoever stands between could change what it says: write https, or `plaintext: true`")
	}
}

func (c *checker) token(path string, t BearerToken) {
	if !token.MatchString(t.Header) {
		c.fault(path+".header", "%q is not a field name", t.Header)
	}
	c.oneOf(path+".credential", "word", t.Credential, "remove", "forward")
	if t.Max < 64 || t.Max > 64<<10 {
		c.fault(path+".max", "%s is outside 64B to 64KiB", t.Max)
	}
}

// managed are request fields that claims may not be written to: the gateway and HTTP itself use them.
var managed = []string{"Host", "Connection", "Content-Length", "Content-Type", "Transfer-Encoding", "Te", "Trailer", "Upgrade", "Expect", "Cookie",
	"Authorization", "Via", "Forwarded", "X-Request-Id", "X-Real-Ip", "Traceparent", "Tracestate", "User-Agent", "Keep-Alive"}

func (c *checker) claimUse(path string, u ClaimUse) {
	if u.Consumer == "" {
		c.fault(path+".consumer", "it is empty: nobody would be authenticated")
	}
	for name, claim := range u.Fields.All() {
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		lower := strings.ToLower(name)
		if !token.MatchString(name) || strings.ContainsAny(name, "_.") {
			c.fault(path+".fields", "%q is not a field name that every server reads in the same way", name)
		} else if slices.Contains(managed, canonical) || strings.HasPrefix(lower, "x-forwarded") || strings.HasPrefix(lower, "x-consumer-") ||
			strings.HasPrefix(lower, "proxy-") || strings.HasPrefix(lower, "x-mesh-") {
			c.fault(path+".fields", "%s is not for claims: choose another, such as X-Jwt-Email", name)
		}
		if claim == "" {
			c.fault(strict.Key(path+".fields", name), "no claim is named")
		}
	}
}

func (c *checker) introspection(path string, i *Introspection) {
	c.mode(path+".mode", i.Mode)
	if i.Mode == Off {
		return
	}
	if i.URL == "" {
		c.fault(path, "url is missing")
	} else {
		c.source(path+".url", i.URL, i.Plaintext)
	}
	if i.Roots != "" {
		c.file(path+".roots", &i.Roots, "roots")
	}
	if i.ClientID == "" {
		c.fault(path, "client_id is missing: an authorization server answers no stranger (RFC 7662 2.1)")
	}
	c.secret(path, "client_secret", &i.ClientSecret)
	c.positive(path+".timeout", i.Timeout.D())
	c.atLeast(path+".max_concurrent", i.MaxConcurrent, 1)
	c.atLeast(path+".max_cached", i.MaxCached, 1)
	c.token(path+".token", i.Token)
	c.claimUse(path+".claims", i.Claims)
}

// oneToken refuses two stages that read the same token.
func (c *checker) oneToken(s GatewayStages) {
	j, i := s.JWT, s.Introspection
	if j == nil || i == nil || j.Mode == Off || i.Mode == Off || !strings.EqualFold(j.Token.Header, i.Token.Header) {
		return
	}
	c.fault("$.stages.introspection", "jwt reads the token in %s already: switch one off, or name another header", j.Token.Header)
}

func (c *checker) secret(path, name string, s *Secret) {
	if (s.File == "") == (s.Env == "") {
		c.fault(path, "%s names neither or both of file and env: a secret stands in one place, and not in this file", name)
		return
	}
	if s.File != "" {
		c.file(path+"."+name+".file", &s.File, name)
	}
}

func (c *checker) access(path string, a *Access) {
	c.mode(path+".mode", a.Mode)
	if a.Mode == Off {
		return
	}
	if len(a.Rules) == 0 {
		c.fault(path, "rules is empty: every request would be denied")
	}
	names := map[string]bool{}
	for i, r := range a.Rules {
		at := strict.Index(path+".rules", i)
		if r.Name == "" {
			c.fault(at, "name is missing")
		} else if names[r.Name] {
			c.fault(at+".name", "%q names two rules", r.Name)
		}
		names[r.Name] = true
		c.accessRule(at, r)
	}
}

func (c *checker) accessRule(at string, r AccessRule) {
	c.oneOf(at+".action", "action", r.Action, "allow", "deny")
	for i, address := range r.Addresses {
		if p, err := netip.ParsePrefix(address); err != nil {
			c.fault(strict.Index(at+".addresses", i), "%q is not a range: write 10.0.0.0/8, or 192.0.2.7/32 for one address", address)
		} else if p != p.Masked() {
			c.fault(strict.Index(at+".addresses", i), "%s has bits behind its length: write %s", address, p.Masked())
		}
	}
	for i, m := range r.Methods {
		if !token.MatchString(m) {
			c.fault(strict.Index(at+".methods", i), "%q is not a method", m)
		}
	}
	for i, p := range r.Paths {
		c.match(strict.Index(at+".paths", i), Match{Path: p})
		if p == (PathMatch{}) {
			c.fault(strict.Index(at+".paths", i), "neither exact nor prefix is given: it would hold for every path")
		}
	}
	for name, values := range r.Claims.All() {
		if len(values) == 0 {
			c.fault(strict.Key(at+".claims", name), "no value is given: it would never hold")
		}
	}
}

func (c *checker) cors(path string, k *CORS) {
	c.mode(path+".mode", k.Mode)
	if k.Mode == Off {
		return
	}
	if len(k.Origins) == 0 {
		c.fault(path, "origins is empty: no page could read anything")
	}
	for i, o := range k.Origins {
		at := strict.Index(path+".origins", i)
		if o == "*" {
			if k.Credentials {
				c.fault(at, "* and credentials do not go together: any page could act as the user; list the origins")
			}
			continue
		}
		u, err := url.Parse(o)
		if err != nil || u.Host == "" || o != u.Scheme+"://"+u.Host || o != strings.ToLower(o) {
			c.fault(at, "%q is not an origin: write scheme://host or scheme://host:port in lower case, without a path", o)
		}
	}
	for _, list := range []struct {
		name  string
		words []string
	}{{"methods", k.Methods}, {"headers", k.Headers}, {"expose", k.Expose}} {
		for i, word := range list.words {
			if !token.MatchString(word) {
				c.fault(strict.Index(path+"."+list.name, i), "%q is not a name", word)
			} else if word == "*" {
				c.fault(strict.Index(path+"."+list.name, i), "* is not understood where credentials are sent: list the names")
			}
		}
	}
}

func (c *checker) redis(path string, r *RedisStore) {
	c.address(path+".address", r.Address, false)
	c.notNegative(path+".database", r.Database)
	if r.Password != nil {
		c.secret(path, "password", r.Password)
	}
	if r.Roots != "" {
		c.file(path+".roots", &r.Roots, "roots")
	}
	c.positive(path+".timeout", r.Timeout.D())
	c.positive(path+".pause", r.Pause.D())
	if r.WhenDown == "" {
		c.fault(path, "when_down is missing: write allow or deny, for requests that come while Redis does not answer")
	} else {
		c.oneOf(path+".when_down", "word", r.WhenDown, "allow", "deny")
	}
}
