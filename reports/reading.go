package reports

import (
	"fmt"
	"slices"
	"strings"

	"crossroads/reports/quantity"
	"crossroads/results"
)

// readingSection defines what the numbers are, and says what this machine cannot tell.
func (b *book) readingSection() Section {
	terms := []Fact{
		{"Response time", "from the instant at which a request was due to the last byte of its response. Due times are fixed before the start and never look at responses, so a stall is felt by every request due during it. It is what a user waits, and every time without another name is this one."},
		{"Service time", "from the instant at which a request was written to a free connection to the last byte of its response. It leaves out the wait for a connection."},
		{"Slip", "how late the driver itself took a request up. A trial whose slip is not small beside the response time is invalid."},
		{"p50, p99, p99.9", fmt.Sprintf("quantiles of whole histograms, which are merged over trials and never averaged. A quantile is printed only from %s, %s and %s samples on, where its interval is finite.",
			quantity.Count(minSamples(0.50)), quantity.Count(minSamples(0.99)), quantity.Count(minSamples(0.999)))},
		{"Added", "an arm minus direct in the same round at the same offered rate and with the same due times; the Hodges–Lehmann estimate over rounds."},
		{"Brackets", fmt.Sprintf("95%% intervals by the exact signed-rank test over trials or rounds, never over requests. Below %d there is none, and the report says so. The interval of a merged quantile is widened where needed to hold it.", enough)},
		{"CPU per 1,000 requests", "CPU time of the processes in the measured block, by their own clocks, divided by the answered requests. One millisecond per 1,000 requests is one microsecond per request."},
		{"Memory", "the sum of the peaks of resident memory; pages that processes share are counted in each."},
		{"Outcome of a trial", "the first that holds: failed (a process of the target ended or was never ready; it counts against the target), invalid (the instrument was at fault; excluded, drawn struck through), saturated (the target did not keep up; drawn hollow), valid. The rules are fixed before the run and blind to the arm."},
		{"A finding", fmt.Sprintf("is claimed only where its interval leaves the margin: %s of direct's p50, %s of its p99, %s of its CPU. Otherwise it says that no difference is shown.",
			share(margin50), share(margin99), share(marginCPU))},
		{"What this set-up cannot tell", b.limits()},
	}
	return Section{ID: "reading", Title: "How to read this", Parts: []Part{{Terms: terms}}}
}

func share(v float64) string { return quantity.Of(100*v, quantity.Percent).WithUnit() }

func (b *book) limits() string {
	all := []string{"all processes talk over the loopback interface of one host: there is no network between them, so a hop costs CPU and system calls and no distance"}
	if b.Environment.Placement == "" || strings.HasPrefix(b.Environment.Placement, "shared") {
		all = append(all, fmt.Sprintf("driver, proxies and application share %s: what one uses the others lack, so a difference may be CPU that was waited for", plural(b.Environment.CPUs, "CPU")))
	}
	if b.Plan.KeptAlive {
		all = append(all, "processes were kept alive over rounds, so the rounds are not independent")
	}
	return sentence(strings.Join(all, "; "))
}

// reproduceSection is how to get the numbers again, and where they come from.
func (b *book) reproduceSection() Section {
	s := Section{ID: "reproduce", Title: "Reproduce"}
	var lines []string
	if c := b.Environment.Commit; c != "" {
		lines = append(lines, "git checkout "+c)
	}
	lines = append(lines, "make build && bin/crossroads "+b.verb()+" results/runs/"+b.Plan.ID+"/"+results.ExperimentFile)
	s.Parts = append(s.Parts,
		Part{Code: &Code{Title: "One command, from the source and the experiment below", Text: strings.Join(lines, " && ")}},
		Part{Terms: b.versions()},
		Part{Links: []Link{
			{results.TrialsFile, "every trial's record"}, {results.PlanFile, "plan"}, {results.EnvironmentFile, "environment"},
			{results.ExperimentFile, "resolved experiment"}, {results.ExclusionsFile, "exclusions"}, {results.LogsDir, "output of the processes"},
		}},
		Part{Code: &Code{Title: "The resolved experiment", Text: string(b.Experiment), Fold: true}})
	return s
}

// verb is the command that makes such a run.
func (b *book) verb() string {
	if s := b.Plan.Search; s != nil {
		return fmt.Sprintf("capacity --start %.0f --highest %.0f --fine %d --repeat %d", s.Start, s.Highest, s.Fine, s.Repeat)
	}
	return "bench"
}

func (b *book) versions() []Fact {
	e := b.Environment
	facts := []Fact{
		{"Run", b.Plan.ID}, {"Experiment, SHA-256", b.Plan.Experiment}, {"Machine", join(b.Plan.Machine, e.OS, e.Kernel, e.Governor)}, {"Go", e.Go},
		{"Drivers", strings.Join(b.drivers(), ", ")},
	}
	for _, name := range sortedKeys(e.Tools) {
		facts = append(facts, Fact{name, e.Tools[name]})
	}
	for _, bin := range b.Plan.Binaries {
		facts = append(facts, Fact{bin.Name + ", SHA-256", bin.SHA256})
	}
	return nonEmpty(facts)
}

func (b *book) drivers() []string {
	var all []string
	for _, t := range b.planned() {
		if !slices.Contains(all, t.Driver) {
			all = append(all, t.Driver)
		}
	}
	return all
}
