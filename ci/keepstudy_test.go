package ci

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/results"
)

// collection keeps the pairs of a self-test as the harness does.
func collection(t *testing.T, root string, rules Rules, arm string, trials []results.Trial) *results.Run {
	t.Helper()
	p := results.Plan{ID: "selftest-forward", Name: "forward", Seed: 7, Machine: "m"}
	for i := range trials {
		trials[i].ID = fmt.Sprintf("r%05d-%s", trials[i].Round, trials[i].Arm)
		p.Trials = append(p.Trials, trials[i].PlannedTrial)
	}
	run, err := results.Create(root, p, results.Environment{}, []byte("version: 1\n"))
	require.NoError(t, err)
	t.Cleanup(func() { run.Close() })
	require.NoError(t, WriteRules(run.Dir, &rules))
	for _, trial := range trials {
		require.NoError(t, run.Append(trial))
	}
	text, err := json.Marshal([]Injected{{Arm: arm, Text: "a spin", Metric: "cpu-gateway", Size: "+5%", Pairs: 12}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(run.Dir, InjectedFile), text, 0o644))
	return run
}

func blinded(trials []results.Trial, name string) []results.Trial {
	for i := range trials {
		if trials[i].Arm == "injected-a" {
			trials[i].Arm = name
		}
	}
	return trials
}

// TestCollectionsAreStudiedTogether: their blinded names differ, their rounds have the same numbers, and the study finds them again.
func TestCollectionsAreStudiedTogether(t *testing.T) {
	root, rules := t.TempDir(), threeMetrics()
	first := collection(t, root, rules, "injected-a", pool(20, 20, [3]float64{0.05, 0, 0}))
	require.True(t, IsSelfTest(first))
	hourly := threeMetrics()
	hourly.Budget = 3600e9
	second := collection(t, filepath.Join(root, "more"), hourly, "injected-c", blinded(pool(12, 8, [3]float64{0.05, 0, 0}), "injected-c"))

	study, err := StudyOf(first, second)
	require.NoError(t, err)
	require.Equal(t, []string{"selftest-forward", "more/selftest-forward"}, study.Collections)
	require.Equal(t, 32, study.AA)
	require.Len(t, study.Found, 1)
	require.GreaterOrEqual(t, study.Found[0].Stored, 28)
	require.Equal(t, 2, study.Found[0].Live.Of)
	require.InDelta(t, 0.05, study.Found[0].Change.Change, 0.01)

	require.NoError(t, WriteStudy(first.Dir, study))
	trials, _, err := first.Trials()
	require.NoError(t, err)
	numbers, differences, err := RecheckStudy(first, trials)
	require.NoError(t, err)
	require.Empty(t, differences)
	require.Greater(t, numbers, 20)
	study.AA++
	require.NoError(t, WriteStudy(first.Dir, study))
	_, differences, err = RecheckStudy(first, trials)
	require.NoError(t, err)
	require.Len(t, differences, 1)

	other := threeMetrics()
	other.AAEvery = 4
	_, err = StudyOf(first, collection(t, filepath.Join(root, "other"), other, "injected-a", pool(2, 2, same)))
	require.ErrorContains(t, err, "made by other rules")
	elsewhere := collection(t, filepath.Join(root, "elsewhere"), rules, "injected-a", pool(2, 2, same))
	elsewhere.Plan.Machine = "another"
	_, err = StudyOf(first, elsewhere)
	require.ErrorContains(t, err, "another machine")
}
