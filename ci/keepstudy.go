package ci

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"crossroads/results"
)

// InjectedFile stands in the directory of a self-test's collection and says which blinded name carries which change.
const InjectedFile = "injected.json"

// StudyPath is where the study of a collection stands: beside its directory, because every sitting computes it anew and nothing
// inside a run directory is overwritten.
func StudyPath(dir string) string { return filepath.Clean(dir) + ".study.json" }

// WriteStudy puts a study beside its collection.
func WriteStudy(dir string, s Study) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the study down: %w", err)
	}
	if err := os.WriteFile(StudyPath(dir), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing the study down: %w", err)
	}
	return nil
}

// IsSelfTest says whether a run is the collection of a self-test: it has rules, and nothing to judge by them.
func IsSelfTest(run *results.Run) bool {
	if _, err := os.Stat(filepath.Join(run.Dir, RulesFile)); err != nil {
		return false
	}
	return !slices.ContainsFunc(run.Plan.Arms, func(a results.ArmInfo) bool { return a.Name == Candidate })
}

// StudyOf examines one or more collections that were made by the same rules and programs on the same machine, by the changes that are
// kept in each directory.
func StudyOf(first *results.Run, more ...*results.Run) (Study, error) {
	trials, _, err := first.Trials()
	if err != nil {
		return Study{}, err
	}
	return studyOf(first, trials, more, Resamples, first.Plan.Seed)
}

// studyOf is StudyOf with the first collection's records, which whoever verifies has read already.
func studyOf(first *results.Run, trials []results.Trial, more []*results.Run, resamples int, seed uint64) (Study, error) {
	c := &collected{}
	if err := c.add(first, filepath.Base(first.Dir), trials); err != nil {
		return Study{}, fmt.Errorf("collection %s: %w", first.Dir, err)
	}
	for _, run := range more {
		name, err := filepath.Rel(filepath.Dir(first.Dir), run.Dir)
		if err == nil {
			trials, _, err = run.Trials()
		}
		if err == nil {
			err = c.add(run, name, trials)
		}
		if err != nil {
			return Study{}, fmt.Errorf("collection %s: %w", run.Dir, err)
		}
	}
	study := c.rules.Examine(c.plan.Name, c.trials, c.injected, resamples, seed)
	study.Collections = c.names
	return study, nil
}

// collected is what several collections hold together.
type collected struct {
	names    []string
	plan     results.Plan // of the first
	rules    *Rules
	injected []Injected
	trials   []results.Trial
}

// apart is by how much the rounds of two collections are told apart.
const apart = 1_000_000

func (c *collected) add(run *results.Run, name string, trials []results.Trial) error {
	rules, err := LoadRules(filepath.Join(run.Dir, RulesFile))
	if err != nil {
		return err
	}
	rules.Budget = 0 // of a sitting, and no rule for a verdict
	injected, err := ReadInjected(run.Dir)
	if err != nil {
		return err
	}
	arms := map[string]string{}
	if c.rules == nil {
		c.plan, c.rules, c.injected = run.Plan, rules, injected
	} else if arms, err = c.alike(run.Plan, rules, injected); err != nil {
		return err
	}
	for _, t := range trials {
		if name, renamed := arms[t.Arm]; renamed {
			t.Arm = name
		}
		t.Round += apart * len(c.names)
		c.trials = append(c.trials, t)
	}
	c.names = append(c.names, filepath.ToSlash(name))
	return nil
}

// alike says which blinded names of another collection stand for which of the first, or why the two do not go together.
func (c *collected) alike(p results.Plan, rules *Rules, injected []Injected) (arms map[string]string, err error) {
	switch {
	case !reflect.DeepEqual(rules, c.rules):
		return nil, errors.New("it was made by other rules")
	case p.Machine != c.plan.Machine || p.Experiment != c.plan.Experiment || !reflect.DeepEqual(p.Binaries, c.plan.Binaries):
		return nil, errors.New("it was made with other programs, on another machine or of another experiment")
	}
	arms = map[string]string{}
	for _, i := range injected {
		at := slices.IndexFunc(c.injected, func(f Injected) bool { return f.Metric == i.Metric && f.Size == i.Size })
		if at < 0 {
			return nil, fmt.Errorf("the change of %s by %s is not in the first collection", i.Metric, i.Size)
		}
		arms[i.Arm] = c.injected[at].Arm
	}
	return arms, nil
}

// ReadInjected reads which changes are injected in a collection; none where they were not sized yet.
func ReadInjected(dir string) ([]Injected, error) {
	var injected []Injected
	text, err := os.ReadFile(filepath.Join(dir, InjectedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &injected)
	}
	if err != nil {
		return nil, fmt.Errorf("reading which changes are injected: %w", err)
	}
	return injected, nil
}

// RecheckStudy computes the study that stands beside a collection again, from its rules and all its pairs. It returns how many numbers
// were compared and a line for everything that differs; numbers is 0 where no study stands there.
func RecheckStudy(run *results.Run, trials []results.Trial) (numbers int, differences []string, err error) {
	stored, err := os.ReadFile(StudyPath(run.Dir))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, err
	}
	var kept Study
	if err := json.Unmarshal(stored, &kept); err != nil {
		return 0, nil, fmt.Errorf("reading %s: %w", StudyPath(run.Dir), err)
	}
	again, err := restudy(run, trials, kept)
	if err != nil {
		return 0, nil, err
	}
	numbers, differences, err = Diff(stored, again)
	if err != nil {
		return numbers, differences, fmt.Errorf("%s: %w", StudyPath(run.Dir), err)
	}
	for i := range differences {
		differences[i] = filepath.Base(StudyPath(run.Dir)) + " " + differences[i]
	}
	return numbers, differences, nil
}

// restudy examines a collection, and those beside it that a study was made from with it.
func restudy(run *results.Run, trials []results.Trial, kept Study) (Study, error) {
	var more []*results.Run
	for _, name := range kept.Collections[min(1, len(kept.Collections)):] {
		other, err := results.Open(filepath.Join(filepath.Dir(filepath.Clean(run.Dir)), filepath.FromSlash(name)))
		if err != nil {
			return Study{}, err
		}
		defer other.Close()
		more = append(more, other)
	}
	return studyOf(run, trials, more, kept.Resamples, kept.Seed)
}
