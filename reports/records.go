package reports

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/HdrHistogram/hdrhistogram-go"

	"crossroads/results"
)

// ErrNothing says that a run has not one trial: there is nothing to report.
var ErrNothing = errors.New("the run has no finished trial")

// Records is all that a report is computed from.
type Records struct {
	Dir         string // of the run, for links
	Plan        results.Plan
	Environment results.Environment
	Experiment  []byte
	Trials      []results.Trial
	Exclusions  []results.Exclusion
	Sittings    []results.Sitting
	Sightings   []results.Sighting
	Warnings    []results.Warning
}

// Read takes the records out of a run directory.
func Read(run *results.Run) (Records, error) {
	rec := Records{Dir: run.Dir, Plan: run.Plan, Environment: run.Environment, Experiment: run.Experiment}
	var warnings []results.Warning
	var err error
	if rec.Trials, warnings, err = run.Trials(); err != nil {
		return rec, fmt.Errorf("reading the trials of %s: %w", run.Plan.ID, err)
	}
	rec.Warnings = append(rec.Warnings, warnings...)
	if rec.Exclusions, warnings, err = run.Exclusions(); err != nil {
		return rec, fmt.Errorf("reading the exclusions of %s: %w", run.Plan.ID, err)
	}
	rec.Warnings = append(rec.Warnings, warnings...)
	if rec.Sittings, warnings, err = run.Sittings(); err != nil {
		return rec, fmt.Errorf("reading the sittings of %s: %w", run.Plan.ID, err)
	}
	rec.Warnings = append(rec.Warnings, warnings...)
	if rec.Sightings, warnings, err = run.Sightings(); err != nil {
		return rec, fmt.Errorf("reading the sightings of %s: %w", run.Plan.ID, err)
	}
	rec.Warnings = append(rec.Warnings, warnings...)
	return rec, nil
}

// trial is a record with its histograms taken out.
type trial struct {
	results.Trial
	times map[string]*hdrhistogram.Histogram
}

// cell is an arm at one rate and one number of connections, with its trials by round.
type cell struct {
	arm    int // index into the plan's arms
	rate   float64
	conns  int
	trials []*trial
	merged map[string]*hdrhistogram.Histogram // of the valid trials
	kept   *hdrhistogram.Histogram            // response times of the valid and the saturated ones
}

type cellKey struct {
	arm   int
	rate  float64
	conns int
}

// book is the records in the order in which a report asks for them.
type book struct {
	Records
	cells    map[cellKey]*cell
	rates    []float64
	conns    []int
	direct   int     // index of the arm without a proxy, -1 for none
	refRate  float64 // where quantiles are compared
	refConns int
}

func newBook(rec Records) (*book, error) {
	b := &book{Records: rec, cells: map[cellKey]*cell{}, direct: -1}
	if len(rec.Trials) == 0 {
		return nil, ErrNothing
	}
	arms := map[string]int{}
	for i, a := range rec.Plan.Arms {
		arms[a.Name] = i
		if b.direct < 0 && a.External == "" && a.EntryHops == 0 && a.EdgeHops == 0 && a.Gateway == "" && a.Mesh == "" {
			b.direct = i
		}
	}
	for _, p := range b.planned() {
		b.rates, b.conns = append(b.rates, p.Rate), append(b.conns, p.Connections)
	}
	if len(b.rates) == 0 {
		return nil, errors.New("the plan has no trial")
	}
	b.reference()
	for _, t := range rec.Trials {
		arm, ok := arms[t.Arm]
		if !ok {
			return nil, fmt.Errorf("trial %s is of arm %q, which the plan does not have", t.ID, t.Arm)
		}
		if err := b.take(arm, t); err != nil {
			return nil, fmt.Errorf("trial %s: %w", t.ID, err)
		}
	}
	return b, b.mergeCells()
}

// planned are the trials that were to run; a search decides them on the way.
func (b *book) planned() []results.PlannedTrial {
	if !b.Plan.Adaptive {
		return b.Plan.Trials
	}
	var all []results.PlannedTrial
	for _, t := range b.Trials {
		all = append(all, t.PlannedTrial)
	}
	return all
}

