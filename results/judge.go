package results

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"crossroads/results/stats"
)

// The rules by which a trial is judged. They are fixed before a run and look at evidence only: never at the arm's name, never at
// whether a latency looks good.
const (
	RuleAlive     = "target alive"
	RuleSent      = "sent what was planned"
	RuleOnTime    = "on time"
	RuleDriver    = "driver not the bottleneck"
	RuleSteal     = "machine quiet: steal"
	RuleForeign   = "machine quiet: foreign CPU"
	RuleCalibrate = "machine quiet: calibration"
	RuleAchieved  = "achieved"
	RuleErrors    = "errors"
	RuleBusy      = "connections free"
	RuleGrowing   = "in-flight not growing"
	RuleSteady    = "steady"
	RuleOrigin    = "origin-limited"
	RuleFaults    = "faults as declared"
)

// Their limits.
const (
	minSent          = 0.99
	minSlip50        = 60 * time.Microsecond // or the share below of the response time, whichever is more
	minSlip99        = 500 * time.Microsecond
	slip50Share      = 0.10
	slip99Share      = 0.25
	maxDriverCPU     = 0.80
	maxSteal         = 0.02
	maxForeign       = 0.05
	maxCalibration   = 0.15
	minAchieved      = 0.99
	maxErrors        = 0.001
	maxAllBusy       = 0.05
	maxGrowth        = 0.01 // of the offered rate; what grows faster would miss minAchieved if it went on
	minGrowth        = 8    // samples in flight; fewer are chance
	maxTrendP        = 0.01
	maxOriginUse     = 0.80
	economicalPacing = "native/economical"
)

// Judge sets the trial's outcome, its reasons and the flags that follow from evidence: the first that holds of failed, invalid,
// saturated and valid, with every rule of that kind that did not hold. Flags set by others are kept. Judging twice changes nothing.
//
// Evidence about the instrument that is missing makes the trial invalid; evidence about the machine that could not be seen is
// flagged "not assessed". Economical pacing sleeps through due times by design, so its slips do not invalidate the trial but are
// flagged: it is evidence on throughput and CPU and never on latency (TimeQuantile gives none).
func Judge(t *Trial) {
	t.Flags = slices.DeleteFunc(t.Flags, func(r Reason) bool { return slices.Contains(flagRules, strings.TrimSuffix(r.Rule, notAssessed)) })
	if t.Failure != nil {
		t.Outcome, t.Reasons = Failed, []Reason{failure(t.Failure)}
		return
	}
	invalid, flags := instrument(t)
	t.Flags = slices.Concat(t.Flags, flags, trend(t), origin(t), faultFlags(t))
	if len(t.Flags) == 0 {
		t.Flags = nil // as it is read back from a record
	}
	t.Outcome, t.Reasons = Valid, nil
	if len(invalid) > 0 {
		t.Outcome, t.Reasons = Invalid, invalid
	} else if reasons := saturation(t); len(reasons) > 0 {
		t.Outcome, t.Reasons = Saturated, reasons
	}
}

const notAssessed = ": not assessed"

var flagRules = []string{RuleOnTime, RuleSteal, RuleForeign, RuleCalibrate, RuleSteady, RuleOrigin, RuleErrors, RuleBusy}

func unseen(rule, what string) Reason {
	return Reason{Rule: rule + notAssessed, Text: what}
}

func failure(f *Failure) Reason {
	text := f.Reason
	if f.Process != "" {
		text = f.Process + ": " + text
	}
	return Reason{Rule: RuleAlive, Text: text}
}

