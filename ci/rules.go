package ci

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"crossroads/proxies/config/strict"
	"crossroads/proxies/config/units"
	"crossroads/results"
	"crossroads/results/stats"
	"crossroads/topologies"
)

// Rules is a file of rules, such as gates.yaml.
type Rules struct {
	Version       int                  `yaml:"version"`
	Looks         []int                `yaml:"looks,omitempty"`          // pairs after which a verdict may fall, ascending
	FalseFailures units.Share          `yaml:"false_failures,omitempty"` // probability of a failure where nothing changed, all tests together
	AAEvery       int                  `yaml:"aa_every,omitempty"`       // which round is A/A: 5 means the 5th, 10th, ...
	Block         units.Duration       `yaml:"block,omitempty"`          // length of a measured block
	Warmup        units.Duration       `yaml:"warmup,omitempty"`
	Budget        units.Duration       `yaml:"budget,omitempty"` // for each scenario by the clock; 0: until the last look
	Scenarios     strict.Map[Scenario] `yaml:"scenarios"`
}

// Scenario is one comparison: a program at work in a topology, under a load.
type Scenario struct {
	Program     string      `yaml:"program,omitempty"` // gateway or sidecar: which one is there in two versions
	Experiment  string      `yaml:"experiment"`        // a file, or the name of a ready experiment
	Topology    string      `yaml:"topology"`
	Rate        units.Count `yaml:"rate"` // per second, for both versions together
	Connections int         `yaml:"connections,omitempty"`
	// Placement gives both versions the same CPUs, instead of what the experiment declares; none: the experiment's.
	Placement *topologies.Placement `yaml:"placement,omitempty"`
	Metrics   strict.Map[Margin]    `yaml:"metrics"` // primary: by these the gate decides
	Report    []string              `yaml:"report,omitempty"`
}

// Margin is how much worse a primary metric may become.
type Margin struct {
	Margin units.Share `yaml:"margin"`
	// BaselineAtMost is the level of the baseline above which a change of the proxy would drown in something else, a slow origin for
	// instance. For CPU per request it is a duration too. 0: no limit.
	BaselineAtMost units.Duration `yaml:"baseline_at_most,omitempty"`
}

//go:embed gates.yaml
var gates []byte

// Standard are the rules that come with the program.
func Standard() Rules {
	r, err := ParseRules("gates.yaml", gates)
	if err != nil {
		panic(err) // a test reads them
	}
	return *r
}

// SetDefaults are the values of what a file leaves out.
func (r *Rules) SetDefaults() {
	r.Looks, r.FalseFailures, r.AAEvery = []int{12, 24, 60}, 0.01, 5
	r.Block, r.Warmup = units.Duration(8e9), units.Duration(1e9)
}

// SetDefaults are the values of what a scenario leaves out.
func (s *Scenario) SetDefaults() { s.Program, s.Connections = "gateway", 32 }

// LoadRules reads a file of rules. All of its faults are reported at once, as strict.Faults.
func LoadRules(file string) (*Rules, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the rules: %w", err)
	}
	return ParseRules(file, data)
}

// ParseRules is LoadRules of bytes.
func ParseRules(file string, data []byte) (*Rules, error) {
	r := &Rules{}
	r.SetDefaults()
	doc, err := strict.Decode(file, data, r)
	if doc == nil || doc.Broken() {
		return nil, err
	}
	r.check(doc)
	if err := doc.Err(); err != nil {
		return nil, err
	}
	return r, nil
}

// Check holds rules that were put together by a program against what a file may say. The error is strict.Faults.
func (r *Rules) Check(name string) error {
	data, err := strict.Marshal(r)
	if err != nil {
		return fmt.Errorf("writing the rules down: %w", err)
	}
	_, err = ParseRules(name, data)
	return err
}

// RulesFile keeps, in the run directory of a duet, the rules by which it was begun.
const RulesFile = "gate.yaml"

