//go:build soak

package results_test

import "testing"

// TestSoakIntervalsHoldWhatWasInjected is the ordinary test with ten thousand simulated runs each, at every look of the gate.
func TestSoakIntervalsHoldWhatWasInjected(t *testing.T) {
	intervalsHold(t, 10_000, []int{6, 8, 10, 12, 16, 20}, []int{12, 24, 60})
}
