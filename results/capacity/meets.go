package capacity

import (
	"fmt"

	"crossroads/results"
)

// Ask holds one trial against the objectives, and says why. Failed and saturated trials miss them; a trial that is no evidence, or has
// too few samples for an objective, answers nothing.
func Ask(t *results.Trial, objectives []results.Objective) (Answer, string) {
	switch t.Outcome {
	case results.Failed, results.Saturated:
		return Misses, fmt.Sprintf("misses: %s: %s", t.Outcome, t.Reasons[0].Text)
	case results.Valid:
	default:
		return Unknown, "no evidence: " + t.Reasons[0].Text
	}
	for _, o := range objectives {
		v, ok := metric(o).Of(t)
		if !ok {
			return Unknown, "no evidence: too few samples for " + o.Text
		}
		if !o.Holds(v) {
			return Misses, fmt.Sprintf("misses %s: %s", o.Text, metric(o).Format(v))
		}
	}
	return Meets, "meets the objectives"
}

func metric(o results.Objective) results.Metric {
	switch o.Metric {
	case "errors":
		return results.ErrorShare()
	case "achieved":
		return results.Achieved()
	}
	return results.TimeQuantile(results.Response, o.Quantile/100)
}
