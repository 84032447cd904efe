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

// Kept is a decision as it stands beside the records of its duet, with the last round it rests on.
type Kept struct {
	Round    int      `json:"round"`
	Decision Decision `json:"decision"`
}

// decisionFile names the decision that rests on the rounds up to one. A duet that is resumed decides again, on more rounds, and
// keeps both: nothing in a run directory is overwritten.
func decisionFile(dir string, round int) string {
	return filepath.Join(dir, fmt.Sprintf("decision-%03d.json", round))
}

// WriteDecision puts a decision beside the records.
func WriteDecision(run *results.Run, d Decision) error {
	trials, _, err := run.Trials()
	if err != nil {
		return err
	}
	k := Kept{Decision: d}
	for _, t := range trials {
		k.Round = max(k.Round, t.Round)
	}
	text, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the decision down: %w", err)
	}
	text = append(text, '\n')
	f, err := os.OpenFile(decisionFile(run.Dir, k.Round), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil // these rounds were decided before; whether they still say so is for Recheck to find out
	}
	if err != nil {
		return fmt.Errorf("writing the decision down: %w", err)
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// Recheck computes every kept decision of a duet again, from the rules and the rounds it rested on. It returns how many numbers agree
// and a line for everything that does not; numbers is 0 where the run is no duet or was never decided.
func Recheck(run *results.Run, trials []results.Trial) (numbers int, differences []string, err error) {
	rules, err := LoadRules(filepath.Join(run.Dir, RulesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, err
	}
	files, err := filepath.Glob(filepath.Join(run.Dir, "decision-*.json"))
	if err != nil {
		return 0, nil, err
	}
	slices.Sort(files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return numbers, differences, err
		}
		var kept Kept
		if err := json.Unmarshal(text, &kept); err != nil {
			return numbers, differences, fmt.Errorf("reading %s: %w", file, err)
		}
		again := Kept{Round: kept.Round, Decision: rules.Decide(run.Plan.Name, run.Plan, upTo(trials, kept.Round))}
		again.Decision.Stopped = kept.Decision.Stopped
		n, found, err := Diff(text, again)
		if err != nil {
			return numbers, differences, fmt.Errorf("%s: %w", file, err)
		}
		numbers += n
		for _, f := range found {
			differences = append(differences, filepath.Base(file)+" "+f)
		}
	}
	return numbers, differences, nil
}

func upTo(trials []results.Trial, round int) []results.Trial {
	var first []results.Trial
	for _, t := range trials {
		if t.Round <= round {
			first = append(first, t)
		}
	}
	return first
}
