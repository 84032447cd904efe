package config

import (
	"crossroads/proxies/config/strict"
	"crossroads/proxies/config/units"
)

// Relay is the file of `relay run --config`.
type Relay struct {
	Version int          `yaml:"version" json:"version"`
	Admin   Admin        `yaml:"admin,omitempty" json:"admin"`
	Listen  []RelayPlace `yaml:"listen" json:"listen"`
	Workers int          `yaml:"workers,omitempty" json:"workers"` // GOMAXPROCS; 0: what the machine offers

	// Busy is CPU time that the relay spends on every request, half of it before the request goes on and half before its answer does,
	// with nothing to show for it: what the mere passing of time in a proxy's place costs elsewhere.
	Busy units.Duration `yaml:"busy,omitempty" json:"busy"`
}

// RelayPlace is one address that accepts connections, and where what comes in there goes.
type RelayPlace struct {
	Name    string   `yaml:"name" json:"name"`       // of its counts
	Address string   `yaml:"address" json:"address"` // host:port, or unix:/path
	To      []string `yaml:"to" json:"to"`           // taken in turn, message by message
}

// LoadRelay reads a floor relay's file.
func LoadRelay(file string) (*Relay, error) { return load(file, ParseRelay) }

// ParseRelay reads a floor relay's configuration from data.
func ParseRelay(file string, data []byte) (*Relay, error) {
	r := &Relay{}
	r.SetDefaults()
	return parse(file, data, r, func(c *checker) { c.relay(r) })
}

func (c *checker) relay(r *Relay) {
	c.version(r.Version)
	c.address("$.admin.address", r.Admin.Address, true)
	c.workers(r.Workers)
	c.notNegative("$.busy", int(r.Busy))
	if len(r.Listen) == 0 {
		c.fault("$", "listen is empty: the relay would do nothing")
	}
	seen := map[string]bool{}
	for i, p := range r.Listen {
		at := strict.Index("$.listen", i)
		c.address(at+".address", p.Address, true)
		if p.Name == "" || seen[p.Name] {
			c.fault(at, "name %q: give each place a name of its own, by which it is counted", p.Name)
		}
		seen[p.Name] = true
		if len(p.To) == 0 {
			c.fault(at, "to is empty: nothing could be reached")
		}
		for j, to := range p.To {
			c.address(strict.Index(at+".to", j), to, false)
		}
	}
}
