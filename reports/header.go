package reports

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"crossroads/reports/quantity"
	"crossroads/results"
)

// mostInvalid is the share of trials that the instrument may spoil before the run is degraded, and half is where it is invalid.
const mostInvalid = 0.10

// economical pacing sleeps through due times: its trials are evidence on throughput and CPU and never on response times.
const economical = "native/economical"

func (b *book) header() Header {
	h := Header{ID: b.Plan.ID, Name: b.Plan.Name, Quick: b.Plan.KeptAlive, Warnings: slices.Clone(b.Environment.Warnings)}
	for _, w := range b.Warnings {
		h.Warnings = append(h.Warnings, w.String())
	}
	if b.Environment.Dirty {
		h.Warnings = append(h.Warnings, "the source had changes that were not committed: the commit does not say what was measured")
	}
	for _, g := range results.Gaps(b.Sittings, b.Trials) {
		text := fmt.Sprintf("resumed: nobody worked on the run for %s, from %s to %s", pause(g.To.Sub(g.From)), stamp(g.From), stamp(g.To))
		if g.After != "" {
			text += ", after trial " + g.After
		}
		h.Warnings = append(h.Warnings, text)
	}
	if n := len(b.faults()); n > 0 {
		h.Warnings = append(h.Warnings, fmt.Sprintf("%s declared in every trial: latency, CPU and errors include their effects", plural(n, "fault")))
	}
	h.Warnings = append(h.Warnings, b.unlikeInTLS()...)
	h.Status, h.Reasons = b.judge()
	h.Verdict = verdicts[h.Status]
	h.Facts, h.Summary = b.facts(), b.summary()
	return h
}

var verdicts = map[Status]string{
	Valid:    "The run can be believed as it stands.",
	Degraded: "The run can be read, with the reservations below.",
	Invalid:  "The run is no evidence: the instrument or the target failed where it counts.",
	Partial:  "This is a part of a run. It gives no verdict.",
}

// judge is the state of the run: rules over outcomes, none of which looks at a latency.
func (b *book) judge() (Status, []string) {
	n := b.outcomes()
	fatal, reservations := b.fatal(n), b.reservations(n)
	missing := results.Missing(b.Plan, b.Trials, b.Exclusions)
	switch {
	case len(missing) > 0:
		part := fmt.Sprintf("%s of %s planned trials are missing", quantity.Count(len(missing)), quantity.Count(len(b.Plan.Trials)))
		return Partial, slices.Concat([]string{part}, fatal, reservations)
	case len(fatal) > 0:
		return Invalid, slices.Concat(fatal, reservations)
	case len(reservations) > 0:
		return Degraded, reservations
	}
	return Valid, nil
}

func (b *book) outcomes() map[results.Outcome]int {
	n := map[results.Outcome]int{}
	for _, t := range b.Trials {
		n[t.Outcome]++
	}
	return n
}

func (b *book) fatal(n map[results.Outcome]int) (reasons []string) {
	if all := len(b.Trials); 2*n[results.Invalid] > all {
		reasons = append(reasons, fmt.Sprintf("%s trials are invalid, more than half%s", of(n[results.Invalid], all), b.invalidity()))
	}
	if b.direct >= 0 && len(b.ref(b.direct).with(results.Valid)) == 0 {
		reasons = append(reasons, fmt.Sprintf("direct has no valid trial at %s: nothing can be held against it", quantity.Rate(b.refRate)))
	}
	return reasons
}

func (b *book) reservations(n map[results.Outcome]int) (reasons []string) {
	all := len(b.Trials)
	if k := n[results.Failed]; k > 0 {
		reasons = append(reasons, fmt.Sprintf("%s trials failed: a process of the target ended, or was never ready", of(k, all)))
	}
	if k := n[results.Invalid]; float64(k) > mostInvalid*float64(all) && 2*k <= all {
		reasons = append(reasons, fmt.Sprintf("%s trials are invalid and excluded%s", of(k, all), b.invalidity()))
	}
	if k := len(b.Exclusions); k > 0 {
		reasons = append(reasons, "parity kept out "+list(b.excluded()))
	}
	if b.direct < 0 {
		reasons = append(reasons, "no direct arm: overheads cannot be given")
	}
	if b.Plan.Rounds < enough {
		reasons = append(reasons, fmt.Sprintf("%s: no interval can be given below %d", plural(b.Plan.Rounds, "round"), enough))
	}
	for arm := range b.Plan.Arms {
		valid := len(b.ref(arm).with(results.Valid))
		if b.Plan.Rounds >= enough && valid < enough && !(arm == b.direct && valid == 0) {
			reasons = append(reasons, fmt.Sprintf("%s has %s at %s: too few for an interval",
				b.name(arm), plural(valid, "valid trial"), quantity.Rate(b.refRate)))
		}
	}
	if b.paced(economical) {
		reasons = append(reasons, "the driver paced economically: no evidence on response times")
	}
	if b.Plan.KeptAlive {
		reasons = append(reasons, "quick look, not evidence: processes were kept alive over rounds")
	}
	return reasons
}

