package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"crossroads/harness"
	"crossroads/harness/predict"
	"crossroads/results"
	"crossroads/topologies"
)

// foretold is a prediction beside what was measured, where that was asked for: at the machine's usual speed, which is what is predicted, and
// as it was.
type foretold struct {
	predict.Prediction
	Measured   *predict.Facts `json:"measured,omitempty"`
	AsMeasured *predict.Facts `json:"as_measured,omitempty"`
}

// predict says what topologies that were never measured would cost.
func (a *app) predict() *cobra.Command {
	m := &measuring{}
	var from []string
	var v verifying
	c := &cobra.Command{
		Use: "predict FILE... --learn|--from RUN,RUN", Short: "Say what a call graph and its topologies would cost, from runs of other ones",
		Long: `Predict learns from runs of this machine what a visit of a service, a call and every kind of proxy crossing cost in CPU time, and what
waking a process costs in time; it then simulates the call graph of FILE in each of its topologies and prints p50, p99 and CPU per
request with intervals. Parts that no run measured (another gateway, another stage) are an error that names them. With --learn the
experiments that it learns from are run first, in ten minutes: ` + lessonNames() + `.

With --verify the FILEs are run as well, a round of each experiment in turn, and the error of every number is printed with a verdict:
the aim is p50 within 10%, p99 within 25% and CPU within 10%, for every topology. What is measured, to learn from or to verify, is first
brought to the machine's usual speed, which the driver's own CPU time per request tells; the verdict without that is printed as well.
--out keeps all of it as JSON. With --against the measurements are those of runs that were made before, in the order of the files.`,
		Example: "  crossroads predict shop.yaml --learn\n" +
			"  crossroads predict topologies/unseen/*.yaml --learn --verify --out told.json\n" +
			"  crossroads predict shop.yaml --from results/runs/CHAIN,results/runs/FANOUT,results/runs/PAUSES,results/runs/SINGLE,results/runs/STOREFRONT --verify",
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if (len(from) > 0) == v.learn {
				return usage("predict needs --learn, or --from RUN,RUN: runs of %s on this machine", lessonNames())
			}
			return a.foretell(c.Context(), m, from, v, args)
		},
	}
	m.flags(c)
	c.Flags().StringSliceVar(&from, "from", nil, "run directories to learn from")
	c.Flags().BoolVar(&v.learn, "learn", false, "run the experiments to learn from first")
	c.Flags().BoolVar(&v.measure, "verify", false, "measure the experiments as well and print the errors")
	c.Flags().StringSliceVar(&v.against, "against", nil, "run directories that hold the measurements, one for each FILE, instead of --verify")
	c.Flags().StringVar(&v.out, "out", "", "write predictions, measurements and errors to this file as JSON")
	return c
}

// verifying says with what predictions are compared, and where all of it is kept.
type verifying struct {
	learn   bool
	measure bool
	against []string
	out     string
}

func (v verifying) asked() bool { return v.measure || len(v.against) > 0 }

// telling is everything that predict says, as it is kept.
type telling struct {
	From        []string       `json:"from"`
	Model       *predict.Model `json:"model"`
	Experiments []*tale        `json:"experiments"`
	Verdict     *foretoldFacts `json:"verdict,omitempty"` // over all experiments, at the machine's usual speed
	AsMeasured  *foretoldFacts `json:"verdict_as_measured,omitempty"`
}

// tale is what is said of one experiment.
type tale struct {
	Experiment  string         `json:"experiment"`
	Predictions []foretold     `json:"predictions"`
	Run         string         `json:"run,omitempty"` // that measured it
	Verdict     *foretoldFacts `json:"verdict,omitempty"`

	of *topologies.Experiment
}

func (a *app) foretell(ctx context.Context, m *measuring, from []string, v verifying, args []string) error {
	if len(v.against) > 0 && (v.measure || len(v.against) != len(args)) {
		return usage("--against names one run for each FILE, and goes without --verify")
	}
	told := &telling{From: from}
	for _, file := range args {
		e, err := m.experiment([]string{file})
		if err != nil {
			return err
		}
		told.Experiments = append(told.Experiments, &tale{Experiment: e.Name, of: e})
	}
	if !v.learn { // a part that no run measured is known before anything is run
		if err := told.foretell(); err != nil {
			return err
		}
	}
	measured, err := a.measureTold(ctx, m, v, told)
	if err != nil {
		return err
	}
	if v.learn {
		if err := told.foretell(); err != nil {
			return err
		}
	}
	if v.asked() {
		if err := verifyTales(told, measured); err != nil {
			return err
		}
	}
	if v.out != "" {
		if err := writeTelling(v.out, told); err != nil {
			return err
		}
	}
	return a.result(told, foretoldText(told))
}

