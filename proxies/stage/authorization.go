package stage

import (
	"net/netip"
	"path"
	"slices"
	"strings"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
	"crossroads/proxies/telemetry"
)

// Authorization lets through what a rule allows: the first rule that holds decides, and a request for which none holds is denied (403).
// Paths are compared as they are forwarded. Because servers behind may decode them, a deny rule also holds for a path that comes to the
// same once it is decoded, freed of parameters (;) and of dot segments, and an allow rule only where both readings are within it. In
// shadow it only counts. It allocates nothing, but for paths with percent-encoding or parameters.
type Authorization struct {
	rules  []rule
	paths  bool // some rule looks at the path
	shadow bool
	none   prometheus.Counter
}

// rule is one rule, as the stage uses it; lists that are nil hold for every request.
type rule struct {
	deny      bool
	consumers []string
	anybody   bool // consumers holds *
	groups    []string
	scopes    []string
	claims    []claimRule
	addresses []netip.Prefix
	methods   []string
	paths     []config.PathMatch
	held      prometheus.Counter
}

type claimRule struct {
	name   string
	values []string
}

// NewAuthorization makes the stage from its configuration, which config has checked.
func NewAuthorization(c *config.Access, m *telemetry.Metrics) *Authorization {
	s := &Authorization{shadow: c.Mode == config.Shadow}
	counts := m.Auth("authorization", s.shadow, "allowed", "denied", "no_rule")
	s.none = counts[2]
	for _, r := range c.Rules {
		made := rule{
			deny: r.Action == "deny", consumers: r.Consumers, anybody: slices.Contains(r.Consumers, "*"),
			groups: r.Groups, scopes: r.Scopes, methods: r.Methods, held: counts[0],
		}
		if made.deny {
			made.held = counts[1]
		}
		for name, values := range r.Claims.All() {
			made.claims = append(made.claims, claimRule{name, values})
		}
		for _, a := range r.Addresses {
			if p, err := netip.ParsePrefix(a); err == nil { // config has checked it
				made.addresses = append(made.addresses, p)
			}
		}
		for _, p := range r.Paths {
			p.Prefix = strings.TrimSuffix(p.Prefix, "/") // "/" becomes "", under which everything is
			made.paths = append(made.paths, p)
		}
		s.paths = s.paths || len(made.paths) > 0
		s.rules = append(s.rules, made)
	}
	return s
}

// Name implements exchange.Stage.
func (s *Authorization) Name() string { return "authorization" }

// Inward implements exchange.Stage.
func (s *Authorization) Inward(x *exchange.Exchange) exchange.Step {
	plain := ""
	if s.paths && ambiguous(x.Path) {
		plain = reread(string(x.Path))
	}
	allowed := false
	count := s.none
	for i := range s.rules {
		if r := &s.rules[i]; r.holds(x, plain) {
			allowed, count = !r.deny, r.held
			break
		}
	}
	count.Inc()
	if allowed || s.shadow {
		return exchange.Continue
	}
	return x.Fail(exchange.Denied)
}

func (r *rule) holds(x *exchange.Exchange, plain string) bool {
	return (r.methods == nil || slices.Contains(r.methods, view(x.Request.Header.Method()))) &&
		(r.consumers == nil || x.Consumer.Name != "" && (r.anybody || slices.Contains(r.consumers, x.Consumer.Name))) &&
		(r.groups == nil || overlap(r.groups, x.Consumer.Groups)) &&
		(r.paths == nil || r.holdsForPath(x.Path, plain)) &&
		(r.addresses == nil || r.holdsForAddress(x.Peer.Client)) &&
		r.holdsForScopes(x.Consumer.Scopes) && r.holdsForClaims(x.Consumer.Claims)
}

func (r *rule) holdsForPath(forwarded []byte, plain string) bool {
	as := within(view(forwarded), r.paths)
	switch {
	case plain == "":
		return as
	case r.deny:
		return as || within(plain, r.paths)
	}
	return as && within(plain, r.paths)
}

func (r *rule) holdsForAddress(client netip.Addr) bool {
	client = client.Unmap()
	for _, p := range r.addresses {
		if p.Contains(client) {
			return true
		}
	}
	return false
}

func (r *rule) holdsForScopes(has []string) bool {
	for _, s := range r.scopes {
		if !slices.Contains(has, s) {
			return false
		}
	}
	return true
}

func (r *rule) holdsForClaims(has map[string][]string) bool {
	for _, c := range r.claims {
		if !overlap(c.values, has[c.name]) {
			return false
		}
	}
	return true
}

// view is bytes of the exchange as a string that is compared and not kept.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func overlap(a, b []string) bool {
	for _, s := range b {
		if slices.Contains(a, s) {
			return true
		}
	}
	return false
}

// within says whether a path is one of those named, or under one element by element: /a holds /a, /a/ and /a/b, not /ab.
func within(p string, matches []config.PathMatch) bool {
	for i := range matches {
		m := &matches[i]
		if m.Exact != "" {
			if p == m.Exact {
				return true
			}
			continue
		}
		if strings.HasPrefix(p, m.Prefix) && (len(p) == len(m.Prefix) || p[len(m.Prefix)] == '/') {
			return true
		}
	}
	return false
}

// ambiguous says whether a server could read a path as another one.
func ambiguous(p []byte) bool {
	for i, c := range p {
		if c == '%' || c == ';' || c == '\\' || c == '/' && i+1 < len(p) && (p[i+1] == '/' || p[i+1] == '.') {
			return true
		}
	}
	return false
}

// reread returns the path as a lenient server reads it: decoded once, without parameters, backslashes as slashes, and without empty
// and dot segments. A slash at the end stays: it may matter for an exact path.
func reread(raw string) string {
	decoded := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '%' && i+2 < len(raw) && hexDigit(raw[i+1]) >= 0 && hexDigit(raw[i+2]) >= 0 {
			c = byte(hexDigit(raw[i+1])<<4 | hexDigit(raw[i+2]))
			i += 2
		}
		if c == '\\' {
			c = '/'
		}
		decoded = append(decoded, c)
	}
	segments := strings.Split(string(decoded), "/")
	for i, s := range segments {
		segments[i], _, _ = strings.Cut(s, ";")
	}
	joined := strings.Join(segments, "/")
	cleaned := path.Clean("/" + joined)
	if strings.HasSuffix(joined, "/") && cleaned != "/" {
		cleaned += "/"
	}
	return cleaned
}

func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// Outward implements exchange.Stage.
func (s *Authorization) Outward(*exchange.Exchange) {}

// Finish implements exchange.Stage.
func (s *Authorization) Finish(*exchange.Exchange, exchange.End) {}
