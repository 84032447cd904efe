package config

import (
	"strings"
	"time"

	"crossroads/proxies/config/strict"
	"crossroads/proxies/config/units"
)

// Registration lets sidecars tell the control plane where their service can be reached, besides what the file of services says. Only
// the service that an identity is of can be registered by it, and only for as long as it goes on saying so.
type Registration struct {
	IDs   []string       `yaml:"ids" json:"ids"`               // who may: SPIFFE IDs, or a prefix ending in /*
	Lease units.Duration `yaml:"lease,omitempty" json:"lease"` // without a heartbeat for so long an endpoint is gone
}

// Bounds of a lease: below, a busy machine would lose endpoints that are well; above, dead ones would stay for too long.
const (
	shortestLease = units.Duration(time.Second)
	longestLease  = units.Duration(time.Minute)
)

// SetDefaults fills in what a file may leave out.
func (r *Registration) SetDefaults() { *r = Registration{Lease: seconds(10)} }

// Register makes a sidecar tell the control plane where it takes inbound calls.
type Register struct {
	// Address is where others reach the inbound listener; the host may be left out (the address that the control plane sees), and so
	// may the port (the listener's).
	Address string `yaml:"address,omitempty" json:"address,omitempty"`
	Weight  int    `yaml:"weight,omitempty" json:"weight"`
}

// SetDefaults fills in what a file may leave out.
func (r *Register) SetDefaults() { *r = Register{Weight: 1} }

func (c *checker) registration(k *Control) {
	r := k.Registration
	if r == nil {
		return
	}
	const path = "$.registration"
	if len(r.IDs) == 0 {
		c.fault(path, "ids is empty: nobody could register anything")
	}
	for i, id := range r.IDs {
		c.tokenID(strict.Index(path+".ids", i), id, k.TrustDomain)
	}
	if r.Lease < shortestLease || r.Lease > longestLease {
		c.fault(path+".lease", "%s is not a lease: write %s to %s", r.Lease, shortestLease, longestLease)
	}
}

func (c *checker) register(s *Sidecar) {
	r := s.Inbound.Register
	if r == nil {
		return
	}
	const path = "$.inbound.register"
	if r.Address != "" {
		c.address(path+".address", r.Address, true)
		if strings.HasPrefix(r.Address, "unix:") {
			c.fault(path+".address", "%s: others cannot reach a socket of this machine", r.Address)
		}
	}
	if r.Weight < 1 {
		c.fault(path+".weight", "%d is not a weight: write 1 or more", r.Weight)
	}
	switch {
	case s.Identity == nil || s.Identity.Control == nil:
		c.fault(path, "register needs a control plane: add `identity` with `control`")
	case !strings.HasSuffix(s.Identity.ID, "/sa/"+s.Service):
		c.fault(path, "the control plane would refuse it: the identity %s is not that of the service %s", s.Identity.ID, s.Service)
	}
	if strings.HasPrefix(s.Inbound.Listen, "unix:") && r.Address == "" {
		c.fault(path, "inbound listens on a Unix socket, which others cannot reach: write an address")
	}
}
