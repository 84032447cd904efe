package results

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var began = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

const experiment = "version: 1\nname: small\n"

// smallPlan is two arms, two rounds, one rate.
func smallPlan() Plan {
	p := Plan{ID: "small-1", Name: "small", Seed: 7, Rounds: 2, Reference: 1000, Machine: "m1", Created: began,
		Binaries: []Binary{{"gateway", "aa"}, {"workload", "bb"}},
		Arms:     []ArmInfo{{Name: "direct"}, {Name: "gateway", Gateway: "reference"}}}
	for round := 1; round <= 2; round++ {
		for _, arm := range []string{"direct", "gateway"} {
			p.Trials = append(p.Trials, PlannedTrial{ID: fmt.Sprintf("r%d-%s-1000-c8", round, arm), Order: len(p.Trials) + 1,
				Round: round, Arm: arm, Rate: 1000, Connections: 8, Seed: uint64(round), Duration: int64(time.Second), Driver: "native/precise"})
		}
	}
	return p
}

func trialOf(p PlannedTrial) Trial {
	return Trial{PlannedTrial: p, Attempt: 1, Started: began.Add(time.Duration(p.Order) * time.Minute), Elapsed: int64(time.Second),
		Outcome: Valid, Counts: Counts{Planned: 1000, Ready: 1000, Done: 1000}}
}