// invalidity names the rules that made trials invalid, the most frequent first: ": on time (12), steal (3)".
func (b *book) invalidity() string {
	count := map[string]int{}
	for _, t := range b.Trials {
		if t.Outcome == results.Invalid {
			for _, r := range t.Reasons {
				count[r.Rule]++
			}
		}
	}
	rules := sortedKeys(count)
	slices.SortStableFunc(rules, func(x, y string) int { return count[y] - count[x] })
	for i, r := range rules {
		rules[i] = fmt.Sprintf("%s (%s)", r, quantity.Count(count[r]))
	}
	if len(rules) == 0 {
		return ""
	}
	return "; rules: " + list(rules)
}

// excluded names the arms that parity kept out, and of how many rounds.
func (b *book) excluded() []string {
	var all []string
	for _, a := range b.Plan.Arms {
		rounds := map[int]bool{}
		for _, e := range b.Exclusions {
			if e.Arm == a.Name {
				rounds[e.Round] = true
			}
		}
		if len(rounds) > 0 {
			all = append(all, fmt.Sprintf("%s of %s", clean(a.Name), plural(len(rounds), "round")))
		}
	}
	return all
}

func (b *book) paced(by string) bool {
	return slices.ContainsFunc(b.planned(), func(t results.PlannedTrial) bool { return t.Driver == by })
}

func (b *book) facts() []Fact {
	n, e := b.outcomes(), b.Environment
	trials := fmt.Sprintf("%s: %s valid, %s saturated, %s invalid, %s failed", plural(len(b.Trials), "trial"), quantity.Count(n[results.Valid]),
		quantity.Count(n[results.Saturated]), quantity.Count(n[results.Invalid]), quantity.Count(n[results.Failed]))
	return nonEmpty([]Fact{
		{"Measured", trials},
		{"Load", b.load()},
		{"When", b.when()},
		{"Host", join(e.Host, e.CPU, cpus(e.CPUs), memoryText(e.Memory))},
		{"CPUs", e.Placement},
		{"Own configurations", b.ownConfigs()},
		{"Commit", b.commit()},
		{"Seed", fmt.Sprint(b.Plan.Seed)},
	})
}

// ownConfigs names the files of the user's own, in the place of rendered ones.
func (b *book) ownConfigs() string {
	var all []string
	for i, a := range b.Plan.Arms {
		if a.Config != nil {
			all = append(all, fmt.Sprintf("%s by %s, SHA-256 %.12s", b.name(i), clean(a.Config.File), a.Config.SHA256))
		}
	}
	return strings.Join(all, "; ")
}

// summary is the line under the title.
func (b *book) summary() string {
	parts := []string{plural(len(b.Trials), "trial")}
	if t := b.Trials[0].Started; !t.IsZero() {
		parts = append(parts, stamp(t))
	}
	parts = append(parts, join(b.Environment.Host, cpus(b.Environment.CPUs)))
	if c := b.commit(); c != "" {
		parts = append(parts, "commit "+c)
	}
	parts = append(parts, fmt.Sprintf("seed %d", b.Plan.Seed))
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " · ")
}

func (b *book) commit() string {
	c := b.Environment.Commit
	if len(c) > 12 {
		c = c[:12]
	}
	if c != "" && b.Environment.Dirty {
		c += ", with changes"
	}
	return c
}

func (b *book) load() string {
	var rates, conns []string
	if s := b.Plan.Search; s != nil {
		return fmt.Sprintf("rates searched from %s on, %s of each topology", quantity.Rate(s.Start), plural(s.Repeat, "repetition"))
	}
	for _, r := range b.rates {
		rates = append(rates, quantity.Of(r, quantity.PerSecond).Number())
	}
	for _, c := range b.conns {
		conns = append(conns, quantity.Count(c))
	}
	return fmt.Sprintf("%s/s offered over %s connections, %s, compared at %s", strings.Join(rates, ", "), strings.Join(conns, ", "),
		plural(b.Plan.Rounds, "round"), quantity.Rate(b.refRate))
}

// span is from the begin of the first trial to the end of the last.
func (b *book) span() (first, last time.Time) {
	first, last = b.Trials[0].Started, b.Trials[0].Started
	for _, t := range b.Trials {
		if t.Started.Before(first) {
			first = t.Started
		}
		if end := t.Started.Add(time.Duration(t.Elapsed)); end.After(last) {
			last = end
		}
	}
	return first, last
}

func (b *book) when() string {
	first, last := b.span()
	if first.IsZero() {
		return ""
	}
	return fmt.Sprintf("%s, for %s", stamp(first), pause(last.Sub(first)))
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func pause(d time.Duration) string { return d.Round(time.Second).String() }

func of(k, n int) string { return quantity.Count(k) + " of " + quantity.Count(n) }

// plural counts things: 1 round, 6 rounds.
func plural(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return quantity.Count(n) + " " + thing
}

func cpus(n int) string {
	if n == 0 {
		return ""
	}
	return plural(n, "CPU")
}

func memoryText(bytes int64) string {
	if bytes == 0 {
		return ""
	}
	return quantity.Of(float64(bytes)/(1<<20), quantity.MiB).WithUnit()
}

func join(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}

func nonEmpty(facts []Fact) []Fact {
	return slices.DeleteFunc(facts, func(f Fact) bool { return f.Text == "" })
}
