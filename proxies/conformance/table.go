package conformance

import (
	"fmt"
	"io"
	"maps"
	"slices"
)

// Score counts outcomes.
type Score struct{ Cases, Must, MustRight, Right, Strict, Safe int }

// Scores counts by category; "all requests" and "all responses" are the sums.
func Scores(found []Outcome) map[string]Score {
	scores := map[string]Score{}
	for i := range found {
		o := &found[i]
		kind := "requests"
		if o.Response {
			kind = "responses"
		}
		for _, k := range []string{kind + " " + o.Category, "all " + kind} {
			n := scores[k]
			n.Cases++
			n.Must += one(o.Must())
			n.MustRight += one(o.Must() && o.Right)
			n.Right += one(o.Right)
			n.Strict += one(o.Strict)
			n.Safe += one(o.Unsafe == "")
			scores[k] = n
		}
	}
	return scores
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Table writes the scores, and every case that is not as strict as it could be.
func Table(w io.Writer, found []Outcome) error {
	scores := Scores(found)
	fmt.Fprintf(w, "%-28s %6s %10s %8s %8s %8s\n", "", "cases", "MUST", "right", "strict", "safe")
	for _, k := range slices.Sorted(maps.Keys(scores)) {
		n := scores[k]
		fmt.Fprintf(w, "%-28s %6d %6d/%-3d %8d %8d %8d\n", k, n.Cases, n.MustRight, n.Must, n.Right, n.Strict, n.Safe)
	}
	for i := range found {
		if o := &found[i]; !o.Strict {
			fmt.Fprintln(w, o.String())
		}
	}
	_, err := fmt.Fprintln(w)
	return err
}

func (o *Outcome) String() string {
	verdict := "not strict"
	switch {
	case o.Unsafe != "":
		verdict = "UNSAFE: " + o.Unsafe
	case !o.Right:
		verdict = "not right"
	}
	return fmt.Sprintf("%s (%s): %s; %s; %s", o.ID, o.Level, verdict, o.Saw, o.Why)
}
