// Package ci says whether to worry: it holds the records of a duet, two versions loaded at the same time, against rules that were
// written down beforehand, and answers pass, fail or inconclusive.
//
// Its one invariant: absent data never passes. The zero value of a verdict is inconclusive, and only evidence moves it. A decision is
// a pure function of rules, plan and records, whatever the order in which the records are handed over and however often it is asked.
//
// The way of a decision through the files: rules.go reads gates.yaml; pairs.go puts the trials of a round side by side and drops
// those that are no evidence; decide.go looks at the pairs at the declared looks; junit.go and summary.go write the answer down. It
// loads nothing, measures nothing (package harness does) and never judges a single trial (results.Judge did).
package ci

import "fmt"

// Verdict is the answer of a gate.
type Verdict uint8

// The verdicts. What has not been decided is Inconclusive.
const (
	Inconclusive Verdict = iota
	Pass
	Fail
)

var verdictNames = [...]string{Inconclusive: "inconclusive", Pass: "pass", Fail: "fail"}

func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return verdictNames[Inconclusive]
}

// MarshalText spells the verdict for records.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads it again.
func (v *Verdict) UnmarshalText(text []byte) error {
	for i, name := range verdictNames {
		if string(text) == name {
			*v = Verdict(i)
			return nil
		}
	}
	return fmt.Errorf("no verdict is called %q", text)
}

// Overall is the verdict over several: one failure fails, and only where every one of them passed do all of them. Of none it is
// Inconclusive.
func Overall(all ...Verdict) Verdict {
	passed := 0
	for _, v := range all {
		switch v {
		case Fail:
			return Fail
		case Pass:
			passed++
		}
	}
	if passed == 0 || passed < len(all) {
		return Inconclusive
	}
	return Pass
}
