package sidecar

import (
	"crossroads/proxies/config"
	"crossroads/proxies/faults"
	"crossroads/proxies/upstream"
)

// openFaults makes the plans of what is to go wrong on purpose.
func (s *Sidecar) openFaults() {
	c := s.config.Faults
	if c == nil {
		return
	}
	s.faults = faults.New(c, s.metrics.NewInjected(), func(told *config.Faults) error {
		return told.CheckTold(s.config.Inbound != nil, s.config.Outbound != nil, s.config.Identity)
	}, s.options.Log)
}

// hook is a plan as an upstream asks it; nil where there is none, which a nil *faults.Plan in an interface would not be.
func hook(p *faults.Plan) upstream.Faults {
	if p == nil {
		return nil
	}
	return p
}
