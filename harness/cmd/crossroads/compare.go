package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"crossroads/ci"
	"crossroads/harness"
	"crossroads/proxies/config/units"
	"crossroads/results"
	"crossroads/topologies"
)

// comparing are the flags of compare.
type comparing struct {
	baseline, candidate string
	rate                string
	connections, pairs  int
	method, path, body  string
	headers, margins    []string
	block, warmup       time.Duration
	budget              time.Duration
	runs, resume        string
	gate, force         bool
}

// compare holds two live systems, or two stored runs, against each other.
func (a *app) compare() *cobra.Command {
	k := &comparing{}
	c := &cobra.Command{
		Use: "compare [RUN RUN]", Short: "Compare two live systems, or two stored runs",
		Long: `Compare --baseline URL --candidate URL loads two HTTP systems at the same time, each with half of the rate, in pairs of blocks, and
prints for each metric the change, its interval over the pairs, and a verdict. What disturbs the machine disturbs both alike. Every
fifth round loads the baseline against itself: the noise. The comparison ends as soon as the verdict stands, after 12, 24 or 60 pairs.

Compare RUN RUN holds two stored runs against each other, for information only: they did not run at the same time, so there is no
verdict. Runs of different machines or experiments are refused unless --force.`,
		Example: `  crossroads compare --baseline http://127.0.0.1:8080 --candidate http://127.0.0.1:8081
  crossroads compare --baseline http://10.0.0.5 --candidate http://10.0.0.6 --path /orders --rate 400 --header 'X-Api-Key: demo'
  crossroads compare results/runs/ID1 results/runs/ID2`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 2 && k.baseline == "" && k.candidate == "":
				return a.compareRuns(args[0], args[1], k.force)
			case len(args) > 0 || k.baseline == "" || k.candidate == "":
				return usage("compare needs --baseline URL and --candidate URL, or two RUN directories")
			}
			return a.compareLive(c.Context(), k)
		},
	}
	f := c.Flags()
	f.StringVar(&k.baseline, "baseline", "", "URL of the system to compare with")
	f.StringVar(&k.candidate, "candidate", "", "URL of the system to judge")
	f.StringVar(&k.rate, "rate", "1k", "requests per second for both together")
	f.IntVar(&k.connections, "connections", 32, "connections to each of them")
	f.StringVar(&k.method, "method", "GET", "method of the request")
	f.StringVar(&k.path, "path", "/", "path of the request, below that of the URL")
	f.StringArrayVar(&k.headers, "header", nil, "header of the request, such as 'X-Api-Key: demo'; may be given again")
	f.StringVar(&k.body, "body", "", "size of the request's body, such as 4KiB")
	f.StringSliceVar(&k.margins, "margin", nil, "how much worse a metric may become (default service-p50=2%,service-p99=6%)")
	f.IntVar(&k.pairs, "pairs", 60, "most pairs of blocks; below 12 there is no verdict")
	f.DurationVar(&k.block, "block", 8*time.Second, "length of a block")
	f.DurationVar(&k.warmup, "warmup", time.Second, "length of the warm-up before each block")
	f.DurationVar(&k.budget, "budget", 0, "most time; without a verdict by then it is inconclusive (default: as long as the pairs take)")
	f.StringVar(&k.runs, "results", filepath.Join("results", "runs"), "directory that keeps the records")
	f.StringVar(&k.resume, "resume", "", "complete this run directory, with the same flags as before")
	f.BoolVar(&k.gate, "gate", false, "exit with 3 where the verdict is fail and with 4 where it is inconclusive")
	f.BoolVar(&k.force, "force", false, "compare stored runs of different machines or experiments all the same")
	return c
}

// liveScenario is the name of the one comparison that compare makes.
const liveScenario = "compare"

// rules turns the flags into rules, read and checked as a file would be.
func (k *comparing) rules() (*ci.Rules, error) {
	r := ci.Standard()
	r.Block, r.Warmup, r.Budget = units.Duration(k.block), units.Duration(k.warmup), units.Duration(k.budget)
	var looks []int
	for i, look := range r.Looks {
		if i == 0 || look <= k.pairs {
			looks = append(looks, look)
		}
	}
	r.Looks = looks
	s := ci.Scenario{Connections: k.connections, Program: "gateway", Experiment: "external", Topology: ci.Baseline,
		Report: []string{"p50", "p90", "p99", "p99.9", "cpu", "achieved"}}
	if err := s.Rate.UnmarshalText([]byte(k.rate)); err != nil {
		return nil, usage("--rate %s: %w", k.rate, err)
	}
	margins := k.margins
	if len(margins) == 0 {
		margins = []string{"service-p50=2%", "service-p99=6%"}
	}
	for _, m := range margins {
		name, text, _ := strings.Cut(m, "=")
		var margin ci.Margin
		if err := margin.Margin.UnmarshalText([]byte(text)); err != nil {
			return nil, usage("--margin %s: write METRIC=SHARE, such as service-p50=2%%: %w", m, err)
		}
		s.Metrics.Set(name, margin)
	}
	r.Scenarios.Clear()
	r.Scenarios.Set(liveScenario, s)
	if err := r.Check("the flags of compare"); err != nil {
		return nil, &exit{code: exitUsage, err: err, hint: "see `crossroads compare --help`"}
	}
	return &r, nil
}

