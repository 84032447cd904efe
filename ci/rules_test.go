package ci

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config/strict"
)

func TestTheStandardRules(t *testing.T) {
	r := Standard()
	require.Equal(t, []int{12, 24, 60}, r.Looks)
	require.Equal(t, 9, r.Tests(), "three metrics at three looks")
	require.InDelta(t, 0.01/9, r.failLevel(), 1e-12)
	s, known := r.Scenarios.Get("forward")
	require.True(t, known)
	require.Equal(t, []string{"cpu-gateway", "service-p50", "service-p99"}, s.Names())
	require.GreaterOrEqual(t, r.Rounds(), lastLook)
	require.NoError(t, r.Check("gates.yaml"))
	standing, err := os.ReadFile("gates.yaml")
	require.NoError(t, err)
	require.Equal(t, string(gates), string(standing))
}

func TestWarnsOfBlocksThatAreTooShort(t *testing.T) {
	r := Standard()
	require.Empty(t, r.Warnings("forward"))
	r.Block = 250_000_000
	w := r.Warnings("forward")
	require.Len(t, w, 1)
	require.Contains(t, w[0], "service-p99 needs 368 samples a block and 250 are due on each side")
	require.Empty(t, r.Warnings("no such scenario"))
}

func TestRulesReadBackFromARun(t *testing.T) {
	dir := t.TempDir()
	want := Standard()
	require.NoError(t, WriteRules(dir, &want))
	got, err := LoadRules(filepath.Join(dir, RulesFile))
	require.NoError(t, err)
	require.Equal(t, want, *got)
}

const oneScenario = "version: 1\nscenarios:\n  s: {experiment: single, topology: gateway, rate: 1k, metrics: {cpu-gateway: {margin: 2%}}}\n"

func TestFaultsOfRules(t *testing.T) {
	_, err := ParseRules("gates.yaml", []byte(oneScenario))
	require.NoError(t, err)
	for name, c := range map[string]struct{ text, want string }{
		"a misspelt key":        {"version: 1\nscenaros: {}\n", `"scenarios"`},
		"a misspelt margin":     {"version: 1\nscenarios: {s: {experiment: single, topology: gateway, rate: 1k, metrics: {cpu-gateway: {marign: 2%}}}}\n", `"margin"`},
		"an unknown metric":     {"version: 1\nscenarios: {s: {experiment: single, topology: gateway, rate: 1k, metrics: {cpu-gatewy: {margin: 2%}}}}\n", `unknown metric "cpu-gatewy": did you mean "cpu-gateway"?`},
		"an unknown report":     {"version: 1\nscenarios: {s: {experiment: single, topology: gateway, rate: 1k, metrics: {p50: {margin: 2%}}, report: [p51]}}\n", `unknown metric "p51"`},
		"no metric":             {"version: 1\nscenarios: {s: {experiment: single, topology: gateway, rate: 1k}}\n", "can never fail"},
		"no scenario":           {"version: 1\n", "can never fail"},
		"no margin":             {"version: 1\nscenarios: {s: {experiment: single, topology: gateway, rate: 1k, metrics: {p50: {}}}}\n", "the margin must be above 0"},
		"another version":       {"version: 2\n" + oneScenario[len("version: 1\n"):], "version 2 is not known"},
		"looks out of order":    {oneScenario + "looks: [24, 12]\n", "ascending"},
		"a look too early":      {oneScenario + "looks: [3]\n", "before 12 pairs"},
		"too seldom A/A":        {oneScenario + "aa_every: 9\n", "fewer than 2 A/A pairs"},
		"a unit left out":       {oneScenario + "block: 8\n", "block"},
		"failures at will":      {oneScenario + "false_failures: 50%\n", "at most 10%"},
		"an unknown program":    {"version: 1\nscenarios: {s: {program: gatway, experiment: single, topology: gateway, rate: 1k, metrics: {p50: {margin: 2%}}}}\n", `did you mean "gateway"?`},
		"not a file of mapping": {"- a\n", "gates.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseRules("gates.yaml", []byte(c.text))
			var faults strict.Faults
			require.True(t, errors.As(err, &faults), "%v", err)
			require.ErrorContains(t, err, c.want)
		})
	}
	_, err = LoadRules(filepath.Join(t.TempDir(), "none.yaml"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func FuzzParseRules(f *testing.F) {
	f.Add([]byte(oneScenario))
	f.Add(gates)
	f.Add([]byte("looks: [1, 1]\naa_every: -1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseRules("fuzz.yaml", data)
		if err != nil {
			return
		}
		require.Positive(t, r.Tests())
		require.NoError(t, r.Check("again"), "what was read can be written and read again")
	})
}