// reference finds where arms are compared: the declared rate, or the nearest that was run, and the number of connections that
// most trials have.
func (b *book) reference() {
	count := map[int]int{}
	for _, c := range b.conns {
		count[c]++
	}
	slices.Sort(b.rates)
	b.rates = slices.Compact(b.rates)
	slices.Sort(b.conns)
	b.conns = slices.Compact(b.conns)
	b.refConns = slices.MaxFunc(b.conns, func(x, y int) int { return cmp.Or(cmp.Compare(count[x], count[y]), cmp.Compare(y, x)) })
	distance := func(r float64) float64 { return max(r-b.Plan.Reference, b.Plan.Reference-r) }
	b.refRate = slices.MinFunc(b.rates, func(x, y float64) int { return cmp.Compare(distance(x), distance(y)) })
}

func (b *book) take(arm int, t results.Trial) error {
	k := cellKey{arm, t.Rate, t.Connections}
	c := b.cells[k]
	if c == nil {
		c = &cell{arm: arm, rate: t.Rate, conns: t.Connections}
		b.cells[k] = c
	}
	d := &trial{Trial: t, times: map[string]*hdrhistogram.Histogram{}}
	for name, h := range t.Times {
		decoded, err := h.Decode()
		if err != nil {
			return fmt.Errorf("%s times: %w", name, err)
		}
		d.times[name] = decoded
	}
	c.trials = append(c.trials, d)
	slices.SortStableFunc(c.trials, func(x, y *trial) int { return cmp.Compare(x.Round, y.Round) })
	return nil
}

func (b *book) mergeCells() error {
	for _, c := range b.cells {
		var err error
		if c.kept, err = merge(results.Response, c.with(results.Valid, results.Saturated)); err != nil {
			return fmt.Errorf("%s at %g/s: %w", b.name(c.arm), c.rate, err)
		}
		c.merged = map[string]*hdrhistogram.Histogram{}
		for _, name := range []string{results.Response, results.Service, results.Slip} {
			if c.merged[name], err = merge(name, c.with(results.Valid)); err != nil {
				return fmt.Errorf("%s at %g/s: %w", b.name(c.arm), c.rate, err)
			}
		}
	}
	return nil
}

func merge(times string, trials []*trial) (*hdrhistogram.Histogram, error) {
	var all []*hdrhistogram.Histogram
	for _, t := range trials {
		if h := t.times[times]; h != nil {
			all = append(all, h)
		}
	}
	m, err := results.Merge(all...)
	if err != nil {
		return nil, fmt.Errorf("%s times: %w", times, err)
	}
	return m, nil
}

// at is a cell, empty where nothing was recorded.
func (b *book) at(arm int, rate float64, conns int) *cell {
	if c := b.cells[cellKey{arm, rate, conns}]; c != nil {
		return c
	}
	return &cell{arm: arm, rate: rate, conns: conns, kept: results.NewTimes()}
}

// ref is the arm's cell at the reference rate.
func (b *book) ref(arm int) *cell { return b.at(arm, b.refRate, b.refConns) }

// name of an arm as it is shown.
func (b *book) name(arm int) string { return clean(b.Plan.Arms[arm].Name) }

// ink of an arm: direct is neutral, the others have colours in the plan's order.
func (b *book) ink(arm int) int {
	switch {
	case arm == b.direct:
		return 0
	case b.direct >= 0 && arm < b.direct:
		return arm + 1
	case b.direct >= 0:
		return arm
	}
	return arm + 1
}

// others are all arms but direct.
func (b *book) others() []int {
	var all []int
	for i := range b.Plan.Arms {
		if i != b.direct {
			all = append(all, i)
		}
	}
	return all
}

func (c *cell) with(outcomes ...results.Outcome) []*trial {
	var some []*trial
	for _, t := range c.trials {
		if slices.Contains(outcomes, t.Outcome) {
			some = append(some, t)
		}
	}
	return some
}
