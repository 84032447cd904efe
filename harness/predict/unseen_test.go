package predict

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/topologies"
)

// TestUnseenGraphsAreMadeOfMeasuredParts: the graphs by which predictions are verified, and those on which the model was practised, are
// unlike those that it is learnt from, and yet made of nothing else; each is quick to measure.
func TestUnseenGraphsAreMadeOfMeasuredParts(t *testing.T) {
	var lessons []*topologies.Experiment
	for _, l := range Lessons {
		data, ok := topologies.Ready(l.Experiment)
		require.True(t, ok)
		e := parse(t, string(data))
		if l.Arms != nil {
			declared := e.Topologies
			e.Topologies.Clear()
			for _, arm := range l.Arms {
				e.Topologies.Set(arm, declared.At(arm))
			}
		}
		lessons = append(lessons, e)
	}
	files, err := filepath.Glob("../../topologies/unseen/*.yaml")
	require.NoError(t, err)
	require.Len(t, files, 5)
	practice, err := filepath.Glob("../../topologies/practice/*.yaml")
	require.NoError(t, err)
	require.Len(t, practice, 20)
	files = append(files, practice...)
	for _, file := range files {
		e, err := topologies.Load(file)
		require.NoError(t, err)
		require.Equal(t, e.Name+".yaml", filepath.Base(file))
		require.Equal(t, []string{"direct", "gateway", "mesh", "gateway+mesh"}, e.Topologies.Keys())
		require.GreaterOrEqual(t, len(e.Load.Rates), 1)
		require.GreaterOrEqual(t, e.Load.Rates[0].F()*e.Load.Duration.D().Seconds(), 368.0, "a block has to give a p99")
		require.NoError(t, Untaught(lessons, []*topologies.Experiment{e}), file)
	}
	stranger := parse(t, strings.ReplaceAll(fan, "mesh: {mesh: {}}", "mesh: {mesh: {balance: least_request}}"))
	err = Untaught(lessons, []*topologies.Experiment{stranger})
	require.ErrorContains(t, err, "topology mesh: no run measured outbound")
	require.ErrorContains(t, err, "least_request")
	require.ErrorContains(t, err, "topology key: no run measured gateway", "an arm that no lesson keeps teaches nothing")
	require.NotContains(t, err.Error(), "topology direct")
}