func (k *comparing) request() (topologies.Request, error) {
	var r topologies.Request
	r.SetDefaults()
	r.Method, r.Path = k.method, k.path
	for _, h := range k.headers {
		name, value, found := strings.Cut(h, ":")
		if !found {
			return r, usage("--header %q: write 'Name: value'", h)
		}
		r.Headers.Set(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	if k.body != "" {
		if err := r.Body.Size.UnmarshalText([]byte(k.body)); err != nil {
			return r, usage("--body %s: %w", k.body, err)
		}
	}
	return r, nil
}

func (k *comparing) urls() error {
	for flag, text := range map[string]string{"--baseline": k.baseline, "--candidate": k.candidate} {
		if u, err := url.Parse(text); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return usage("%s %q: not a URL such as http://127.0.0.1:8080", flag, text)
		}
	}
	if b, c := strings.HasPrefix(k.baseline, "https:"), strings.HasPrefix(k.candidate, "https:"); b != c {
		return &exit{code: exitCannotJudge, err: errors.New("one side is plaintext and the other TLS: the difference would be that of TLS"),
			hint: "compare like with like"}
	}
	return nil
}

func (a *app) compareLive(ctx context.Context, k *comparing) error {
	if err := k.urls(); err != nil {
		return err
	}
	rules, err := k.rules()
	if err != nil {
		return err
	}
	request, err := k.request()
	if err != nil {
		return err
	}
	e, err := harness.ExternalExperiment(k.baseline, k.candidate, request, rules, liveScenario)
	if err != nil {
		return &exit{code: exitUsage, err: err, hint: "the load must be one that an experiment file could declare"}
	}
	executable, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	programs := map[string]string{"crossroads": executable}
	s := harness.DuetSession{
		Experiment: e, Rules: rules, Scenario: liveScenario, Executable: executable, Runs: k.runs, Resume: k.resume, Pairs: k.pairs,
		Programs: map[string]map[string]string{ci.Baseline: programs, ci.Candidate: programs},
		Note:     func(text string) { fmt.Fprintln(a.stderr, text) },
	}
	run, decision, err := s.Do(ctx)
	if err != nil {
		return duetError(err, run)
	}
	if err := a.decided([]ci.Decision{decision}, run.Dir); err != nil {
		return err
	}
	if decision.Pairs == 0 || k.gate {
		return gateError([]ci.Decision{decision})
	}
	return nil
}

// duetError gives an error of a duet its exit code.
func duetError(err error, run *results.Run) error {
	var unfit *harness.Unfit
	switch {
	case errors.Is(err, context.Canceled) && run != nil:
		return &exit{code: exitInterrupted, err: errors.New("interrupted; what finished is kept"), hint: "complete the run: the same command with --resume " + run.Dir}
	case errors.As(err, &unfit):
		return &exit{code: exitTarget, err: err, hint: "the two sides must answer alike before they are compared"}
	}
	return err
}

// decided prints decisions: the text for people, or one document.
func (a *app) decided(decisions []ci.Decision, runs ...string) error {
	var b strings.Builder
	for i := range decisions {
		if err := decisions[i].Text(&b); err != nil {
			return err
		}
		fmt.Fprintf(&b, "\n")
	}
	for _, run := range runs {
		fmt.Fprintf(&b, "records  %s\n", run)
	}
	return a.result(map[string]any{"verdict": overall(decisions), "decisions": decisions, "runs": runs}, b.String())
}

func overall(decisions []ci.Decision) ci.Verdict {
	var verdicts []ci.Verdict
	for _, d := range decisions {
		verdicts = append(verdicts, d.Verdict)
	}
	return ci.Overall(verdicts...)
}

// gateError turns the verdict into the exit code: nil for pass alone.
func gateError(decisions []ci.Decision) error {
	switch overall(decisions) {
	case ci.Pass:
		return nil
	case ci.Fail:
		return &exit{code: exitGate, err: errors.New("the gate failed"), printed: true}
	}
	return &exit{code: exitCannotJudge, printed: true, err: errors.New("cannot judge: the evidence is inconclusive"),
		hint: "the reasons stand above; more pairs, a quieter machine or wider margins may decide it"}
}
