package ci

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"crossroads/results"
)

// Audit goes through records for what does not agree with itself: histograms that do not decode or do not hold what was counted, and
// outcomes that the evidence in the record does not give. It returns a line for each, and how many things it looked at.
func Audit(trials []results.Trial) (looked int, faults []string) {
	for i := range trials {
		t := &trials[i]
		fault := func(format string, args ...any) {
			faults = append(faults, fmt.Sprintf("trial %s: %s", t.ID, fmt.Sprintf(format, args...)))
		}
		for _, name := range slices.Sorted(maps.Keys(t.Times)) {
			looked++
			if _, err := t.Times[name].Decode(); err != nil {
				fault("%s times: %v", name, err)
			}
		}
		if len(t.Times) > 0 {
			for name, want := range map[string]int64{
				results.Response: t.Counts.Done, results.Service: t.Counts.Done, results.WaitTime: t.Counts.Done, results.Slip: t.Counts.Done + t.Counts.Errors,
			} {
				looked++
				if got := t.Times[name].Count; got != want {
					fault("%d %s times for %d requests", got, name, want)
				}
			}
		}
		again := *t
		again.Flags = slices.Clone(t.Flags)
		results.Judge(&again)
		looked++
		if again.Outcome != t.Outcome || !reflect.DeepEqual(again.Reasons, t.Reasons) {
			fault("it is recorded as %s, its evidence says %s", t.Outcome, again.Outcome)
		}
	}
	slices.Sort(faults)
	return looked, faults
}

// Diff compares a document as it is stored with what is computed now, number by number. It returns how many numbers the two have in
// common places, and a line for every place in which they differ.
func Diff(stored []byte, computed any) (numbers int, differences []string, err error) {
	var was, is any
	if err := json.Unmarshal(stored, &was); err != nil {
		return 0, nil, fmt.Errorf("reading the stored document: %w", err)
	}
	now, err := json.Marshal(computed)
	if err != nil {
		return 0, nil, fmt.Errorf("writing the computed document: %w", err)
	}
	if err := json.Unmarshal(now, &is); err != nil {
		return 0, nil, fmt.Errorf("reading the computed document: %w", err)
	}
	d := differ{}
	d.compare("$", was, is)
	return d.numbers, d.found, nil
}

type differ struct {
	numbers int
	found   []string
}

func (d *differ) compare(at string, was, is any) {
	switch w := was.(type) {
	case map[string]any:
		if i, same := is.(map[string]any); same {
			keys := maps.Clone(w)
			maps.Copy(keys, i)
			for _, key := range slices.Sorted(maps.Keys(keys)) {
				d.compare(at+"."+key, w[key], i[key])
			}
			return
		}
	case []any:
		if i, same := is.([]any); same && len(w) == len(i) {
			for n := range w {
				d.compare(fmt.Sprintf("%s[%d]", at, n), w[n], i[n])
			}
			return
		}
	case float64:
		if i, same := is.(float64); same {
			d.numbers++
			if w == i {
				return
			}
		}
	}
	if !reflect.DeepEqual(was, is) {
		d.found = append(d.found, fmt.Sprintf("%s: stored %s, computed %s", at, short(was), short(is)))
	}
}

// short keeps a value on a line.
func short(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	if len(text) > 80 {
		return string(text[:77]) + "..."
	}
	return string(text)
}
