package harness

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/topologies"
)

func TestStayAwakeAsksForNoLatencyAtAll(t *testing.T) {
	device := filepath.Join(t.TempDir(), "device")
	_, err := stayAwake(device)
	require.ErrorContains(t, err, "keeping idle processors awake")
	require.NoError(t, os.WriteFile(device, nil, 0o600))
	f, err := stayAwake(device)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	asked, err := os.ReadFile(device)
	require.NoError(t, err)
	require.Equal(t, []byte{0, 0, 0, 0}, asked)
}

func TestPlacementSaysWhoIsAwake(t *testing.T) {
	require.Equal(t, "shared", placement(topologies.Placement{}))
	require.Equal(t, "shared; idle processors kept awake", placement(topologies.Placement{Awake: true}))
	require.Equal(t, "driver [0], proxies [1], workload [0]; idle processors kept awake",
		placement(topologies.Placement{Driver: topologies.Ints{0}, Proxies: topologies.Ints{1}, Workload: topologies.Ints{0}, Awake: true}))
}
