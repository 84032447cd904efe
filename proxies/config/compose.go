package config

import (
	"regexp"
	"strings"

	"crossroads/proxies/config/strict"
	"crossroads/proxies/config/units"
)

// Compose makes a route answer with one JSON object whose members are the answers to several requests of the gateway's own.
type Compose struct {
	Parts strict.Map[Part] `yaml:"parts" json:"parts"` // by member; the order of the file is the order of the answer
}

// Part is one request and what becomes of its answer.
type Part struct {
	Upstream string         `yaml:"upstream" json:"upstream"`
	Path     string         `yaml:"path" json:"path"`                       // may hold a query
	Query    bool           `yaml:"pass_query,omitempty" json:"pass_query"` // the client's query is appended
	Timeout  units.Duration `yaml:"timeout,omitempty" json:"timeout"`       // from the start of the composition to the part's last byte
	MaxBody  units.Bytes    `yaml:"max_body,omitempty" json:"max_body"`     // of the part's answer
	Optional bool           `yaml:"optional,omitempty" json:"optional"`     // its failure leaves a null instead of failing the whole
}

// Bounds of a composition: what one request may make the gateway fetch and hold.
const (
	maxParts    = 32
	maxComposed = 16 << 20
)

// SetDefaults fills in what a file may leave out.
func (p *Part) SetDefaults() { *p = Part{Timeout: seconds(2), MaxBody: 256 << 10} }

var partName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,63}$`)

func (c *checker) compose(path string, r Route, g *Gateway) {
	if len(r.Backends) > 0 {
		c.fault(path+".backends", "backends and compose are both given: a route is forwarded or composed")
	}
	parts := r.Compose.Parts
	if parts.Len() == 0 || parts.Len() > maxParts {
		c.fault(path+".compose", "%d parts: write 1 to %d", parts.Len(), maxParts)
	}
	var total units.Bytes
	for name, p := range parts.All() {
		at := strict.Key(path+".compose.parts", name)
		if !partName.MatchString(name) {
			c.fault(at, "%q is not a name: write letters, digits, - and _, a letter first", name)
		}
		if _, ok := g.Upstreams.Get(p.Upstream); !ok {
			c.oneOf(at+".upstream", "upstream", p.Upstream, g.Upstreams.Keys()...)
		}
		plain, query, _ := strings.Cut(p.Path, "?")
		c.path(at+".path", plain)
		for _, b := range []byte(plain + query) {
			if b <= ' ' || b >= 0x7f || b == '#' {
				c.fault(at+".path", "%q holds what a request target cannot", p.Path)
				break
			}
		}
		if p.Timeout <= 0 {
			c.fault(at+".timeout", "a part needs a deadline: write one above 0")
		}
		c.within(at+".timeout", p.Timeout, r.Timeout, "timeout of the route")
		if p.MaxBody <= 0 {
			c.fault(at+".max_body", "a part needs a bound: write one above 0")
		}
		total += p.MaxBody
	}
	if total > maxComposed {
		c.fault(path+".compose", "the parts' max_body add up to %d bytes: one request may hold %d", total, maxComposed)
	}
}
