package predict

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/topologies"
)

// TestUnseenGraphsAreMadeOfMeasuredParts: the graphs by which predictions are verified, and those on which the model was practised, are
// unlike those that it is learnt from, and yet made of nothing else; each is quick to measure.
func TestUnseenGraphsAreMadeOfMeasuredParts(t *testing.T) {
	known := map[string]bool{}
	for _, name := range []string{"chain", "fanout", "pauses", "single", "storefront"} {
		data, ok := topologies.Ready(name)
		require.True(t, ok)
		e := parse(t, string(data))
		for _, arm := range e.Arms() {
			if name == "single" && arm.Name != "direct" && arm.Name != "gateway" {
				continue
			}
			p, err := planOf(arm)
			require.NoError(t, err)
			for _, kind := range kinds {
				for part := range counts(p, kind) {
					known[part] = true
				}
			}
		}
	}
	files, err := filepath.Glob("../../topologies/unseen/*.yaml")
	require.NoError(t, err)
	require.Len(t, files, 5)
	practice, err := filepath.Glob("../../topologies/practice/*.yaml")
	require.NoError(t, err)
	require.Len(t, practice, 10)
	files = append(files, practice...)
	for _, file := range files {
		e, err := topologies.Load(file)
		require.NoError(t, err)
		require.Equal(t, e.Name+".yaml", filepath.Base(file))
		require.Equal(t, []string{"direct", "gateway", "mesh", "gateway+mesh"}, e.Topologies.Keys())
		require.GreaterOrEqual(t, len(e.Load.Rates), 1)
		require.GreaterOrEqual(t, e.Load.Rates[0].F()*e.Load.Duration.D().Seconds(), 368.0, "a block has to give a p99")
		for _, arm := range e.Arms() {
			p, err := planOf(arm)
			require.NoError(t, err)
			for _, kind := range kinds {
				for part := range counts(p, kind) {
					require.True(t, known[part], "%s, %s: %s", e.Name, arm.Name, part)
				}
			}
		}
	}
}