// foretell learns from the runs, and predicts every experiment.
func (t *telling) foretell() (err error) {
	if t.Model, err = learn(t.From, t.Experiments[0].of.Seed); err != nil {
		return err
	}
	for _, e := range t.Experiments {
		if e.Predictions, err = foretellAll(t.Model, e.of); err != nil {
			return err
		}
	}
	return nil
}

func (t *telling) wanted() []*topologies.Experiment {
	var all []*topologies.Experiment
	for _, e := range t.Experiments {
		all = append(all, e.of)
	}
	return all
}

// The rates and the blocks of lessons: what parts cost at other rates follows from how it changed between these two.
var lessonRates = topologies.Rates{200, 400}

const lessonBlock = 2 * time.Second

func lessonNames() string {
	var names []string
	for _, l := range predict.Lessons {
		names = append(names, l.Experiment)
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// measureTold runs what has to be run: the lessons, whose runs it adds to what is learnt from, and what is verified, whose runs it
// returns in the order of the files.
func (a *app) measureTold(ctx context.Context, m *measuring, v verifying, told *telling) ([]*results.Run, error) {
	var experiments []*topologies.Experiment
	if v.learn {
		for _, l := range predict.Lessons {
			e, err := loadExperiment([]string{l.Experiment})
			if err != nil {
				return nil, err
			}
			o := harness.Overrides{Only: l.Arms, Rates: lessonRates, Duration: lessonBlock, Rounds: m.rounds, Seed: m.seed}
			if err := o.Apply(e); err != nil {
				return nil, err
			}
			experiments = append(experiments, e)
		}
		if err := predict.Untaught(experiments, told.wanted()); err != nil {
			return nil, &exit{code: exitCannotJudge, err: err, hint: unmeasuredHint}
		}
	}
	taught := len(experiments)
	if v.measure {
		experiments = append(experiments, told.wanted()...)
	}
	runs, err := a.measureInTurn(ctx, m, experiments)
	if err != nil {
		return nil, err
	}
	told.From = append(told.From, dirs(runs[:taught])...)
	for _, dir := range v.against {
		run, err := openRun(dir)
		if err != nil {
			return nil, err
		}
		runs = append(runs, run)
	}
	return runs[taught:], nil
}

// verifyTales holds what was predicted beside what the runs measured, and judges.
func verifyTales(told *telling, runs []*results.Run) error {
	var all []foretold
	for i, t := range told.Experiments {
		run := runs[i]
		if run.Plan.Name != t.Experiment {
			return &exit{code: exitUsage, err: fmt.Errorf("run %s is of %s, not of %s", run.Plan.ID, run.Plan.Name, t.Experiment), hint: "name the runs in the order of the files"}
		}
		t.Run = run.Dir
		if err := errors.Join(compareWith(told.Model, run, t.Predictions), run.Close()); err != nil {
			return err
		}
		t.Verdict = judgeForetold(t.Predictions, atUsualSpeed)
		all = append(all, t.Predictions...)
	}
	told.Verdict, told.AsMeasured = judgeForetold(all, atUsualSpeed), judgeForetold(all, asMeasured)
	return nil
}

func writeTelling(file string, t *telling) error {
	text, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

func learn(from []string, seed uint64) (*predict.Model, error) {
	var runs []*results.Run
	for _, dir := range from {
		run, err := results.Open(dir)
		if err != nil {
			return nil, &exit{code: exitUsage, err: fmt.Errorf("--from %s: %w", dir, err), hint: "name run directories, such as results/runs/latest"}
		}
		defer run.Close()
		if err := sameMachine(run); err != nil {
			return nil, err
		}
		runs = append(runs, run)
	}
	model, err := predict.Learn(runs, seed)
	if err != nil {
		return nil, &exit{code: exitCannotJudge, err: err, hint: "let --learn run what there is to learn from"}
	}
	return model, nil
}

// sameMachine refuses what another machine's runs would say of this one.
func sameMachine(run *results.Run) error {
	here, err := results.CollectEnvironment(nil)
	if err != nil {
		return err
	}
	if here.Machine != run.Environment.Machine {
		return &exit{code: exitCannotJudge, err: fmt.Errorf("run %s is of another machine", run.Plan.ID), hint: "let --learn run what there is to learn from, here"}
	}
	return nil
}

const unmeasuredHint = "run an experiment that has these parts and name it with --from beside the others, or leave the topologies out with --only"

func foretellAll(model *predict.Model, e *topologies.Experiment) ([]foretold, error) {
	var all []foretold
	var faults []error
	for _, arm := range e.Arms() {
		for _, rate := range e.Load.Rates {
			p, err := model.Predict(arm, rate.F())
			if err != nil {
				faults = append(faults, err)
				break
			}
			all = append(all, foretold{Prediction: p})
		}
	}
	if len(faults) > 0 {
		return nil, &exit{code: exitCannotJudge, err: errors.Join(faults...), hint: unmeasuredHint}
	}
	return all, nil
}

func compareWith(model *predict.Model, run *results.Run, all []foretold) error {
	trials, _, err := run.Trials()
	if err != nil {
		return err
	}
	for i := range all {
		var cell []*results.Trial
		for j := range trials {
			if t := &trials[j]; t.Arm == all[i].Arm && t.Rate == all[i].Rate && t.Outcome == results.Valid {
				cell = append(cell, t)
			}
		}
		usual, plain := model.Facts(cell)
		all[i].Measured, all[i].AsMeasured = &usual, &plain
	}
	return nil
}

func foretoldText(told *telling) string {
	var b strings.Builder
	latency, cpu := results.TimeQuantile(results.Response, 0.5), results.CPUPerRequest("")
	for _, e := range told.Experiments {
		fmt.Fprintf(&b, "%s\n", e.Experiment)
		t := tabwriter.NewWriter(&b, 2, 0, 2, ' ', 0)
		fmt.Fprint(t, "arm\trate\tp50\tp99\tCPU per request\tCPUs busy")
		if e.Verdict != nil {
			fmt.Fprint(t, "\tmeasured p50\terror\tmeasured p99\terror\tmeasured CPU\terror")
		}
		fmt.Fprintln(t)
		for _, f := range e.Predictions {
			fmt.Fprintf(t, "%s\t%g/s\t%s\t%s\t%s\t%.0f%%", f.Arm, f.Rate, within(latency, f.P50), within(latency, f.P99), within(cpu, f.CPU), 100*f.Busy)
			if is := f.Measured; is != nil {
				fmt.Fprintf(t, "\t%s\t%s\t%s", beside(latency, is.P50, f.P50), beside(latency, is.P99, f.P99), beside(cpu, is.CPU, f.CPU))
			}
			fmt.Fprintln(t)
		}
		t.Flush()
		if e.Verdict != nil {
			b.WriteString(e.Verdict.text())
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "learnt from %d measured cells; in brackets 95%% of cells like those\n", told.Model.Cells)
	if told.Verdict != nil && len(told.Experiments) > 1 {
		fmt.Fprintf(&b, "over all experiments:\n%s", told.Verdict.text())
	}
	if told.AsMeasured != nil {
		fmt.Fprintf(&b, "measured values are at the speed at which the machine ran while it was learnt from, as the driver's CPU time per request tells it; as they were:\n%s", told.AsMeasured.text())
	}
	return b.String()
}

func within(m results.Metric, v predict.Value) string {
	return fmt.Sprintf("%s [%s, %s]", m.Format(v.Value), m.Format(v.Low), m.Format(v.High))
}

func beside(m results.Metric, is float64, of predict.Value) string {
	if is == 0 || math.IsNaN(is) {
		return "none\t-"
	}
	outside := ""
	if is < of.Low || is > of.High {
		outside = " (outside)"
	}
	return fmt.Sprintf("%s\t%+.0f%%%s", m.Format(is), 100*(of.Value/is-1), outside)
}
