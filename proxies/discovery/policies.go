package discovery

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"crossroads/proxies/config"
)

// Authorization is config.MeshAuthorization as it travels. Each policy is read by itself, so that one that is not understood closes what
// it speaks of, and does not keep new endpoints and the other policies from coming into force.
type Authorization struct {
	Default  string            `json:"default"`
	Policies []json.RawMessage `json:"policies,omitempty"`
}

// NewAuthorization turns what a file says into what travels.
func NewAuthorization(c *config.MeshAuthorization) (*Authorization, error) {
	if c == nil {
		return nil, nil
	}
	a := &Authorization{Default: c.Default}
	for _, p := range c.Policies {
		text, err := json.Marshal(p)
		if err != nil {
			return nil, fmt.Errorf("writing the policy %s: %w", p.Name, err)
		}
		a.Policies = append(a.Policies, text)
	}
	return a, nil
}

// For returns what holds for one service, and errors about policies that were not understood: in their place stands one that refuses
// every call. The default is deny wherever it is not known to be allow.
func (a *Authorization) For(service string) (config.MeshAuthorization, []error) {
	if a == nil {
		return config.MeshAuthorization{Default: config.Allow}, nil
	}
	found := config.MeshAuthorization{Default: config.Deny}
	var faults []error
	switch a.Default {
	case config.Allow, config.Deny:
		found.Default = a.Default
	default:
		faults = append(faults, fmt.Errorf("the default %q of the mesh: %w", a.Default, ErrNotUnderstood))
	}
	for _, text := range a.Policies {
		p, err := readPolicy(text)
		switch {
		case err == nil && p.For(service):
			found.Policies = append(found.Policies, p)
		case err != nil && mayConcern(text, service):
			found.Policies = append(found.Policies, config.Policy{Name: "not_understood", Mode: config.On, Action: config.Deny})
			faults = append(faults, err)
		}
	}
	return found, faults
}

func readPolicy(text []byte) (config.Policy, error) {
	var p config.Policy
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return p, fmt.Errorf("a policy: %w: %w", ErrNotUnderstood, err)
	}
	if err := p.Check(); err != nil {
		return p, fmt.Errorf("%w: %w", ErrNotUnderstood, err)
	}
	return p, nil
}

// mayConcern says whether a policy that was not understood may be about a service: it is not where it plainly names others.
func mayConcern(text []byte, service string) bool {
	var about struct {
		Services []string `json:"services"`
	}
	return json.Unmarshal(text, &about) != nil || len(about.Services) == 0 || slices.Contains(about.Services, service)
}
