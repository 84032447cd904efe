package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config/units"
)

// A mesh that opens its connections within the measured second missed objectives at half of its capacity.
func TestCapacityIsSearchedWarm(t *testing.T) {
	for given, want := range map[time.Duration]time.Duration{0: 2 * time.Second, 100 * time.Millisecond: 100 * time.Millisecond} {
		k := &climbing{highest: "200k", repeat: 1, fine: fineSteps, warmup: given}
		s, err := k.session([]string{"../../../topologies/storefront.yaml"})
		require.NoError(t, err)
		require.Equal(t, units.Duration(want), s.Experiment.Load.Warmup)
	}
}
