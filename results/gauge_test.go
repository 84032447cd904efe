package results

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGauge: what the driver spends watching the clock is not what a request costs it.
func TestGauge(t *testing.T) {
	trial := Trial{Counts: Counts{Done: 800}, Driver: DriverUse{CPU: 124e6, Spin: 38e6}}
	ns, ok := Gauge(&trial)
	require.True(t, ok)
	require.Equal(t, 107_500.0, ns)

	for name, unknown := range map[string]Trial{
		"nothing answered": {Driver: trial.Driver},
		"driver unseen":    {Counts: trial.Counts},
		"spun throughout":  {Counts: trial.Counts, Driver: DriverUse{CPU: 5, Spin: 5}},
	} {
		_, ok := Gauge(&unknown)
		require.False(t, ok, name)
	}
}