// instrument asks whether the instrument was at fault.
func instrument(t *Trial) (invalid, flags []Reason) {
	if t.Counts.Planned <= 0 {
		return []Reason{{Rule: RuleSent, Text: "no sample was planned within the block", Limit: minSent}}, nil
	}
	if sent := share(t.Counts.Ready, t.Counts.Planned); !(sent >= minSent) {
		invalid = append(invalid, Reason{RuleSent, fmt.Sprintf("the driver sent %s of what was planned, at least %s is needed",
			percent(sent), percent(minSent)), sent, minSent})
	}
	slip, err := t.Times[Slip].Decode()
	switch {
	case err != nil || slip.TotalCount() == 0:
		invalid = append(invalid, Reason{Rule: RuleOnTime, Text: "no slip was recorded"})
	case t.PlannedTrial.Driver == economicalPacing:
		flags = append(flags, Reason{Rule: RuleOnTime, Value: float64(Quantile(slip, 0.50)),
			Text: fmt.Sprintf("economical pacing (slip p50 %s): no evidence on latency", scaled(float64(Quantile(slip, 0.50)), nanoseconds))})
	default:
		invalid = append(invalid, lateness(t, slip)...)
	}
	invalid = append(append(invalid, driver(t)...), undone(t)...)
	noisy, blind := noise(t)
	return append(invalid, noisy...), append(flags, blind...)
}

func lateness(t *Trial, slip *hdrhistogram.Histogram) []Reason {
	var at50, at99 int64 // of no response at all: the fixed limits hold
	if response, err := t.Times[Response].Decode(); err == nil {
		at50, at99 = Quantile(response, 0.50), Quantile(response, 0.99)
	}
	var late []Reason
	check := func(name string, q float64, floor time.Duration, part float64, response int64) {
		limit := max(float64(floor), part*float64(response))
		if got := float64(Quantile(slip, q)); got > limit {
			late = append(late, Reason{RuleOnTime, fmt.Sprintf("slip %s is %s, the limit is %s", name, scaled(got, nanoseconds), scaled(limit, nanoseconds)), got, limit})
		}
	}
	check("p50", 0.50, minSlip50, slip50Share, at50)
	check("p99", 0.99, minSlip99, slip99Share, at99)
	return late
}

func driver(t *Trial) []Reason {
	if t.Driver.Given <= 0 {
		return []Reason{{Rule: RuleDriver, Text: "the driver's own CPU was not recorded", Limit: maxDriverCPU}}
	}
	d := t.Driver
	if use := share(d.Working(), d.Given); !(use <= maxDriverCPU) {
		return []Reason{{RuleDriver, fmt.Sprintf("the driver used %s of its CPU, waiting excluded, the limit is %s",
			percent(use), percent(maxDriverCPU)), use, maxDriverCPU}}
	}
	return nil
}

// noise asks whether the machine was quiet. What the machine does not show is flagged.
func noise(t *Trial) (invalid, flags []Reason) {
	h := t.Host
	if h.CPUs > 0 {
		if !(h.Steal <= maxSteal) {
			invalid = append(invalid, Reason{RuleSteal, fmt.Sprintf("the hypervisor took %s of the CPU time, the limit is %s",
				percent(h.Steal), percent(maxSteal)), h.Steal, maxSteal})
		}
		switch {
		case h.Unmetered:
			flags = append(flags, unseen(RuleForeign, "the target is not metered: its CPU time cannot be told from that of others"))
		case !(h.Foreign <= maxForeign):
			invalid = append(invalid, Reason{RuleForeign, fmt.Sprintf("processes that are not ours used %s of the CPU time, the limit is %s",
				percent(h.Foreign), percent(maxForeign)), h.Foreign, maxForeign})
		}
	} else {
		flags = append(flags, unseen(RuleSteal, "the machine shows no steal"), unseen(RuleForeign, "the machine's CPU time was not recorded"))
	}
	before, after := h.CalibrationMS[0], h.CalibrationMS[1]
	if !(before > 0 && after > 0) {
		return invalid, append(flags, unseen(RuleCalibrate, "the calibration loop was not run before and after"))
	}
	if change := max(before, after)/min(before, after) - 1; change > maxCalibration {
		invalid = append(invalid, Reason{RuleCalibrate, fmt.Sprintf("the same loop took %.3g ms before and %.3g ms after, %s apart, the limit is %s",
			before, after, percent(change), percent(maxCalibration)), change, maxCalibration})
	}
	return invalid, flags
}

// saturation asks whether the target kept up.
func saturation(t *Trial) []Reason {
	if t.faulted() {
		return keptUp(undisturbed(t))
	}
	return slices.Concat(keptUp(t.Counts), roomLeft(t))
}

