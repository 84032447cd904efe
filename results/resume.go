package results

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Missing returns the planned trials that still have to run, in their order: those without a record whose arm is not excluded
// from their round. A failed or invalid trial has a record and is not run again: repeating what went wrong until it looks right
// would be choosing by outcome.
func Missing(plan Plan, trials []Trial, exclusions []Exclusion) []PlannedTrial {
	done := map[string]bool{}
	for _, t := range trials {
		done[t.ID] = true
	}
	type place struct {
		round int
		arm   string
	}
	out := map[place]bool{}
	for _, e := range exclusions {
		out[place{e.Round, e.Arm}] = true
	}
	var missing []PlannedTrial
	for _, p := range plan.Trials {
		if !done[p.ID] && !out[place{p.Round, p.Arm}] {
			missing = append(missing, p)
		}
	}
	return missing
}

// Missing reads the records and returns what is left to run; see the function Missing.
func (r *Run) Missing() ([]PlannedTrial, error) {
	trials, _, err := r.Trials()
	if err != nil {
		return nil, err
	}
	exclusions, _, err := r.Exclusions()
	if err != nil {
		return nil, err
	}
	return Missing(r.Plan, trials, exclusions), nil
}

// Mismatch says why a run cannot be resumed: what is there now is not what it began with.
type Mismatch struct {
	Run         string
	Differences []string
}

func (e *Mismatch) Error() string {
	return fmt.Sprintf("run %s cannot be resumed: %s", e.Run, strings.Join(e.Differences, "; "))
}

// Resumable holds binaries and machine as they are now against those the run began with. The error is a *Mismatch that names each
// difference.
func (r *Run) Resumable(now Environment) error {
	return r.mismatch(append(machineDifference(r.Plan.Machine, now.Machine), binaryDifferences(r.Plan.Binaries, now.Binaries)...))
}

// SamePlan holds a plan made now, from a file that the user named, against the run's own: experiment, trials, binaries and machine
// must be the same; ID and time of making may differ. The error is a *Mismatch that names each difference.
func (r *Run) SamePlan(now Plan) error {
	was := r.Plan
	var d []string
	if was.Experiment != now.Experiment {
		d = append(d, fmt.Sprintf("the experiment changed (hash %.12s, now %.12s)", was.Experiment, now.Experiment))
	}
	if was.Seed != now.Seed {
		d = append(d, fmt.Sprintf("the seed was %d, now %d", was.Seed, now.Seed))
	}
	if was.KeptAlive != now.KeptAlive {
		d = append(d, "processes are kept alive over rounds in one and not in the other")
	}
	if !slices.Equal(was.Trials, now.Trials) {
		d = append(d, trialDifference(was.Trials, now.Trials))
	}
	d = append(d, machineDifference(was.Machine, now.Machine)...)
	return r.mismatch(append(d, binaryDifferences(was.Binaries, now.Binaries)...))
}

func (r *Run) mismatch(differences []string) error {
	if len(differences) == 0 {
		return nil
	}
	return &Mismatch{Run: r.Plan.ID, Differences: differences}
}

func machineDifference(was, now string) []string {
	if was == now {
		return nil
	}
	return []string{fmt.Sprintf("it began on another machine (fingerprint %s, this one is %s)", was, now)}
}

func binaryDifferences(was, now []Binary) []string {
	hashes := func(list []Binary) map[string]string {
		m := map[string]string{}
		for _, b := range list {
			m[b.Name] = b.SHA256
		}
		return m
	}
	a, b := hashes(was), hashes(now)
	names := maps.Clone(a)
	maps.Copy(names, b)
	var d []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		switch {
		case b[name] == "":
			d = append(d, fmt.Sprintf("the binary %s took part and is not here", name))
		case a[name] == "":
			d = append(d, fmt.Sprintf("the binary %s is new", name))
		case a[name] != b[name]:
			d = append(d, fmt.Sprintf("the binary %s was rebuilt (hash %.12s, now %.12s)", name, a[name], b[name]))
		}
	}
	return d
}

func trialDifference(was, now []PlannedTrial) string {
	if len(was) != len(now) {
		return fmt.Sprintf("it plans %d trials, now %d", len(was), len(now))
	}
	for i := range was {
		if was[i] != now[i] {
			return fmt.Sprintf("the plan differs from trial %d on (%s, now %s)", i+1, was[i].ID, now[i].ID)
		}
	}
	return "the plan differs"
}

// Gap is a time at which nobody worked on an unfinished run.
type Gap struct {
	From  time.Time `json:"from"` // where the sitting was killed: the end of its last trial
	To    time.Time `json:"to"`
	After string    `json:"after"` // ID of the last trial before it, "" for none
}

// Gaps returns the pauses between sittings. A run with a gap was resumed, and a report says so.
func Gaps(sittings []Sitting, trials []Trial) []Gap {
	var gaps []Gap
	for i := 1; i < len(sittings); i++ {
		g := Gap{From: sittings[i-1].Stopped, To: sittings[i].Started}
		last := sittings[i-1].Started
		for _, t := range trials {
			if end := t.Started.Add(time.Duration(t.Elapsed)); t.Started.Before(g.To) && !end.Before(last) {
				last, g.After = end, t.ID
			}
		}
		if g.From.IsZero() {
			g.From = last
		}
		gaps = append(gaps, g)
	}
	return gaps
}
