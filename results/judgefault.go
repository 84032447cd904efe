package results

import (
	"fmt"
	"time"
)

// A trial with declared faults is judged with them known: what fails while a fault lasts, or right after it, says nothing about whether
// the target keeps up. Outside of them the same limits hold as everywhere.

// faultSettle is how long after its end a fault may still be felt: connections are dialled again, and a breaker is shut for a second.
const faultSettle = 1500 * time.Millisecond

// faulted says that a fault was really done to the arm.
func (t *Trial) faulted() bool {
	for i := range t.Faults {
		if t.Faults[i].Done() {
			return true
		}
	}
	return false
}

// undone makes a trial invalid in which a fault could not be done: it is not the trial that was declared.
func undone(t *Trial) []Reason {
	var reasons []Reason
	for _, f := range t.Faults {
		for _, a := range f.Acts {
			if a.Error != "" {
				reasons = append(reasons, Reason{Rule: RuleFaults, Text: fmt.Sprintf("%s could not be done to %s: %s", f.Text, a.Process, a.Error)})
			}
		}
	}
	return reasons
}

// undisturbed counts the requests due outside of all faults. Planned is zero where nothing of the block lies outside.
func undisturbed(t *Trial) Counts {
	var c Counts
	if t.Moments == nil {
		return c
	}
	for i, m := range t.Moments.Series {
		from := int64(i) * t.Moments.Length
		if !t.disturbed(from, from+t.Moments.Length) {
			c.Planned, c.Done = c.Planned+m.Due, c.Done+m.Done
			c.Errors, c.Declared = c.Errors+m.Errors, c.Declared+m.Declared
		}
	}
	return c
}

func (t *Trial) disturbed(from, to int64) bool {
	for i := range t.Faults {
		if f := &t.Faults[i]; f.Done() && from < f.Over()+int64(faultSettle) && to > f.From {
			return true
		}
	}
	return false
}

// faultFlags says which rules could not be asked because of the faults.
func faultFlags(t *Trial) []Reason {
	if !t.faulted() {
		return nil
	}
	flags := []Reason{unseen(RuleBusy, "faults were injected: whether connections were free, and whether samples piled up, is not told apart from them")}
	if undisturbed(t).Planned == 0 {
		flags = append(flags, unseen(RuleErrors, "no part of the block lies outside of the faults"))
	}
	return flags
}
