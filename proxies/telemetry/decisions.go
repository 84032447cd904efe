package telemetry

import "github.com/prometheus/client_golang/prometheus"

// AuthDecisions are the counters of one authentication scheme, found once.
type AuthDecisions struct {
	Accepted, Missing, Unknown, Several prometheus.Counter
}

// AuthDecisions registers the outcomes of a scheme. In shadow mode they are counted as shadow_accepted and so on: what would
// have happened.
func (m *Metrics) AuthDecisions(scheme string, shadow bool) AuthDecisions {
	of := func(outcome string) prometheus.Counter {
		return m.auth.WithLabelValues(scheme, shadowed(outcome, shadow))
	}
	return AuthDecisions{Accepted: of("accepted"), Missing: of("missing"), Unknown: of("unknown"), Several: of("several")}
}

// LimitDecisions are the counters of one rate limit policy, found once.
type LimitDecisions struct{ Allowed, Denied prometheus.Counter }

// LimitDecisions registers the decisions of a policy.
func (m *Metrics) LimitDecisions(policy string, shadow bool) LimitDecisions {
	of := func(decision string) prometheus.Counter {
		return m.limits.WithLabelValues(policy, shadowed(decision, shadow))
	}
	return LimitDecisions{Allowed: of("allowed"), Denied: of("denied")}
}

// Evicted counts a key that the table of rate limits dropped because it was full.
func (m *Metrics) Evicted() { m.evictions.Inc() }

func shadowed(word string, shadow bool) string {
	if shadow {
		return "shadow_" + word
	}
	return word
}

// Auth registers the outcomes of a scheme that has words of its own, in their order.
func (m *Metrics) Auth(scheme string, shadow bool, outcomes ...string) []prometheus.Counter {
	counters := make([]prometheus.Counter, len(outcomes))
	for i, outcome := range outcomes {
		counters[i] = m.auth.WithLabelValues(scheme, shadowed(outcome, shadow))
	}
	return counters
}

// Source counts what came of asking a source that a stage depends on: key_set, introspection or rate_limit_store. It returns one
// counter for each result.
func (m *Metrics) Source(source string, results ...string) []prometheus.Counter {
	counters := make([]prometheus.Counter, len(results))
	for i, result := range results {
		counters[i] = m.sources.WithLabelValues(source, result)
	}
	return counters
}
