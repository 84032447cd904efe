package ci

import (
	"strings"
	"testing"

	"github.com/joshdk/go-junit"
	"github.com/stretchr/testify/require"
)

// TestJUnitIsReadByAReader gives the file to a reader of JUnit that others wrote: what failed, and what could not be judged, is neither
// passed nor skipped there.
func TestJUnitIsReadByAReader(t *testing.T) {
	decisions := threeDecisions()
	var b strings.Builder
	require.NoError(t, JUnit(&b, decisions))
	suites, err := junit.Ingest([]byte(b.String()))
	require.NoError(t, err)
	require.Len(t, suites, len(decisions))
	want := map[string]junit.Status{"worse": junit.StatusFailed, "short": junit.StatusError, "same": junit.StatusPassed}
	for i, s := range suites {
		require.Equal(t, decisions[i].Scenario, s.Name)
		require.Equal(t, 1+len(decisions[i].Metrics), s.Totals.Tests)
		require.Zero(t, s.Totals.Skipped)
		verdict := s.Tests[0]
		require.Equal(t, "verdict", verdict.Name)
		require.Equal(t, s.Name, verdict.Classname)
		require.Equal(t, want[s.Name], verdict.Status, s.Name)
	}
	require.Error(t, suites[0].Tests[0].Error)

	b.Reset()
	require.NoError(t, JUnit(&b, nil))
	suites, err = junit.Ingest([]byte(b.String()))
	require.NoError(t, err)
	require.Equal(t, 1, suites[0].Totals.Error, "nothing compared is an error")
}
