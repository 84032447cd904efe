package results

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// withFaults is a block of two seconds with a gateway killed from 0.2 s to 0.3 s, ready again at 0.35 s, and a fault that this arm
// has nobody for.
func withFaults(t testing.TB, moments func(i int) Count) Trial {
	v := goodTrial(t)
	ms := int64(time.Millisecond)
	v.Faults = []Fault{
		{Kind: "kill", Text: "kill gateway-1", From: 200 * ms, To: 300 * ms, Next: 1000 * ms,
			Acts: []Act{{Process: "gateway-1", From: 201 * ms, To: 300 * ms, Ready: 350 * ms}}},
		{Kind: "kill", Text: "kill control-1", From: 1000 * ms, To: 1100 * ms, Next: 2000 * ms},
	}
	v.Moments = &Moments{Length: 50 * ms}
	for i := range 40 {
		v.Moments.Series = append(v.Moments.Series, Moment{Count: moments(i)})
	}
	return v
}

func TestFaultsAreKnownToTheJudge(t *testing.T) {
	fine := Count{Due: 100, Done: 100}
	failing := func(from, to int) func(int) Count {
		return func(i int) Count {
			if i >= from && i < to {
				return Count{Due: 100, Done: 60, Errors: 40}
			}
			return fine
		}
	}
	// The fault holds the moments from 4 (200 ms) to 36 (350 ms, and 1.5 s to settle).
	for name, c := range map[string]struct {
		trial   Trial
		change  func(*Trial)
		outcome Outcome
		rules   []string
	}{
		"errors of the fault":               {withFaults(t, failing(4, 37)), nil, Valid, nil},
		"errors before it":                  {withFaults(t, failing(3, 4)), nil, Saturated, []string{RuleAchieved, RuleErrors}},
		"errors long after it":              {withFaults(t, failing(37, 39)), nil, Saturated, []string{RuleAchieved, RuleErrors}},
		"a fault that met nobody":           {withFaults(t, failing(4, 6)), func(v *Trial) { v.Faults[0].Acts = nil; v.Counts.Done, v.Counts.Errors = 900, 100 }, Saturated, []string{RuleAchieved, RuleErrors}},
		"connections busy during it":        {withFaults(t, failing(4, 8)), func(v *Trial) { v.Driver.AllBusy = v.Elapsed / 3; v.Driver.InFlightEnd = 900 }, Valid, nil},
		"declared errors outside":           {withFaults(t, func(int) Count { return Count{Due: 100, Done: 90, Errors: 10, Declared: 10} }), nil, Valid, nil},
		"a fault that could not be done":    {withFaults(t, failing(0, 0)), func(v *Trial) { v.Faults[0].Acts[0].Error = "it had ended" }, Invalid, []string{RuleFaults}},
		"a process that never came back":    {withFaults(t, failing(0, 0)), func(v *Trial) { v.Failure = &Failure{Process: "gateway-1"} }, Failed, []string{RuleAlive}},
		"a process that is never to return": {withFaults(t, failing(4, 40)), func(v *Trial) { v.Faults[0].To, v.Faults[0].Acts[0].To, v.Faults[0].Acts[0].Ready = 2e9, 0, 0 }, Valid, nil},
	} {
		t.Run(name, func(t *testing.T) {
			v := c.trial
			if c.change != nil {
				c.change(&v)
			}
			Judge(&v)
			require.Equal(t, c.outcome, v.Outcome, "%v", v.Reasons)
			require.ElementsMatch(t, c.rules, rules(v.Reasons))
			again := v
			again.Flags = slices.Clone(v.Flags)
			Judge(&again)
			require.Equal(t, v, again, "judging twice changes nothing")
		})
	}
}

func TestATrialThatIsAllFaultSaysSo(t *testing.T) {
	v := withFaults(t, func(int) Count { return Count{Due: 100} })
	v.Faults[0].From, v.Faults[0].To = 0, 2e9
	Judge(&v)
	require.Equal(t, Valid, v.Outcome)
	require.Contains(t, rules(v.Flags), RuleErrors+notAssessed)
	require.Contains(t, rules(v.Flags), RuleSteady+notAssessed)
}
