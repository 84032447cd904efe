package telemetry

// Authorizations counts decisions about who may call: authorization_decisions_total{policy,decision}. A decision is allowed or
// denied; shadow_allowed and shadow_denied are what would have come of it with the shadow policies in force.
type Authorizations struct{ decisions *counters }

// NewAuthorizations registers the metric.
func (m *Metrics) NewAuthorizations() *Authorizations {
	vec := m.counter("authorization_decisions_total", "Decisions about calls to the application, by the policy that decided.", "policy", "decision")
	return &Authorizations{newCounters(vec, 2)}
}

// Count counts one decision. policy is a configured name.
func (a *Authorizations) Count(policy, decision string) {
	a.decisions.of(labels{policy, decision}).Inc()
}
