//go:build soak

package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A certificate that ends in the middle of a block: every call to its service fails once it has ended and not before, whatever
// connections are open, and none does once it was renewed. Without a breaker: one would open, and with its pauses doubled by then keep
// callers away for some seconds more.
func TestSoakCertificateEnds(t *testing.T) {
	dir := t.TempDir()
	text := strings.Replace(strings.Replace(strings.Replace(troubled[:strings.Index(troubled, "faults:")], "  direct: {}\n", "", 1), "svid_lifetime: 2s", "svid_lifetime: 2s, breaker: off", 1), "duration: 1500ms", "duration: 16s", 1) +
		"faults:\n  - {at: 1s, for: 6s, expire: sidecar-cart}\n"
	b := start(t, dir, write(t, dir, "expiry.yaml", text))
	require.Equal(t, 0, b.wait(t), "%s", b.stderr.String())
	_, trials := b.records(t)
	require.Len(t, trials, 1)
	trial := trials[0]
	require.Nil(t, trial.Failure)
	f := trial.Faults[0]
	require.Positive(t, f.During.Errors)
	require.Equal(t, f.During.Due, f.During.Done+f.During.Errors, "they fail at once, none waits for its deadline")
	failed := map[string]bool{}
	for _, e := range f.Edges {
		failed[e.Caller+">"+e.Callee] = e.Failed > 0
	}
	require.True(t, failed["web>cart"])
	require.False(t, failed["web>ads"])
	over := f.Acts[0].Ready
	t.Logf("%d of %d failed while it lasted; valid again %.2f s after the refusals had ended", f.During.Errors, f.During.Due, float64(over-f.To)/1e9)
	var late int64
	for i, m := range trial.Moments.Series {
		if from := int64(i) * trial.Moments.Length; from > over+2e9 {
			late += m.Errors - m.Declared
		}
	}
	require.Zero(t, late, "two seconds after it was valid again")
}