func create(t *testing.T) *Run {
	t.Helper()
	r, err := Create(t.TempDir(), smallPlan(), Environment{Host: "h"}, []byte(experiment))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

func ids[T any](list []T, id func(T) string) []string {
	out := []string{}
	for _, v := range list {
		out = append(out, id(v))
	}
	return out
}

func trialIDs(t *testing.T, r *Run) []string {
	t.Helper()
	trials, warnings, err := r.Trials()
	require.NoError(t, err)
	require.Empty(t, warnings)
	return ids(trials, func(t Trial) string { return t.ID })
}

func TestRunIsReadBackAsItWasWritten(t *testing.T) {
	r := create(t)
	want := trialOf(r.Plan.Trials[0])
	want.Schema = Schema
	want.Errors = map[string]int64{"timeout": 2}
	h := NewTimes()
	require.NoError(t, h.RecordValue(1_234_567))
	encoded, err := Encode(h)
	require.NoError(t, err)
	want.Times = map[string]Histogram{Response: encoded}
	require.NoError(t, r.Append(want))
	require.NoError(t, r.Exclude(Exclusion{Round: 1, Arm: "gateway", Probe: "hops", Text: "2, not 1"}))

	again, err := Open(r.Dir)
	require.NoError(t, err)
	require.Equal(t, r.Plan, again.Plan)
	require.Equal(t, r.Environment, again.Environment)
	require.Equal(t, experiment, string(again.Experiment))
	trials, warnings, err := again.Trials()
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Equal(t, []Trial{want}, trials)
	exclusions, warnings, err := again.Exclusions()
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Equal(t, []Exclusion{{Round: 1, Arm: "gateway", Probe: "hops", Text: "2, not 1"}}, exclusions)
}

func TestCreateOverwritesNothing(t *testing.T) {
	root := t.TempDir()
	r, err := Create(root, smallPlan(), Environment{}, []byte(experiment))
	require.NoError(t, err)
	require.NoError(t, r.Append(trialOf(r.Plan.Trials[0])))
	_, err = Create(root, smallPlan(), Environment{}, []byte(experiment))
	require.ErrorIs(t, err, os.ErrExist)
	require.Equal(t, []string{"r1-direct-1000-c8"}, trialIDs(t, r))
	require.ErrorIs(t, writeNew(filepath.Join(r.Dir, PlanFile), []byte("{}")), os.ErrExist)
}

func TestCreateRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*Plan){
		"an ID that leaves the root": func(p *Plan) { p.ID = "../x" },
		"an empty ID":                func(p *Plan) { p.ID = "" },
		"a hidden ID":                func(p *Plan) { p.ID = ".x" },
		"another experiment":         func(p *Plan) { p.Experiment = Hash([]byte("other")) },
		"a trial twice":              func(p *Plan) { p.Trials = append(p.Trials, p.Trials[0]) },
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			p := smallPlan()
			spoil(&p)
			_, err := Create(root, p, Environment{}, []byte(experiment))
			require.Error(t, err)
			left, err := os.ReadDir(root)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	replace := func(file, old, new string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			path := filepath.Join(dir, file)
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Contains(t, string(data), old)
			require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(data), old, new, 1)), 0o644))
		}
	}
	for name, c := range map[string]struct {
		spoil func(*testing.T, string)
		want  string
	}{
		"no plan":             {func(t *testing.T, dir string) { require.NoError(t, os.Remove(filepath.Join(dir, PlanFile))) }, "not a run directory"},
		"a newer plan":        {replace(PlanFile, `"schema": 1`, `"schema": 2`), "use a newer crossroads"},
		"a newer environment": {replace(EnvironmentFile, `"schema": 1`, `"schema": 9`), "use a newer crossroads"},
		"a plan cut short":    {replace(PlanFile, "}\n", ""), "reading"},
		"another experiment":  {replace(ExperimentFile, "small", "large"), "hash"},
	} {
		t.Run(name, func(t *testing.T) {
			r := create(t)
			c.spoil(t, r.Dir)
			_, err := Open(r.Dir)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestAppendRefuses(t *testing.T) {
	r := create(t)
	first := trialOf(r.Plan.Trials[0])
	require.NoError(t, r.Append(first))
	require.ErrorContains(t, r.Append(first), "recorded already")
	require.ErrorContains(t, r.Append(trialOf(PlannedTrial{ID: "other"})), "not in the plan")

	again, err := Open(r.Dir)
	require.NoError(t, err)
	require.ErrorContains(t, again.Append(first), "recorded already")
	require.ErrorContains(t, again.Append(trialOf(r.Plan.Trials[1])), "another process is writing")
	require.NoError(t, r.Close())
	require.NoError(t, again.Append(trialOf(r.Plan.Trials[1])))
	require.NoError(t, again.Close())
	require.Equal(t, []string{"r1-direct-1000-c8", "r1-gateway-1000-c8"}, trialIDs(t, r))
}

func TestANewerTrialIsRefused(t *testing.T) {
	r := create(t)
	line, err := seal("trial", map[string]any{"schema": Schema + 1, "id": r.Plan.Trials[0].ID})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(r.Dir, TrialsFile), line, 0o644))
	_, _, err = r.Trials()
	var newer *NewerSchema
	require.ErrorAs(t, err, &newer)
	require.Equal(t, Schema+1, newer.Has)
}

// TestDamage spoils a file of three records and says what a reader sees, and what is there after the next append.
func TestDamage(t *testing.T) {
	type want struct {
		read    []int    // of the records 1, 2, 3
		kinds   []string // of the warnings
		lines   []int
		appends []string // kinds of warnings that remain after one more append
	}
	for name, c := range map[string]struct {
		spoil func(lines []string) string
		want  want
	}{
		"whole":                      {func(l []string) string { return l[0] + l[1] + l[2] }, want{read: []int{1, 2, 3}}},
		"empty":                      {func(l []string) string { return "" }, want{}},
		"last cut short":             {func(l []string) string { return l[0] + l[1] + l[2][:len(l[2])/2] }, want{[]int{1, 2}, []string{Torn}, []int{3}, nil}},
		"last has one byte":          {func(l []string) string { return l[0] + l[1] + "{" }, want{[]int{1, 2}, []string{Torn}, []int{3}, nil}},
		"last is zeros":              {func(l []string) string { return l[0] + l[1] + strings.Repeat("\x00", 512) }, want{[]int{1, 2}, []string{Torn}, []int{3}, nil}},
		"last lacks its newline":     {func(l []string) string { return l[0] + l[1] + strings.TrimSuffix(l[2], "\n") }, want{read: []int{1, 2, 3}}},
		"last damaged, with newline": {func(l []string) string { return l[0] + l[1] + flip(l[2]) }, want{[]int{1, 2}, []string{Torn}, []int{3}, []string{Corrupt}}},
		"middle damaged":             {func(l []string) string { return l[0] + flip(l[1]) + l[2] }, want{[]int{1, 3}, []string{Corrupt}, []int{2}, []string{Corrupt}}},
		"middle glued":               {func(l []string) string { return l[0] + l[1][:40] + l[2] }, want{[]int{1}, []string{Torn}, []int{2}, []string{Corrupt}}},
		"twice":                      {func(l []string) string { return l[0] + l[1] + l[1] + l[2] }, want{[]int{1, 2, 3}, []string{Duplicate}, []int{3}, []string{Duplicate}}},
	} {
		t.Run(name, func(t *testing.T) {
			r := create(t)
			var lines []string
			for _, p := range r.Plan.Trials[:3] {
				line, err := seal("trial", func() Trial { v := trialOf(p); v.Schema = Schema; return v }())
				require.NoError(t, err)
				lines = append(lines, string(line))
			}
			path := filepath.Join(r.Dir, TrialsFile)
			require.NoError(t, os.WriteFile(path, []byte(c.spoil(lines)), 0o644))

			wantIDs := []string{}
			for _, n := range c.want.read {
				wantIDs = append(wantIDs, r.Plan.Trials[n-1].ID)
			}
			trials, warnings, err := r.Trials()
			require.NoError(t, err)
			require.Equal(t, wantIDs, ids(trials, func(t Trial) string { return t.ID }))
			var kinds []string
			var at []int
			for _, w := range warnings {
				kinds, at = append(kinds, w.Kind), append(at, w.Line)
				require.Contains(t, w.String(), fmt.Sprintf("%s:%d: ", TrialsFile, w.Line))
			}
			require.Equal(t, c.want.kinds, kinds)
			require.Equal(t, c.want.lines, at)

			require.NoError(t, r.Append(trialOf(r.Plan.Trials[3])))
			trials, warnings, err = r.Trials()
			require.NoError(t, err)
			require.Equal(t, append(wantIDs, r.Plan.Trials[3].ID), ids(trials, func(t Trial) string { return t.ID }))
			kinds = nil
			for _, w := range warnings {
				kinds = append(kinds, w.Kind)
			}
			require.Equal(t, c.want.appends, kinds)
		})
	}
}

// flip damages one byte inside the value and leaves the line's shape.
func flip(line string) string {
	at := strings.Index(line, "planned")
	return line[:at] + "q" + line[at+1:]
}

func TestTheLastAttemptCounts(t *testing.T) {
	r := create(t)
	first := trialOf(r.Plan.Trials[0])
	require.NoError(t, r.Append(first))
	second := first
	second.Attempt, second.Outcome = 2, Invalid
	require.NoError(t, r.Append(second))
	trials, warnings, err := r.Trials()
	require.NoError(t, err)
	require.Len(t, trials, 1)
	require.Equal(t, Invalid, trials[0].Outcome)
	require.Len(t, warnings, 1)
	require.Equal(t, Duplicate, warnings[0].Kind)
}

// fullFile takes so many bytes and then has no space left, as a disk has: part of a line may still have been written.
type fullFile struct {
	*os.File
	space   int
	noSpace error
	stuck   bool // cannot be truncated either
}

func (f *fullFile) Write(p []byte) (int, error) {
	n := min(len(p), f.space)
	f.space -= n
	if _, err := f.File.Write(p[:n]); err != nil {
		return 0, err
	}
	if n < len(p) {
		return n, &os.PathError{Op: "write", Path: f.Name(), Err: f.noSpace}
	}
	return n, nil
}

func (f *fullFile) Truncate(size int64) error {
	if f.stuck {
		return syscall.EIO
	}
	return f.File.Truncate(size)
}

func TestFullDisk(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		stuck bool
	}{
		"no space":                {err: syscall.ENOSPC},
		"quota":                   {err: syscall.EDQUOT},
		"no space, no truncation": {err: syscall.ENOSPC, stuck: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := create(t)
			line, err := seal("trial", trialOf(r.Plan.Trials[0]))
			require.NoError(t, err)
			var f *fullFile
			r.trials.open = func(path string) (appendFile, error) {
				file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
				f = &fullFile{File: file, space: len(line) * 3 / 2, noSpace: c.err, stuck: c.stuck}
				return f, err
			}
			require.NoError(t, r.Append(trialOf(r.Plan.Trials[0])))
			err = r.Append(trialOf(r.Plan.Trials[1]))
			var full *FullDisk
			require.ErrorAs(t, err, &full)
			require.ErrorIs(t, err, c.err)
			require.ErrorContains(t, err, "no space left to write "+filepath.Join(r.Dir, TrialsFile))
			require.ErrorContains(t, err, "what was written before is intact")

			trials, warnings, err := r.Trials()
			require.NoError(t, err)
			require.Equal(t, []string{r.Plan.Trials[0].ID}, ids(trials, func(t Trial) string { return t.ID }))
			f.space = 1 << 20 // somebody made room
			if c.stuck {
				require.Len(t, warnings, 1)
				require.ErrorContains(t, r.Append(trialOf(r.Plan.Trials[1])), "takes no more records")
				return
			}
			require.Empty(t, warnings)
			require.NoError(t, r.Append(trialOf(r.Plan.Trials[1])))
			require.Equal(t, []string{r.Plan.Trials[0].ID, r.Plan.Trials[1].ID}, trialIDs(t, r))
		})
	}
}

func TestMarkLatest(t *testing.T) {
	root := t.TempDir()
	for _, id := range []string{"a", "b"} {
		require.NoError(t, MarkLatest(root, id))
		to, err := os.Readlink(filepath.Join(root, Latest))
		require.NoError(t, err)
		require.Equal(t, id, to)
	}
	require.Error(t, MarkLatest(filepath.Join(root, "missing"), "a"))
}

func FuzzUnseal(f *testing.F) {
	good, err := seal("trial", map[string]int{"a": 1})
	require.NoError(f, err)
	f.Add(good[:len(good)-1])
	f.Add([]byte(`{"crc":"00000000","trial":{}}`))
	f.Add([]byte(`{"crc":"`))
	f.Fuzz(func(t *testing.T, line []byte) {
		value, err := unseal("trial", line)
		if err == nil { // what verifies is exactly what seal would have framed
			require.Equal(t, fmt.Sprintf(`{"crc":"%s","trial":%s}`, line[8:16], value), string(line))
		}
	})
}
