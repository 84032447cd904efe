package reports

import (
	"fmt"
	"strings"

	"crossroads/reports/quantity"
)

// marginFault is how many per cent of requests a fault must reach, or save, to be worth a sentence.
const marginFault = 1.0

// blastFinding says how far the loss of one proxy reaches, in each topology that was seen to lose one.
func (b *book) blastFinding() (Finding, bool) {
	f := Finding{Rule: "blast radius"}
	margin := quantity.Of(marginFault, quantity.Percent)
	var reached, same, blind []string
	for arm := range b.Plan.Arms {
		fault := b.onlyProxy(arm)
		if fault < 0 {
			continue
		}
		q := b.ref(arm).level(affected(fault), quantity.Percent)
		if !q.Known() {
			continue
		}
		f.Evidence = append(f.Evidence, Evidence{b.name(arm), "requests affected", q, margin})
		words := fmt.Sprintf("%s (%s)", b.name(arm), b.faults()[fault].Text)
		switch {
		case q.Interval == nil:
			blind = append(blind, fmt.Sprintf("%s of requests in %s", q.WithUnit(), words))
		case q.Excludes(marginFault):
			reached = append(reached, fmt.Sprintf("%s of requests in %s", q.Text(), words))
		default:
			same = append(same, words)
		}
	}
	f.Shown = len(reached) > 0
	var parts []string
	if f.Shown {
		parts = append(parts, "While one proxy is away, affected are "+list(reached))
	}
	if len(same) > 0 {
		parts = append(parts, "No effect of losing one proxy shown in "+list(same))
	}
	if len(blind) > 0 {
		parts = append(parts, "Seen without an interval while one proxy was away: "+list(blind))
	}
	f.Text = sentence(strings.Join(parts, ". "))
	return f, len(parts) > 0
}

// failingFinding says whether an arrangement keeps requests from a replica that fails, beside direct.
func (b *book) failingFinding() (Finding, bool) {
	f := Finding{Rule: "one replica failing"}
	fault := b.failingReplica()
	if fault < 0 || b.direct < 0 {
		return f, false
	}
	level := b.ref(b.direct).level(success(fault), quantity.Percent)
	if !level.Known() {
		return f, false
	}
	margin := quantity.Of(marginFault, quantity.Percent)
	var better, worse, same []string
	blind := 0
	for _, arm := range b.others() {
		q := difference(b.ref(arm), b.ref(b.direct), success(fault), quantity.Percent)
		if !q.Known() {
			continue
		}
		f.Evidence = append(f.Evidence, Evidence{b.name(arm), "success", q, margin})
		own := b.ref(arm).level(success(fault), quantity.Percent)
		switch {
		case q.Interval == nil:
			blind++
		case !q.Excludes(marginFault):
			same = append(same, b.name(arm))
		case q.Value > 0:
			better = append(better, fmt.Sprintf("%s in %s", own.Text(), b.name(arm)))
		default:
			worse = append(worse, fmt.Sprintf("%s in %s", own.Text(), b.name(arm)))
		}
	}
	if len(better)+len(worse)+len(same)+blind == 0 {
		return f, false
	}
	f.Shown = len(better)+len(worse) > 0
	parts := []string{fmt.Sprintf("With one replica failing (%s), %s of requests succeed in direct", b.faults()[fault].Text, level.Text())}
	if f.Shown {
		parts[0] += ", " + list(append(better, worse...))
	}
	if len(same) > 0 {
		parts = append(parts, "No difference in success shown between direct and "+list(same))
	}
	if blind > 0 {
		parts = append(parts, fmt.Sprintf("What %s change cannot be told: no interval", plural(blind, "other arm")))
	}
	f.Text = sentence(strings.Join(parts, ". "))
	return f, true
}

// blastCaption is the take-away of the figure.
func (b *book) blastCaption() string {
	var parts []string
	for i, f := range b.faults() {
		var reached []string
		for arm := range b.Plan.Arms {
			if b.ref(arm).met(i) == "" {
				continue
			}
			if q := b.ref(arm).level(affected(i), quantity.Percent); q.Known() {
				reached = append(reached, fmt.Sprintf("%s in %s", q.WithUnit(), b.name(arm)))
			}
		}
		if len(reached) > 0 {
			parts = append(parts, fmt.Sprintf("%d (%s): %s", i+1, f.Text, list(reached)))
		}
	}
	if len(parts) == 0 {
		return "No valid trial says what the faults did."
	}
	return sentence("Requests affected while each fault lasted: " + strings.Join(parts, "; "))
}
