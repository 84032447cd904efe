package harness

import (
	"encoding/json"

	"crossroads/results"
)

// jsonLines writes one JSON object an event.
type jsonLines struct{ encoder *json.Encoder }

type event struct {
	Event string                `json:"event"`
	Trial *results.PlannedTrial `json:"trial,omitempty"`
	Run   string                `json:"run,omitempty"`
	Left  int                   `json:"trials_left,omitempty"`
	Time  string                `json:"time_left,omitempty"`
	Out   results.Outcome       `json:"outcome,omitempty"`
	Why   []results.Reason      `json:"reasons,omitempty"`
	Text  string                `json:"text,omitempty"`
}

// write drops its error: progress that nobody reads may not end a run.
func (j *jsonLines) write(e event) { _ = j.encoder.Encode(e) }

func (j *jsonLines) Begin(plan results.Plan, missing []results.PlannedTrial) {
	j.write(event{Event: "begin", Run: plan.ID, Left: len(missing), Time: remaining(plan, missing).String()})
}
func (j *jsonLines) Deploy(t results.PlannedTrial) { j.write(event{Event: "deploy", Trial: &t}) }
func (j *jsonLines) Start(t results.PlannedTrial)  { j.write(event{Event: "start", Trial: &t}) }
func (j *jsonLines) Done(t results.Trial) {
	j.write(event{Event: "done", Trial: &t.PlannedTrial, Out: t.Outcome, Why: t.Reasons})
}
func (j *jsonLines) Note(text string) { j.write(event{Event: "note", Text: text}) }
func (j *jsonLines) End()             { j.write(event{Event: "end"}) }
