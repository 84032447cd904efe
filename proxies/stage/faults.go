package stage

import (
	"time"

	"crossroads/proxies/exchange"
	"crossroads/proxies/faults"
)

// Faults delays and aborts requests on purpose, as its plan says. It stands in a chain only where a configuration asks for faults.
type Faults struct{ plan *faults.Plan }

// NewFaults makes the stage.
func NewFaults(plan *faults.Plan) *Faults { return &Faults{plan: plan} }

// Name implements exchange.Stage.
func (s *Faults) Name() string { return "faults" }

// Inward implements exchange.Stage. It waits no longer than the exchange has time.
func (s *Faults) Inward(x *exchange.Exchange) exchange.Step {
	d := s.plan.Request(x)
	if d.Wait > 0 {
		if !x.Deadline.IsZero() {
			d.Wait = min(d.Wait, time.Until(x.Deadline))
		}
		time.Sleep(d.Wait)
	}
	if d.Abort != nil {
		return x.Fail(d.Abort)
	}
	return exchange.Continue
}

// Outward implements exchange.Stage.
func (s *Faults) Outward(*exchange.Exchange) {}

// Finish implements exchange.Stage.
func (s *Faults) Finish(*exchange.Exchange, exchange.End) {}
