package results

import "fmt"

// Kinds of warnings about a run's records.
const (
	Torn      = "torn"      // the last line was cut short: a crash while it was written; nothing that had finished is lost
	Corrupt   = "corrupt"   // a line in the middle does not verify: a record is lost
	Duplicate = "duplicate" // a trial was recorded more than once; the last attempt counts
	Unplanned = "unplanned" // a record of a trial that the plan does not know; it is left out
)

// Warning is something that a reader of a run must be shown. Warnings are data: they travel with the records into every report.
type Warning struct {
	Kind string `json:"kind"`
	File string `json:"file"`
	Line int    `json:"line,omitempty"` // from 1; 0: the file as a whole
	Text string `json:"text"`
}

func (w Warning) String() string {
	if w.Line == 0 {
		return fmt.Sprintf("%s: %s", w.File, w.Text)
	}
	return fmt.Sprintf("%s:%d: %s", w.File, w.Line, w.Text)
}

// NewerSchema refuses a record that a later version of this code wrote.
type NewerSchema struct {
	What string
	Has  int
}

func (e *NewerSchema) Error() string {
	return fmt.Sprintf("%s has schema %d, this version reads up to %d: use a newer crossroads", e.What, e.Has, Schema)
}

func checkSchema(what string, has int) error {
	if has > Schema {
		return &NewerSchema{What: what, Has: has}
	}
	if has < 1 {
		return fmt.Errorf("%s has no schema version", what)
	}
	return nil
}
