package ci

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
)

// The ready workflows are files of others' formats: they parse, run the gate on the whole history, and keep what it leaves behind
// also where it fails.
func TestWorkflows(t *testing.T) {
	read := func(name string) (string, map[string]any) {
		text, err := os.ReadFile(filepath.Join("workflows", name))
		require.NoError(t, err)
		var parsed map[string]any
		require.NoError(t, yaml.Unmarshal(text, &parsed))
		return string(text), parsed
	}
	text, github := read("github.yml")
	steps := github["jobs"].(map[string]any)["gate"].(map[string]any)["steps"].([]any)
	require.Len(t, steps, 4)
	require.EqualValues(t, 0, steps[0].(map[string]any)["with"].(map[string]any)["fetch-depth"])
	gate := steps[2].(map[string]any)
	require.Equal(t, "${{ github.event.pull_request.base.sha }}", gate["env"].(map[string]any)["BASELINE"])
	require.NotContains(t, gate["run"], "${{", "what others choose goes through the environment, never into the script")
	require.Equal(t, "always()", steps[3].(map[string]any)["if"])
	require.NotContains(t, text, "continue-on-error")

	text, gitlab := read("gitlab.yml")
	job := gitlab["gate"].(map[string]any)
	require.Equal(t, "0", job["variables"].(map[string]any)["GIT_DEPTH"])
	require.Equal(t, "always", job["artifacts"].(map[string]any)["when"])
	require.Equal(t, map[string]any{"junit": "gate.xml"}, job["artifacts"].(map[string]any)["reports"])
	require.NotContains(t, text, "allow_failure")
}

// The Makefile hands the baseline over as it is: a name with a typing error reaches the gate, which refuses it.
func TestMakeGateHandsTheBaselineOver(t *testing.T) {
	make := exec.Command("make", "--no-print-directory", "-n", "gate", "BASELINE=no such thing", "ARGS=--junit gate.xml")
	make.Dir = ".."
	out, err := make.CombinedOutput()
	require.NoError(t, err, "%s", out)
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	require.Equal(t, `bin/crossroads gate --baseline "no such thing" --junit gate.xml`, lines[len(lines)-1])
}
