package stage

import (
	"slices"
	"strings"

	"crossroads/proxies/config"
	"crossroads/proxies/telemetry"
)

// Policies decide who may call one service. They never change; another set is another value.
type Policies struct {
	deny     bool // the default of the mesh
	policies []meshPolicy
	shadow   bool // one of them only counts
	counts   *telemetry.Authorizations
	note     func(policy, decision, peer string) // of refusals, and of what shadow policies would have done
}

// meshPolicy is a config.Policy as it is asked.
type meshPolicy struct {
	config.Policy
	paths []pathRule
}

// pathRule is one path, or everything below it.
type pathRule struct {
	path  string
	below bool
}

// MeshQuestion is what policies decide about. Its bytes are only read.
type MeshQuestion struct {
	Peer   string // the verified identity; "" where none was proved
	Method []byte
	Path   []byte // as it came: with escapes
	Port   int    // of the application
	Opaque bool   // neither method nor path: not HTTP
}

// NewPolicies compiles what holds for one service. note hears of
// refusals (denied) and of what shadow policies would have changed (shadow_allowed, shadow_denied); it may be nil.
func NewPolicies(c config.MeshAuthorization, counts *telemetry.Authorizations, note func(policy, decision, peer string)) *Policies {
	p := &Policies{deny: c.Default != config.Allow, counts: counts, note: note}
	for _, one := range c.Policies {
		if one.Mode == config.Off {
			continue
		}
		made := meshPolicy{Policy: one}
		for _, path := range one.Paths {
			rule := pathRule{path: path}
			if prefix, ok := strings.CutSuffix(path, "/*"); ok {
				rule = pathRule{prefix, true}
			}
			made.paths = append(made.paths, rule)
		}
		p.shadow = p.shadow || one.Mode == config.Shadow
		p.policies = append(p.policies, made)
	}
	return p
}

// Names of what decides where no policy does.
const (
	byDefault = "default"
	noAllow   = "no_allow"
)

// Allows decides and counts.
func (p *Policies) Allows(q *MeshQuestion) bool {
	if len(p.policies) == 0 && !p.deny {
		return true
	}
	allowed, by := p.judge(q, false)
	p.counts.Count(by, decision(allowed))
	if !allowed && p.note != nil {
		p.note(by, decision(allowed), q.Peer)
	}
	if p.shadow {
		if would, by := p.judge(q, true); would != allowed {
			p.counts.Count(by, "shadow_"+decision(would))
			if p.note != nil {
				p.note(by, "shadow_"+decision(would), q.Peer)
			}
		}
	}
	return allowed
}

// Revoked says whether something that was admitted before is refused now, and by which policy. It counts refusals only: that something
// goes on is no decision of anybody.
func (p *Policies) Revoked(q *MeshQuestion) (by string, revoked bool) {
	if len(p.policies) == 0 && !p.deny {
		return "", false
	}
	allowed, by := p.judge(q, false)
	if !allowed {
		p.counts.Count(by, decision(false))
	}
	return by, !allowed
}

func decision(allowed bool) string {
	if allowed {
		return "allowed"
	}
	return "denied"
}

// judge is the order of decision: deny, allow, default. With shadow, policies that only count decide too.
func (p *Policies) judge(q *MeshQuestion, shadow bool) (allowed bool, by string) {
	admits, admitted := false, ""
	for i := range p.policies {
		one := &p.policies[i]
		if one.Mode == config.Shadow && !shadow {
			continue
		}
		denies := one.Action != config.Allow
		matches := one.matches(q, denies)
		switch {
		case denies && matches:
			return false, one.Name
		case denies:
		case matches && admitted == "":
			admits, admitted = true, one.Name
		default:
			admits = true
		}
	}
	switch {
	case admitted != "":
		return true, admitted
	case admits:
		return false, noAllow
	}
	return !p.deny, byDefault
}

// matches says whether every part of a policy matches. Where that cannot be known, a policy that denies matches, and one that
// allows does not.
func (p *meshPolicy) matches(q *MeshQuestion, denies bool) bool {
	if len(p.Ports) > 0 && !slices.Contains(p.Ports, q.Port) && !(denies && q.Port == 0) {
		return false
	}
	if (len(p.Identities) > 0 || len(p.Namespaces) > 0) && !p.matchesSource(q.Peer, denies) {
		return false
	}
	if q.Opaque {
		return denies || len(p.Methods) == 0 && len(p.paths) == 0
	}
	if len(p.Methods) > 0 && !slices.Contains(p.Methods, string(q.Method)) {
		return false
	}
	return len(p.paths) == 0 || p.matchesPath(q.Path, denies)
}

func (p *meshPolicy) matchesSource(peer string, denies bool) bool {
	if peer == "" {
		return denies || slices.Contains(p.Identities, config.Unauthenticated) && len(p.Namespaces) == 0
	}
	if len(p.Namespaces) > 0 && !slices.Contains(p.Namespaces, namespaceOf(peer)) {
		return false
	}
	return len(p.Identities) == 0 || slices.ContainsFunc(p.Identities, func(id string) bool {
		prefix, below := strings.CutSuffix(id, "*") // keeps the slash
		return id == peer || below && strings.HasPrefix(peer, prefix)
	})
}

// namespaceOf cuts spiffe://<trust domain>/ns/<namespace>/sa/<service>.
func namespaceOf(id string) string {
	_, path, _ := strings.Cut(strings.TrimPrefix(id, "spiffe://"), "/")
	namespace, _, found := strings.Cut(strings.TrimPrefix(path, "ns/"), "/sa/")
	if !found || !strings.HasPrefix(path, "ns/") {
		return ""
	}
	return namespace
}

// matchesPath asks every reading of the path that an application may have: as it came, decoded, and without the parameters of its
// segments. One that denies matches if any does; one that allows, only if all do.
func (p *meshPolicy) matchesPath(path []byte, denies bool) bool {
	if p.holds(string(path)) != denies {
		if !plainPath(path) {
			decoded := decodePath(path)
			if p.holds(decoded) == denies || p.holds(cutParameters(decoded)) == denies {
				return denies
			}
		}
		return !denies
	}
	return denies
}

func (p *meshPolicy) holds(path string) bool {
	return slices.ContainsFunc(p.paths, func(r pathRule) bool {
		if !r.below {
			return path == r.path
		}
		return strings.HasPrefix(path, r.path) && (len(path) == len(r.path) || path[len(r.path)] == '/')
	})
}

func plainPath(path []byte) bool {
	return !slices.ContainsFunc(path, func(c byte) bool { return c == '%' || c == ';' })
}

// decodePath decodes escapes; those that are none stay.
func decodePath(path []byte) string {
	out := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		if path[i] == '%' && i+2 < len(path) {
			if high, low := hexValue(path[i+1]), hexValue(path[i+2]); high >= 0 && low >= 0 {
				out = append(out, byte(high<<4|low))
				i += 2
				continue
			}
		}
		out = append(out, path[i])
	}
	return string(out)
}

func hexValue(c byte) int { return strings.IndexByte("0123456789abcdef", c|0x20) }

// cutParameters takes what stands behind a semicolon out of every segment.
func cutParameters(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i], _, _ = strings.Cut(s, ";")
	}
	return strings.Join(segments, "/")
}
