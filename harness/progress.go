package harness

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"crossroads/results"
)

// Progress is told what runs, how far, and what came of it. It writes to stderr only.
type Progress interface {
	Begin(plan results.Plan, missing []results.PlannedTrial)
	Deploy(t results.PlannedTrial) // an arm is being brought up
	Start(t results.PlannedTrial)
	Done(t results.Trial)
	Note(text string) // something a reader must not miss
	End()
}

// NewProgress chooses by style: bar (for a terminal), lines, or json.
func NewProgress(style string, w io.Writer) (Progress, error) {
	switch style {
	case "bar":
		return &bar{w: w}, nil
	case "lines":
		return &lines{w: w}, nil
	case "json":
		return &jsonLines{encoder: json.NewEncoder(w)}, nil
	}
	return nil, fmt.Errorf("unknown progress %q: choose bar, lines or json", style)
}

// remaining estimates the time for the trials that are left.
func remaining(p results.Plan, trials []results.PlannedTrial) time.Duration {
	p.Trials = trials
	return Length(p).Round(time.Second)
}

// lines writes one line a trial.
type lines struct {
	w       io.Writer
	plan    results.Plan
	missing []results.PlannedTrial
	done    int
}

func (l *lines) Begin(plan results.Plan, missing []results.PlannedTrial) {
	l.plan, l.missing = plan, missing
	fmt.Fprintf(l.w, "run %s: %d of %d trials to run, about %s\n", plan.ID, len(missing), len(plan.Trials), remaining(plan, missing))
}

func (l *lines) Deploy(results.PlannedTrial) {}
func (l *lines) Start(results.PlannedTrial)  {}

func (l *lines) Done(t results.Trial) {
	l.done++
	left := remaining(l.plan, l.missing[min(l.done, len(l.missing)):])
	fmt.Fprintf(l.w, "%3d/%d  round %d  %-14s %6g/s  %s  %s left\n", l.done, len(l.missing), t.Round, t.Arm, t.Rate, describeOutcome(t), left)
}

func (l *lines) Note(text string) { fmt.Fprintln(l.w, "note:", text) }
func (l *lines) End()             {}

// describeOutcome is one line on what became of a trial.
func describeOutcome(t results.Trial) string {
	text := string(t.Outcome)
	if t.Failure != nil {
		return text + ": " + t.Failure.Process + ": " + t.Failure.Reason
	}
	if len(t.Reasons) > 0 {
		return text + ": " + t.Reasons[0].Text
	}
	h, err := t.Times[results.Response].Decode()
	if err != nil || h.TotalCount() == 0 {
		return text
	}
	return fmt.Sprintf("%s  p50 %s  p99 %s", text, tidy(h.ValueAtQuantile(50)), tidy(h.ValueAtQuantile(99)))
}

func tidy(ns int64) time.Duration { return time.Duration(ns).Round(10 * time.Microsecond) }
