package results

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSightingsOfARunThatHasNone: a run that was begun by an earlier version has no such file; reading it is no fault, and one that is
// resumed gets the file.
func TestSightingsOfARunThatHasNone(t *testing.T) {
	r := &Run{sightings: journal{path: filepath.Join(t.TempDir(), SightingsFile), key: "sighting"}}
	none, warnings, err := r.Sightings()
	require.NoError(t, err)
	require.Empty(t, none)
	require.Empty(t, warnings)

	want := []Sighting{
		{Round: 1, Arm: "nginx", Probes: []Probe{{Place: PlaceGateway, Feature: "key_auth", Asked: "without a key", Answered: "401"}}},
		{Round: 1, Arm: "mesh", Handshakes: []Handshake{{At: "inbound", Process: "sidecar-a-1", Seen: SeenByProbe, Version: "TLS 1.3", Cipher: "TLS_AES_128_GCM_SHA256", Chain: 1}}},
	}
	for _, s := range want {
		require.NoError(t, r.See(s))
	}
	got, warnings, err := r.Sightings()
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Equal(t, want, got)

	require.NoError(t, r.sightings.close())
	text, err := os.ReadFile(r.sightings.path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(r.sightings.path, text[:len(text)-9], 0o600))
	got, warnings, err = r.Sightings()
	require.NoError(t, err)
	require.Equal(t, want[:1], got)
	require.Len(t, warnings, 1, "a line cut short is told")
}
