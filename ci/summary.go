package ci

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// row is one metric as every form of the summary shows it.
type row struct{ metric, baseline, candidate, change, margin, verdict string }

func (f *Finding) row() row {
	r := row{metric: f.Title, baseline: "-", candidate: "-", change: "-", margin: "-", verdict: "reported only"}
	if m, known := MetricNamed(f.Metric); known && f.N > 0 {
		r.baseline, r.candidate = m.Format(f.Baseline), m.Format(f.Candidate)
		r.change = f.spell()
	}
	if f.Margin > 0 {
		r.margin, r.verdict = percent(f.Margin), strings.ToUpper(f.Verdict.String())
	}
	return r
}

// spell writes the change with its interval, or says that there is none.
func (f *Finding) spell() string {
	if f.N == 0 {
		return "no value"
	}
	if f.Low == nil || f.High == nil {
		return fmt.Sprintf("%s (n = %d: no interval)", signed(f.Change), f.N)
	}
	return fmt.Sprintf("%s [%s, %s]", signed(f.Change), signed(*f.Low), signed(*f.High))
}

func signed(v float64) string { return fmt.Sprintf("%+.1f%%", 100*v) }

// percent has a decimal more than the noise of a duet deserves, so that what lies at a margin is seen on its side.
func percent(v float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", 100*v), ".0") + "%" }

func (d *Decision) rows() []row {
	var rows []row
	for _, f := range append(append([]Finding{}, d.Metrics...), d.Reported...) {
		rows = append(rows, f.row())
	}
	return rows
}

func (d *Decision) headline() string {
	text := fmt.Sprintf("%s: %s", d.Scenario, strings.ToUpper(d.Verdict.String()))
	if d.Look > 0 {
		text += fmt.Sprintf(" after %d pairs", d.Look)
	}
	return text
}

// because is every reason, that for which it stopped last.
func (d *Decision) because() []string {
	if d.Stopped == "" {
		return d.Reasons
	}
	return append(slices.Clone(d.Reasons), d.Stopped)
}

func (d *Decision) evidence() string {
	return fmt.Sprintf("%d pairs of blocks, %d A/A pairs, %d rounds dropped. Change: candidate against baseline, worse is positive, with the two-sided 95%% interval over pairs.",
		d.Pairs, d.AA, len(d.Dropped))
}

// Text writes a decision for a terminal.
func (d *Decision) Text(w io.Writer) error {
	fmt.Fprintf(w, "%s\n", d.headline())
	for _, why := range d.because() {
		fmt.Fprintf(w, "  %s\n", why)
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
	fmt.Fprintln(t, "metric\tbaseline\tcandidate\tchange\tmargin\tverdict")
	for _, r := range d.rows() {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", r.metric, r.baseline, r.candidate, r.change, r.margin, r.verdict)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%s\n", d.evidence())
	for _, drop := range d.shownDrops() {
		fmt.Fprintf(w, "  dropped round %d: %s\n", drop.Round, drop.Why)
	}
	_, err := fmt.Fprint(w, d.moreDrops())
	return err
}

// maxDrops bounds how many dropped rounds a summary lists; the records have all of them.
const maxDrops = 8

func (d *Decision) shownDrops() []Drop { return d.Dropped[:min(maxDrops, len(d.Dropped))] }

func (d *Decision) moreDrops() string {
	if n := len(d.Dropped) - maxDrops; n > 0 {
		return fmt.Sprintf("  and %d more\n", n)
	}
	return ""
}

// Markdown writes the decisions as a summary for a pull request or a step of a workflow. Notes say what a reader of the whole should
// know: which versions, where the records are.
func Markdown(w io.Writer, decisions []Decision, notes []string) error {
	var b strings.Builder
	var verdicts []Verdict
	for _, d := range decisions {
		verdicts = append(verdicts, d.Verdict)
	}
	fmt.Fprintf(&b, "## Crossroads gate: %s\n\n", strings.ToUpper(Overall(verdicts...).String()))
	for _, n := range notes {
		fmt.Fprintf(&b, "%s\n", cell(n))
	}
	for i := range decisions {
		d := &decisions[i]
		fmt.Fprintf(&b, "\n### %s\n\n", cell(d.headline()))
		for _, why := range d.because() {
			fmt.Fprintf(&b, "- %s\n", cell(why))
		}
		b.WriteString("\n| metric | baseline | candidate | change | margin | verdict |\n| --- | ---: | ---: | ---: | ---: | --- |\n")
		for _, r := range d.rows() {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", cell(r.metric), r.baseline, r.candidate, r.change, r.margin, r.verdict)
		}
		fmt.Fprintf(&b, "\n%s\n", d.evidence())
		for _, drop := range d.shownDrops() {
			fmt.Fprintf(&b, "- dropped round %d: %s\n", drop.Round, cell(drop.Why))
		}
		b.WriteString(d.moreDrops())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// cell keeps a text on its line and out of the table's syntax.
func cell(text string) string {
	return strings.NewReplacer("\n", " ", "|", "\\|", "<", "&lt;", "`", "'").Replace(text)
}

// Progress says in a line what a round showed.
func (p *Pair) Progress(names []string) string {
	kind := "pair"
	if p.AA {
		kind = "A/A "
	}
	if !p.Usable() {
		return kind + "  dropped: " + strings.Join(p.Dropped, "; ")
	}
	text := kind
	for _, name := range names {
		m, known := MetricNamed(name)
		if !known {
			continue
		}
		if r, ok := p.Ratio(m); ok {
			text += fmt.Sprintf("  %s %s", name, signed(*relative(r)))
		} else {
			text += fmt.Sprintf("  %s none", name)
		}
	}
	return text
}

// Names lists the primary metrics of a scenario in their order.
func (s *Scenario) Names() []string { return s.Metrics.Keys() }
