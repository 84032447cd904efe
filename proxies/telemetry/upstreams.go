package telemetry

// upstreams are the counters of what upstreams do besides single tries.
type upstreams struct {
	retries   *counters
	exhausted *counters
	refused   *counters
	checks    *counters
}

func newUpstreams(m *Metrics) upstreams {
	return upstreams{
		retries: newCounters(m.counter("retries_total", "Tries after the first, of the same request.", "upstream"), 1),
		exhausted: newCounters(m.counter("retry_budget_exhausted_total",
			"Retries that did not happen because the budget was used up.", "upstream"), 1),
		refused: newCounters(m.counter("bulkhead_refused_total", "What a limit turned away, by limit.", "upstream", "limit"), 2),
		checks:  newCounters(m.counter("health_checks_total", "Active health checks, by result.", "upstream", "result"), 2),
	}
}

// Retried counts a retry. It implements upstream's Observer, as the methods below do.
func (m *Metrics) Retried(upstream string) { m.upstreams.retries.of(labels{upstream}).Inc() }

// RetryRefused counts a retry that the budget did not allow.
func (m *Metrics) RetryRefused(upstream string) { m.upstreams.exhausted.of(labels{upstream}).Inc() }

// Refused counts what a limit turned away.
func (m *Metrics) Refused(upstream, limit string) {
	m.upstreams.refused.of(labels{upstream, limit}).Inc()
}

// Checked counts an active health check.
func (m *Metrics) Checked(upstream, result string) {
	m.upstreams.checks.of(labels{upstream, result}).Inc()
}
