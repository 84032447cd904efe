package results

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Files of a run directory.
const (
	PlanFile        = "plan.json"
	EnvironmentFile = "environment.json"
	ExperimentFile  = "experiment.yaml" // resolved: the bytes whose hash the plan holds
	TrialsFile      = "trials.jsonl"
	ExclusionsFile  = "exclusions.jsonl"
	SittingsFile    = "sittings.jsonl"
	SightingsFile   = "sightings.jsonl"
	LogsDir         = "logs"   // what the processes printed
	GraphsDir       = "graphs" // the dependency graph of each trial with a control plane, as that saw it: TRIAL.json
)

// Run is a run directory. Its plan, environment and experiment were written before round 1 and never change; trials, exclusions,
// sittings and sightings are only ever appended. One process appends at a time; any number may read meanwhile.
type Run struct {
	Dir         string
	Plan        Plan
	Environment Environment
	Experiment  []byte

	mu         sync.Mutex
	trials     journal
	exclusions journal
	sittings   journal
	sightings  journal
	recorded   map[string]int // highest attempt by trial ID, known once appending began
}

// Create makes root/<plan.ID> and writes all that was decided before round 1, the plan last: a directory with a plan is whole.
// It refuses a directory that exists. An empty plan.Experiment is filled with the hash of experiment.
func Create(root string, plan Plan, env Environment, experiment []byte) (*Run, error) {
	plan.Schema, env.Schema = Schema, Schema
	if plan.Experiment == "" {
		plan.Experiment = Hash(experiment)
	}
	if err := checkPlan(&plan, experiment); err != nil {
		return nil, fmt.Errorf("creating a run: %w", err)
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, fmt.Errorf("creating a run: %w", err)
	}
	dir := filepath.Join(root, plan.ID)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("creating a run: %w", err)
	}
	if err := fill(dir, root, &plan, &env, experiment); err != nil {
		// Nothing was recorded yet: a directory without a plan would only be in the way.
		return nil, errors.Join(fmt.Errorf("creating the run %s: %w", plan.ID, err), os.RemoveAll(dir))
	}
	return newRun(dir, plan, env, experiment), nil
}

func fill(dir, root string, plan *Plan, env *Environment, experiment []byte) error {
	if err := os.Mkdir(filepath.Join(dir, LogsDir), 0o755); err != nil {
		return err
	}
	for _, name := range []string{TrialsFile, ExclusionsFile, SittingsFile, SightingsFile} {
		if err := writeNew(filepath.Join(dir, name), nil); err != nil {
			return err
		}
	}
	if err := writeNew(filepath.Join(dir, ExperimentFile), experiment); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(dir, EnvironmentFile), env); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(dir, PlanFile), plan); err != nil {
		return err
	}
	return syncDir(root)
}

// Open reads a run directory. It changes nothing, so a run that is being written may be opened beside its writer.
func Open(dir string) (*Run, error) {
	var plan Plan
	if err := readJSON(filepath.Join(dir, PlanFile), &plan); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s is not a run directory: %w", dir, err)
		}
		return nil, err
	}
	var env Environment
	if err := readJSON(filepath.Join(dir, EnvironmentFile), &env); err != nil {
		return nil, err
	}
	experiment, err := os.ReadFile(filepath.Join(dir, ExperimentFile))
	if err != nil {
		return nil, err
	}
	if err := errors.Join(checkSchema(PlanFile, plan.Schema), checkSchema(EnvironmentFile, env.Schema)); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if err := checkPlan(&plan, experiment); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return newRun(dir, plan, env, experiment), nil
}

func newRun(dir string, plan Plan, env Environment, experiment []byte) *Run {
	return &Run{
		Dir: dir, Plan: plan, Environment: env, Experiment: experiment,
		trials:     journal{path: filepath.Join(dir, TrialsFile), key: "trial"},
		exclusions: journal{path: filepath.Join(dir, ExclusionsFile), key: "exclusion"},
		sittings:   journal{path: filepath.Join(dir, SittingsFile), key: "sitting"},
		sightings:  journal{path: filepath.Join(dir, SightingsFile), key: "sighting"},
	}
}

// Close lets another process append. The records need no closing: each is on the disk when its Append returned.
func (r *Run) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(r.trials.close(), r.exclusions.close(), r.sittings.close(), r.sightings.close())
}

// Hash is the SHA-256 of data in hexadecimal, the spelling of every hash in a record.
func Hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func checkPlan(p *Plan, experiment []byte) error {
	if p.ID == "" || p.ID != filepath.Base(p.ID) || p.ID[0] == '.' {
		return fmt.Errorf("the run's ID %q cannot name a directory", p.ID)
	}
	if got := Hash(experiment); got != p.Experiment {
		return fmt.Errorf("%s has hash %.12s, the plan was made for %.12s", ExperimentFile, got, p.Experiment)
	}
	seen := make(map[string]bool, len(p.Trials))
	for _, t := range p.Trials {
		if t.ID == "" || seen[t.ID] {
			return fmt.Errorf("the plan has the trial ID %q twice or empty", t.ID)
		}
		seen[t.ID] = true
	}
	return nil
}

func readJSON(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}

func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding %s: %w", path, err)
	}
	return writeNew(path, append(data, '\n'))
}

// writeNew writes a file that must not exist yet so that after a crash it is whole or absent: temporary file, sync, rename, sync
// of the directory. The caller made the directory itself, so nobody else creates path between the look and the rename.
func writeNew(path string, data []byte) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s: %w", path, fs.ErrExist)
	}
	temporary := path + ".tmp"
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return full(path, err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return full(path, errors.Join(err, os.Remove(temporary)))
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
