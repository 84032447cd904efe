package config

import (
	"math"

	"crossroads/proxies/config/units"
)

// CallerLimits bound what one caller may ask of the application, and what all of them together may open towards it. A caller is an
// identity that was proved; those who proved none are told apart by their address. What goes beyond is refused at once: 429 for the
// rate, 503 for the rest, and an opaque connection is closed.
type CallerLimits struct {
	Mode       Mode        `yaml:"mode,omitempty" json:"mode"`             // of rate and concurrent
	Rate       units.Count `yaml:"rate,omitempty" json:"rate"`             // requests and opaque connections per second, of one caller; 0: no limit
	Burst      units.Count `yaml:"burst,omitempty" json:"burst"`           // default: the rate, at least 1
	Concurrent int         `yaml:"concurrent,omitempty" json:"concurrent"` // requests and opaque connections in flight, of one caller; 0: no limit
	// Connections is how many may be open to the application at a time: for HTTP, and for each opaque port. 0: no limit.
	Connections int `yaml:"connections,omitempty" json:"connections"`
}

// SetDefaults fills in what a file may leave out.
func (l *CallerLimits) SetDefaults() { *l = CallerLimits{Mode: On} }

func (l *CallerLimits) resolve() {
	if l.Burst == 0 {
		l.Burst = units.Count(max(1, math.Trunc(l.Rate.F())))
	}
}

func (c *checker) callerLimits(path string, l *CallerLimits) {
	if l == nil {
		return
	}
	c.mode(path+".mode", l.Mode)
	if l.Rate == 0 && l.Concurrent == 0 && l.Connections == 0 {
		c.fault(path, "neither rate, concurrent nor connections: nothing would be limited")
	}
	if l.Rate != 0 && (l.Rate < 0.001 || l.Rate > 1e9) {
		c.fault(path+".rate", "rate is %s: write requests per second, 0.001 to 1000M", l.Rate)
	}
	if l.Burst < 1 || l.Burst > 1e9 || l.Burst.F() != math.Trunc(l.Burst.F()) {
		c.fault(path+".burst", "%s is not a burst: a whole number of requests, at least 1", l.Burst)
	}
	if l.Concurrent < 0 {
		c.fault(path+".concurrent", "%d is not a number of requests", l.Concurrent)
	}
	if l.Connections < 0 {
		c.fault(path+".connections", "%d is not a number of connections", l.Connections)
	}
}