// keptUp asks whether what was due was answered.
func keptUp(c Counts) []Reason {
	var reasons []Reason
	if c.Planned == 0 {
		return nil // all of it lies in faults: faultFlags says so
	}
	// A failure that the application was told to make is an answer.
	if achieved := share(c.Done+c.Declared, c.Planned); !(achieved >= minAchieved) {
		reasons = append(reasons, Reason{RuleAchieved, fmt.Sprintf("%s of what was due was answered, at least %s is needed",
			percent(achieved), percent(minAchieved)), achieved, minAchieved})
	}
	if errors := share(c.Errors-c.Declared, c.Planned); !(errors <= maxErrors) {
		reasons = append(reasons, Reason{RuleErrors, fmt.Sprintf("%s undeclared errors, the limit is %s",
			percent(errors), percent(maxErrors)), errors, maxErrors})
	}
	return reasons
}

// roomLeft asks whether the target's queues were short and stayed so.
func roomLeft(t *Trial) []Reason {
	var reasons []Reason
	c, d := t.Counts, t.Driver
	if t.Elapsed > 0 {
		if busy := share(d.AllBusy, t.Elapsed); busy > maxAllBusy {
			reasons = append(reasons, Reason{RuleBusy, fmt.Sprintf("every connection was busy for %s of the time, the limit is %s",
				percent(busy), percent(maxAllBusy)), busy, maxAllBusy})
		}
	}
	// The centres of the two last quarters are a quarter of the block apart: what piled up between them is what a quarter of the
	// offered samples brought too much.
	growth := float64(d.InFlightEnd - d.InFlightMid)
	if limit := max(minGrowth, maxGrowth*float64(c.Planned)/4); growth > limit {
		reasons = append(reasons, Reason{RuleGrowing, fmt.Sprintf("%d samples in flight in the third quarter, %d in the last: still growing",
			d.InFlightMid, d.InFlightEnd), growth, limit})
	}
	return reasons
}

// trend flags a block whose median response time rose or fell over its windows; nothing is dropped for it.
func trend(t *Trial) []Reason {
	if t.faulted() {
		return []Reason{unseen(RuleSteady, "faults were injected into the block")}
	}
	if len(t.Windows) < Windows {
		return []Reason{unseen(RuleSteady, "the block has no windows")}
	}
	medians := make([]float64, len(t.Windows))
	for i, w := range t.Windows {
		if w.Done == 0 {
			return []Reason{unseen(RuleSteady, fmt.Sprintf("window %d of %d has no success", i+1, len(t.Windows)))}
		}
		medians[i] = float64(w.P50)
	}
	r := stats.MannKendall(medians)
	if r.P >= maxTrendP {
		return nil
	}
	way := "rose"
	if r.S < 0 {
		way = "fell"
	}
	return []Reason{{RuleSteady, fmt.Sprintf("the median response time %s over the block (Mann-Kendall p = %.2g)", way, r.P), r.P, maxTrendP}}
}

// origin flags a block in which the application, not a proxy, was short of CPU: it used most of the CPU time that everything else
// left to it, and more than everything else together. It is asked only where a proxy stands in front.
func origin(t *Trial) []Reason {
	var application, proxies int64
	proxied := false
	for _, u := range t.Usage {
		switch u.Kind {
		case "workload":
			application += u.CPU
		case "gateway", "sidecar":
			proxied = true
			proxies += u.CPU
		}
	}
	all := int64(t.Host.CPUs) * t.Elapsed
	others := t.Host.Busy - application
	if !proxied || all <= 0 || others < 0 || others >= all || application <= proxies+t.Driver.CPU {
		return nil
	}
	use := share(application, all-others)
	if use <= maxOriginUse {
		return nil
	}
	return []Reason{{RuleOrigin, fmt.Sprintf("the application used %s of the CPU time that was left to it: the proxies may look better than they are",
		percent(use)), use, maxOriginUse}}
}

// share is part of whole, NaN of nothing, so that a rule never holds for want of evidence.
func share(part, whole int64) float64 {
	if whole <= 0 {
		return math.NaN()
	}
	return float64(part) / float64(whole)
}

func percent(v float64) string { return three(100*v) + "%" }
