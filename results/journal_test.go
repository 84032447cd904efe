package results

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzTrialsFile puts anything at all where the trials are: reading never fails otherwise than by a schema or a value that verifies
// and is no trial, and what is appended next is read back, glued to nothing.
func FuzzTrialsFile(f *testing.F) {
	p := smallPlan()
	var whole []byte
	for _, planned := range p.Trials[:2] {
		v := trialOf(planned)
		v.Schema = Schema
		line, err := seal("trial", v)
		require.NoError(f, err)
		whole = append(whole, line...)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(whole[:len(whole)-20])
	f.Add([]byte("\n\n{}\n\x00"))
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), TrialsFile)
		require.NoError(t, os.WriteFile(path, content, 0o644))
		r := Run{Plan: p, trials: journal{path: path, key: "trial"}}
		before, _, err := r.Trials()
		if err != nil {
			return
		}
		next := trialOf(p.Trials[3])
		next.Attempt = 1000
		if err := r.Append(next); err != nil {
			require.ErrorContains(t, err, "recorded already")
			return
		}
		after, _, err := r.Trials()
		require.NoError(t, err)
		require.Equal(t, 1000, after[len(after)-1].Attempt)
		require.Subset(t, ids(after, func(v Trial) string { return v.ID }), ids(before, func(v Trial) string { return v.ID }))
		require.NoError(t, r.Close())
	})
}

func BenchmarkAppend(b *testing.B) {
	p := smallPlan()
	p.Trials = nil
	for i := range b.N {
		p.Trials = append(p.Trials, PlannedTrial{ID: fmt.Sprint(i)})
	}
	r, err := Create(b.TempDir(), p, Environment{}, []byte(experiment))
	require.NoError(b, err)
	v := goodTrial(b)
	b.ResetTimer()
	for i := range b.N {
		v.PlannedTrial = p.Trials[i]
		if err := r.Append(v); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	require.NoError(b, r.Close())
}

func BenchmarkJudge(b *testing.B) {
	v := goodTrial(b)
	b.ReportAllocs()
	for b.Loop() {
		Judge(&v)
	}
}
