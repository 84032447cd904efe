package topologies

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"crossroads/proxies/config/strict"
)

// Limits of an experiment. They are far above what one machine runs and keep a slip of the finger from starting it.
const (
	MaxServices    = 64
	MaxReplicas    = 32
	MaxTopologies  = 64
	MaxSteps       = 64     // of a script, and calls of a step
	MaxVisits      = 10_000 // calls that one request can cause
	MaxProcesses   = 512    // of one arm
	MaxRequests    = 64     // kinds of request
	MaxRounds      = 1000
	MaxFaults      = 16 // of one experiment
	MaxConnections = 16_384
	MaxBody        = 16 << 20   // bytes of a body
	MaxSamples     = 20_000_000 // of one trial, warm-up included
)

// checker reports what is wrong with the meaning of an experiment that could be read.
type checker struct {
	e    *Experiment
	doc  *strict.Document
	file string                  // that was read
	own  map[string]*strict.Node // what each topology writes itself, before extends
}

// ownKeys keeps what stands in the file before compose replaces it.
func ownKeys(e *Experiment, doc *strict.Document) map[string]*strict.Node {
	own := map[string]*strict.Node{}
	for _, name := range e.Topologies.Keys() {
		own[name] = doc.Root().Lookup(strict.Key("$.topologies", name))
	}
	return own
}

// wrote says whether a topology itself, not one that it extends, writes a key.
func (c *checker) wrote(topology, path string) bool { return c.own[topology].Lookup("$."+path) != nil }

func (c *checker) report(path, format string, args ...any) { c.doc.Report(path, format, args...) }

// within reports a number outside its bounds, unless decoding failed already and left a zero that nobody wrote.
func (c *checker) within(path string, value, low, high int) {
	if (value < low || value > high) && (c.doc.Has(path) || value != 0) {
		c.report(path, "%d is outside %d to %d", value, low, high)
	}
}

// oneOf reports a word that is not among the known ones.
func (c *checker) oneOf(path, what, word string, known []string) {
	if word != "" && !slices.Contains(known, word) {
		c.report(path, "%s", strict.Unknown(what, word, known))
	}
	if n := c.doc.Root().Lookup(path); n != nil && n.Kind == strict.Scalar && n.Text == "" {
		c.report(path, "%s is empty: known are %s", what, strings.Join(known, ", "))
	}
}

func (c *checker) required(path, what string) {
	if !c.doc.Has(path) {
		c.report(path, "%s", what)
	}
}

// names reach file names, host names and SPIFFE IDs.
var (
	fileName    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9+._-]{0,39}$`)
	serviceName = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$`)
)

func (c *checker) experiment() {
	c.required("$.version", "the key version is missing: write version: 1")
	if c.doc.Has("$.version") && c.e.Version != 1 {
		c.report("$.version", "version %d is not known: this is version 1", c.e.Version)
	}
	c.required("$.name", "the key name is missing: a run is named after it")
	if c.e.Name != "" && !fileName.MatchString(c.e.Name) {
		c.report("$.name", "name %q: use at most 40 letters, digits and + . _ -, a letter or digit first", c.e.Name)
	}
	c.topologies()
	if c.deploys() || c.doc.Has("$.application") {
		c.application()
	}
	c.load()
	c.faults()
	for _, p := range []struct {
		path string
		cpus Ints
	}{{"driver", c.e.Placement.Driver}, {"proxies", c.e.Placement.Proxies}, {"workload", c.e.Placement.Workload}} {
		for i, cpu := range p.cpus {
			if cpu < 0 || cpu > 1023 || slices.Contains(p.cpus[:i], cpu) {
				c.report("$.placement."+p.path, "CPU %d: write each CPU once, from 0", cpu)
			}
		}
	}
}

// deploys says whether any topology is brought up here.
func (c *checker) deploys() bool {
	for _, t := range c.e.Topologies.All() {
		if t.External == nil {
			return true
		}
	}
	return c.e.Topologies.Len() == 0
}

func (c *checker) topologies() {
	c.required("$.topologies", "the key topologies is missing: write at least topologies: {direct: {}}")
	if node := c.doc.Root().Get("topologies"); node != nil && node.Kind == strict.Mapping && len(node.Entries) == 0 {
		c.report("$.topologies", "no topology: write at least direct: {}")
	}
	if n := c.e.Topologies.Len(); n > MaxTopologies {
		c.report("$.topologies", "%d topologies: at most %d", n, MaxTopologies)
	}
	for name, t := range c.e.Topologies.All() {
		path := strict.Key("$.topologies", name)
		if !fileName.MatchString(name) {
			c.report(path, "topology name %q: use at most 40 letters, digits and + . _ -, a letter or digit first", name)
		}
		if t.External != nil {
			c.external(path, t)
			continue
		}
		if t.Gateway != nil {
			c.gateway(path+".gateway", t.Gateway)
			c.composes(path+".gateway", t.Gateway)
		}
		if t.Client != nil {
			c.client(path+".client", t)
		}
		if t.Mesh != nil {
			c.mesh(name, path+".mesh", t.Mesh)
		} else if c.wrote(name, "mesh") {
			c.idleBeside(name, path+".mesh", "sidecars: none", meshKeys...)
		}
		arm := &Arm{Name: name, Topology: t, Experiment: c.e}
		if n := len(arm.Processes()); n > MaxProcesses {
			c.report(path, "%d processes: at most %d", n, MaxProcesses)
		}
	}
}

func (c *checker) external(path string, t Topology) {
	if t.Gateway != nil || t.Mesh != nil {
		c.report(path+".external", "an external system is deployed by somebody else: leave gateway and mesh out")
	}
	if c.e.Calls() {
		c.report(path+".external", "load.requests has calls to services, which an external system may not have: write plain requests")
	}
	u, err := url.Parse(t.External.URL)
	switch {
	case !c.doc.Has(path + ".external.url"):
		c.report(path+".external", "the key url is missing: write where the system answers")
	case err != nil || u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
		c.report(path+".external.url", "%q: write it as http://HOST:PORT; the paths are in load.requests", t.External.URL)
	}
}
