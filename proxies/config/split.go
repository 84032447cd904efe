package config

import (
	"crossroads/proxies/config/strict"
	"crossroads/proxies/config/units"
)

// Words of splits.
const (
	Weighted       = "weighted"        // by weight, among those that are ready
	FirstAvailable = "first_available" // the first that is ready
)

// Split sends calls to some services to others, or to several by weight: a release that begins with a share, a fallback. Matches
// are those of routes, with the same precedence. Services are what the application calls, backends what it reaches.
type Split struct {
	Name     string         `yaml:"name" json:"name"`
	Services []string       `yaml:"services" json:"services"`
	Match    []Match        `yaml:"match,omitempty" json:"match,omitempty"`
	Backends []SplitBackend `yaml:"backends" json:"backends"`
	Pick     string         `yaml:"pick,omitempty" json:"pick"` // weighted | first_available
	Mirror   *Mirror        `yaml:"mirror,omitempty" json:"mirror,omitempty"`
}

// SplitBackend is one service of a split and its share.
type SplitBackend struct {
	Service string `yaml:"service" json:"service"`
	Weight  int    `yaml:"weight,omitempty" json:"weight"` // 0: none for now
}

// Mirror sends copies of a share of the calls to a service whose answers nobody sees.
type Mirror struct {
	Service string      `yaml:"service" json:"service"`
	Share   units.Share `yaml:"share,omitempty" json:"share"`
}

// SetDefaults fills in what a file may leave out.
func (s *Split) SetDefaults() { *s = Split{Pick: Weighted} }

// SetDefaults fills in what a file may leave out.
func (b *SplitBackend) SetDefaults() { *b = SplitBackend{Weight: 1} }

// SetDefaults fills in what a file may leave out.
func (m *Mirror) SetDefaults() { *m = Mirror{Share: 1} }

// splits checks them; known says whether a service can be reached.
func (c *checker) splits(path string, splits []Split, known func(string) bool) {
	names := map[string]bool{}
	service := func(at, name string) {
		if !known(name) {
			c.fault(at, "no service %q is known here", name)
		}
	}
	for i, s := range splits {
		at := strict.Index(path, i)
		if s.Name == "" || names[s.Name] {
			c.fault(at, "every split needs a name of its own")
		}
		names[s.Name] = true
		c.oneOf(at+".pick", "way to pick", s.Pick, Weighted, FirstAvailable)
		if len(s.Services) == 0 || len(s.Backends) == 0 {
			c.fault(at, "a split needs services that are called, and backends that are reached")
		}
		for j, name := range s.Services {
			c.host(strict.Index(at+".services", j), name)
			service(strict.Index(at+".services", j), name)
		}
		for j, m := range s.Match {
			c.match(strict.Index(at+".match", j), m)
		}
		total := 0
		for j, b := range s.Backends {
			service(strict.Index(at+".backends", j)+".service", b.Service)
			c.notNegative(strict.Index(at+".backends", j)+".weight", b.Weight)
			total += b.Weight
		}
		if total <= 0 && len(s.Backends) > 0 {
			c.fault(at+".backends", "the weights add up to 0: nothing would be reached")
		}
		if s.Mirror != nil {
			service(at+".mirror.service", s.Mirror.Service)
		}
	}
}
