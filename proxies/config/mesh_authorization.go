package config

import (
	"fmt"
	"slices"
	"strings"
)

// Words of policies.
const (
	Allow           = "allow"
	Deny            = "deny"
	Unauthenticated = "unauthenticated" // in place of an identity: a caller that proved none
)

// MeshAuthorization says who may call a service: a deny policy that matches refuses; then an allow policy that matches admits; where
// allow policies hold and none matches the call is refused; where none holds, Default decides.
type MeshAuthorization struct {
	Default  string   `yaml:"default,omitempty" json:"default"` // allow | deny
	Policies []Policy `yaml:"policies,omitempty" json:"policies,omitempty"`
}

// Policy is one rule. Its lists are alternatives, an empty one says nothing, and all that are written must match. It errs on the
// safe side: of an opaque connection, which has neither method nor path, an allow policy that asks for them matches nothing and a
// deny policy leaves them out; a deny policy for certain sources also matches a caller that has proved no identity at all.
type Policy struct {
	Name       string   `yaml:"name" json:"name"`
	Mode       Mode     `yaml:"mode,omitempty" json:"mode"` // shadow: counts and logs what it would have done
	Action     string   `yaml:"action" json:"action"`       // allow | deny
	Services   []string `yaml:"services,omitempty" json:"services,omitempty"`
	Identities []string `yaml:"identities,omitempty" json:"identities,omitempty"` // exact, a prefix ending in /*, or unauthenticated
	Namespaces []string `yaml:"namespaces,omitempty" json:"namespaces,omitempty"`
	Methods    []string `yaml:"methods,omitempty" json:"methods,omitempty"`
	Paths      []string `yaml:"paths,omitempty" json:"paths,omitempty"` // exact, or a prefix of whole elements ending in /*
	Ports      []int    `yaml:"ports,omitempty" json:"ports,omitempty"` // of the application
}

// SetDefaults fills in what a file may leave out.
func (a *MeshAuthorization) SetDefaults() { *a = MeshAuthorization{Default: Allow} }

// SetDefaults fills in what a file may leave out.
func (p *Policy) SetDefaults() { *p = Policy{Mode: On} }

// For says whether the policy holds for a service.
func (p *Policy) For(service string) bool {
	return len(p.Services) == 0 || slices.Contains(p.Services, service)
}

// Check returns the first thing in a policy that cannot be understood. It serves those who obtained it other than from a file.
func (p *Policy) Check() error {
	var first error
	p.check(func(key, format string, args ...any) {
		if first == nil {
			first = fmt.Errorf("policy %q: %s: %s", p.Name, key, fmt.Sprintf(format, args...))
		}
	})
	return first
}

func (p *Policy) check(fault func(key, format string, args ...any)) {
	if p.Name == "" {
		fault("name", "name is missing: counts and logs show it")
	}
	if p.Action != Allow && p.Action != Deny {
		fault("action", "%q is not an action: write allow or deny", p.Action)
	}
	if p.Mode != On && p.Mode != Shadow && p.Mode != Off {
		fault("mode", "%q is not a mode: write on, shadow or off", p.Mode)
	}
	for _, id := range p.Identities {
		if prefix, wild := cutWildcard(id); wild && strings.HasPrefix(prefix, "spiffe://") && len(prefix) > len("spiffe://") {
			continue
		}
		if id != Unauthenticated && !spiffeID.MatchString(id) {
			fault("identities", "%q is not an identity: write spiffe://<trust domain>/ns/<namespace>/sa/<service>, a prefix of it ending in /*, or unauthenticated", id)
		}
	}
	for _, m := range p.Methods {
		if m == "" || m != strings.ToUpper(m) {
			fault("methods", "%q is not a method: methods are in capitals", m)
		}
	}
	for _, path := range p.Paths {
		prefix, _ := cutWildcard(path)
		if !strings.HasPrefix(path, "/") || strings.ContainsAny(prefix, "*?#%") {
			fault("paths", "%q is not a path: write /exactly/this or /all/below/*, without escapes", path)
		}
	}
	for _, port := range p.Ports {
		if port < 1 || port > 65535 {
			fault("ports", "%d is not a port", port)
		}
	}
}

// meshAuthorization checks policies; services says whether they may name services.
func (c *checker) meshAuthorization(path string, a *MeshAuthorization, services bool) {
	if a == nil {
		return
	}
	c.oneOf(path+".default", "answer", a.Default, Allow, Deny)
	seen := map[string]bool{}
	for i := range a.Policies {
		p := &a.Policies[i]
		at := fmt.Sprintf("%s.policies[%d]", path, i)
		p.check(func(key, format string, args ...any) {
			if c.doc.Has(at + "." + key) {
				key = at + "." + key
			} else {
				key = at
			}
			c.fault(key, format, args...)
		})
		if seen[p.Name] {
			c.fault(at+".name", "%q stands here twice", p.Name)
		}
		seen[p.Name] = true
		if len(p.Services) > 0 && !services {
			c.fault(at+".services", "a sidecar's own file holds policies for its own service only")
		}
	}
}
