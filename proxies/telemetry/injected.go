package telemetry

// NewInjected makes the count of faults that were injected on purpose.
func (m *Metrics) NewInjected() func(direction, at string) {
	c := newCounters(m.counter("injected_faults_total", "Faults injected on purpose, by direction and point.", "direction", "at"), 2)
	return func(direction, at string) { c.of(labels{direction, at}).Inc() }
}
