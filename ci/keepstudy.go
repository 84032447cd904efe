package ci

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

// StudyOf examines a collection, by the rules and the changes that are kept in its directory.
func StudyOf(run *results.Run) (Study, error) {
	trials, _, err := run.Trials()
	if err != nil {
		return Study{}, err
	}
	return studyOf(run, trials, Resamples, run.Plan.Seed)
}

func studyOf(run *results.Run, trials []results.Trial, resamples int, seed uint64) (Study, error) {
	rules, err := LoadRules(filepath.Join(run.Dir, RulesFile))
	if err != nil {
		return Study{}, err
	}
	var injected []Injected
	text, err := os.ReadFile(filepath.Join(run.Dir, InjectedFile))
	if err == nil {
		err = json.Unmarshal(text, &injected)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Study{}, fmt.Errorf("reading which changes were injected: %w", err)
	}
	return rules.Examine(run.Plan.Name, trials, injected, resamples, seed), nil
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
	again, err := studyOf(run, trials, kept.Resamples, kept.Seed)
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