// WriteRules puts the rules beside the records of a run that has just been created.
func WriteRules(dir string, r *Rules) error {
	data, err := strict.Marshal(r)
	if err != nil {
		return fmt.Errorf("writing the rules down: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, RulesFile), data, 0o644); err != nil {
		return fmt.Errorf("writing the rules down: %w", err)
	}
	return nil
}

// Programs of which there can be two versions.
var programs = []string{"gateway", "sidecar"}

// minPairs is the fewest pairs that a verdict may rest on: the fewest of the first look by the design of the test.
const minPairs = 12

// minAA is how many A/A pairs the noise has to be known by before a verdict falls.
const minAA = 2

func (r *Rules) check(doc *strict.Document) {
	if r.Version != 1 {
		doc.Report("$.version", "version %d is not known; this program reads version 1", r.Version)
	}
	if len(r.Looks) > 0 && r.Looks[0] < minPairs {
		doc.Report("$.looks", "no verdict can fall before %d pairs", minPairs)
	}
	if len(r.Looks) == 0 || r.Looks[0] < 1 || !slices.IsSorted(r.Looks) || len(slices.Compact(slices.Clone(r.Looks))) < len(r.Looks) {
		doc.Report("$.looks", "looks must be numbers of pairs, ascending")
	}
	if r.FalseFailures <= 0 || r.FalseFailures > 0.1 {
		doc.Report("$.false_failures", "must be above 0 and at most 10%%")
	}
	if r.AAEvery < 2 {
		doc.Report("$.aa_every", "must be 2 or more: every second round at most is A/A")
	} else if len(r.Looks) > 0 && (r.Looks[0]-1)/(r.AAEvery-1) < minAA {
		doc.Report("$.aa_every", "leaves fewer than %d A/A pairs before the first look, at %d pairs: no verdict could fall there", minAA, r.Looks[0])
	}
	if r.Block <= 0 {
		doc.Report("$.block", "must be above 0")
	}
	if r.Scenarios.Len() == 0 {
		doc.Report("$.scenarios", "a gate without a scenario can never fail: declare one at least")
	}
	for name, s := range r.Scenarios.All() {
		s.check(doc, strict.Key("$.scenarios", name))
	}
}

func (s *Scenario) check(doc *strict.Document, path string) {
	if !slices.Contains(programs, s.Program) {
		doc.Report(path+".program", "%s", strict.Unknown("program", s.Program, programs))
	}
	if s.Experiment == "" || s.Topology == "" {
		doc.Report(path, "a scenario needs an experiment and a topology")
	}
	if s.Rate <= 0 {
		doc.Report(path+".rate", "the rate must be above 0")
	}
	if s.Connections < 1 {
		doc.Report(path+".connections", "at least 1")
	}
	if s.Metrics.Len() == 0 {
		doc.Report(path+".metrics", "a scenario without a metric can never fail: declare one at least")
	}
	for name, m := range s.Metrics.All() {
		at := strict.Key(path+".metrics", name)
		if _, known := MetricNamed(name); !known {
			doc.Report(at, "%s", strict.Unknown("metric", name, metricNames()))
		}
		if m.Margin <= 0 || m.Margin >= 1 {
			doc.Report(at+".margin", "the margin must be above 0 and below 100%%")
		}
	}
	for i, name := range s.Report {
		if _, known := MetricNamed(name); !known {
			doc.Report(strict.Index(path+".report", i), "%s", strict.Unknown("metric", name, metricNames()))
		}
	}
}

// MetricNamed finds a metric of the records by its name.
func MetricNamed(name string) (results.Metric, bool) {
	for _, m := range results.Metrics() {
		if m.Name == name {
			return m, true
		}
	}
	return results.Metric{}, false
}

func metricNames() []string {
	var names []string
	for _, m := range results.Metrics() {
		names = append(names, m.Name)
	}
	return names
}

// Tests is how many one-sided tests share the probability of a false failure: every primary metric of every scenario at every look.
func (r *Rules) Tests() int {
	metrics := 0
	for _, s := range r.Scenarios.All() {
		metrics += s.Metrics.Len()
	}
	return metrics * len(r.Looks)
}

// failLevel is the level of each of them, by Bonferroni.
func (r *Rules) failLevel() float64 { return r.FalseFailures.F() / float64(max(1, r.Tests())) }

// Rounds is how many rounds reach the last look with every A/A round between, a third of all being dropped. A duet ends with its
// verdict, so planning more costs nothing.
func (r *Rules) Rounds() int {
	last := r.Looks[len(r.Looks)-1]
	rounds := last + (last-1)/(r.AAEvery-1)
	return rounds + rounds/2
}

// Warnings say which metrics of a scenario will have no value because a block is too short for them.
func (r *Rules) Warnings(scenario string) []string {
	s, _ := r.Scenarios.Get(scenario)
	due := int64(s.Rate.F() / 2 * r.Block.D().Seconds())
	var warnings []string
	for name := range s.Metrics.All() {
		if q, ok := quantileNamed(name); ok && !results.Printable(q, due) {
			warnings = append(warnings, fmt.Sprintf("%s needs %d samples a block and %d are due on each side: it will have no value, and absent data never passes",
				name, stats.MinSamples(q, results.Confidence), due))
		}
	}
	return warnings
}

// quantileNamed reads the quantile out of the name of a metric such as p99 or service-p99.9.
func quantileNamed(name string) (float64, bool) {
	text := name[strings.LastIndexByte(name, '-')+1:]
	percent, err := strconv.ParseFloat(strings.TrimPrefix(text, "p"), 64)
	return percent / 100, err == nil && strings.HasPrefix(text, "p")
}

// AA says whether a round, from 1, loads the baseline against itself.
func (r *Rules) AA(round int) bool { return round%r.AAEvery == 0 }

// describe spells the looks: 12, 24 or 60.
func (r *Rules) describe() string {
	var words []string
	for _, look := range r.Looks {
		words = append(words, fmt.Sprint(look))
	}
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " or " + words[n-1]
	}
	return strings.Join(words, "")
}
