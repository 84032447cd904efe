package topologies

import "fmt"

// MinRounds is how many rounds it takes for a 95% signed-rank interval to exist: with five, the smallest two-sided level is 6.25%.
const MinRounds = 6

// Warnings says what a reader of the results should know of a file that is right as it stands.
func (e *Experiment) Warnings() []string {
	var all []string
	if e.Load.Rounds < MinRounds {
		all = append(all, fmt.Sprintf("%d rounds: fewer than %d give no interval, so nothing can be concluded", e.Load.Rounds, MinRounds))
	}
	direct := false
	for _, a := range e.Arms() {
		direct = direct || a.Direct()
	}
	if !direct {
		all = append(all, "no topology without a proxy: no overhead can be given")
	}
	if e.Load.Driver == DriverNative && e.Load.Pacing == PacingEconomical {
		all = append(all, "economical pacing is late by about a millisecond: its times are evidence on throughput and CPU, not on latency")
	}
	return all
}
