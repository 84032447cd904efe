package sidecar

import (
	"crossroads/proxies/faults"
	"crossroads/proxies/upstream"
)

// openFaults makes the plans of what is to go wrong on purpose, and says so loudly: nobody should find out by the metrics that a
// sidecar was told to fail.
func (s *Sidecar) openFaults() {
	c := s.config.Faults
	if c == nil {
		return
	}
	counted := s.metrics.NewInjected()
	s.faultsIn, s.faultsOut = faults.Of(c, "inbound", counted, nil), faults.Of(c, "outbound", counted, nil)
	for _, r := range c.Rules {
		s.options.Log.Warn("FAULTS ARE INJECTED ON PURPOSE: this sidecar fails because its configuration says so", "direction", r.Direction, "at", r.At,
			"share", r.Share.String(), "after", r.After.String(), "for", r.For.String(), "delay", r.Delay.String(), "abort", r.Abort, "reset", r.Reset)
	}
}

// hook is a plan as an upstream asks it; nil where there is none, which a nil *faults.Plan in an interface would not be.
func hook(p *faults.Plan) upstream.Faults {
	if p == nil {
		return nil
	}
	return p
}
