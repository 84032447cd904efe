package results

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Append records one trial: when it returns nil the record is on the disk. It sets the schema and, where it is zero, the attempt.
// A trial that the plan does not know (unless it is adaptive), or an attempt that is recorded already, is an error: nothing is overwritten. Call it
// between trials, never while one is measured: it waits for the disk.
func (r *Run) Append(t Trial) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.Schema = Schema
	t.Attempt = max(t.Attempt, 1)
	if !r.Plan.Adaptive && !slices.ContainsFunc(r.Plan.Trials, func(p PlannedTrial) bool { return p.ID == t.ID }) {
		return fmt.Errorf("recording a trial: %q is not in the plan of run %s", t.ID, r.Plan.ID)
	}
	if r.recorded == nil {
		recorded := map[string]int{}
		if _, err := r.readTrials(func(_ int, t Trial) { recorded[t.ID] = max(recorded[t.ID], t.Attempt) }); err != nil {
			return err
		}
		r.recorded = recorded
	}
	if had := r.recorded[t.ID]; t.Attempt <= had {
		return fmt.Errorf("recording trial %s: attempt %d is recorded already", t.ID, had)
	}
	if err := r.trials.append(t); err != nil {
		return fmt.Errorf("recording trial %s: %w", t.ID, err)
	}
	r.recorded[t.ID] = t.Attempt
	return nil
}

// Trials returns the trials recorded so far, in the order in which they ran, each once. Lines that cannot be read, trials that
// were recorded more than once and records without a plan are warnings. A record of a higher schema is an error.
func (r *Run) Trials() ([]Trial, []Warning, error) {
	planned := map[string]bool{}
	for _, p := range r.Plan.Trials {
		planned[p.ID] = true
	}
	var trials []Trial
	var more []Warning
	place := map[string]int{}
	warnings, err := r.readTrials(func(line int, t Trial) {
		at, again := place[t.ID]
		switch {
		case !planned[t.ID] && !r.Plan.Adaptive:
			more = append(more, Warning{Unplanned, TrialsFile, line, fmt.Sprintf("trial %s is not in the plan and is left out", t.ID)})
		case !again:
			place[t.ID] = len(trials)
			trials = append(trials, t)
		default:
			more = append(more, Warning{Duplicate, TrialsFile, line, fmt.Sprintf("trial %s was recorded more than once; attempt %d counts",
				t.ID, max(t.Attempt, trials[at].Attempt))})
			if t.Attempt >= trials[at].Attempt {
				trials[at] = t
			}
		}
	})
	return trials, append(warnings, more...), err
}

func (r *Run) readTrials(each func(line int, t Trial)) ([]Warning, error) {
	return r.trials.read(func(line int, value []byte) error {
		var head struct {
			Schema int `json:"schema"`
		}
		if err := json.Unmarshal(value, &head); err != nil {
			return err
		}
		if err := checkSchema("the trial", head.Schema); err != nil {
			return err
		}
		var t Trial
		if err := json.Unmarshal(value, &t); err != nil {
			return err
		}
		each(line, t)
		return nil
	})
}

// Exclude records that parity kept an arm out of a round.
func (r *Run) Exclude(e Exclusion) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.exclusions.append(e); err != nil {
		return fmt.Errorf("recording that %s is excluded from round %d: %w", e.Arm, e.Round, err)
	}
	return nil
}

// Exclusions returns what parity kept out, in the order in which it was found.
func (r *Run) Exclusions() ([]Exclusion, []Warning, error) {
	var all []Exclusion
	warnings, err := r.exclusions.read(func(_ int, value []byte) error {
		var e Exclusion
		if err := json.Unmarshal(value, &e); err != nil {
			return err
		}
		all = append(all, e)
		return nil
	})
	return all, warnings, err
}

// sittingEvent is one line of the sittings file.
type sittingEvent struct {
	Event  string    `json:"event"` // start, stop
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"` // of a stop
	Cut    int64     `json:"cut_bytes,omitempty"`
}

// Sitting is one time at which a process worked on the run.
type Sitting struct {
	Started time.Time `json:"started"`
	Stopped time.Time `json:"stopped,omitzero"` // zero: it was killed, or still works
	Reason  string    `json:"reason,omitempty"` // why it stopped: finished, interrupted, or an error's text
	Cut     int64     `json:"cut_bytes,omitempty"`
}

// Begin records the start of a sitting and makes this process the run's only writer. It takes a torn last line off the trials, so
// that no later record is glued to it.
func (r *Run) Begin(at time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, j := range []*journal{&r.trials, &r.exclusions, &r.sittings} {
		if err := j.start(); err != nil {
			return fmt.Errorf("beginning to write run %s: %w", r.Plan.ID, err)
		}
	}
	return r.sittings.append(sittingEvent{Event: "start", At: at, Cut: r.trials.cut})
}

// End records that the sitting stopped, and why.
func (r *Run) End(at time.Time, reason string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sittings.append(sittingEvent{Event: "stop", At: at, Reason: reason})
}

// Sittings returns every sitting in order. More than one means that the run was resumed.
func (r *Run) Sittings() ([]Sitting, []Warning, error) {
	var all []Sitting
	warnings, err := r.sittings.read(func(_ int, value []byte) error {
		var e sittingEvent
		if err := json.Unmarshal(value, &e); err != nil {
			return err
		}
		switch n := len(all); {
		case e.Event == "start":
			all = append(all, Sitting{Started: e.At, Cut: e.Cut})
		case n > 0:
			all[n-1].Stopped, all[n-1].Reason = e.At, e.Reason
		}
		return nil
	})
	return all, warnings, err
}
