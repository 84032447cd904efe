package parity

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"crossroads/harness/deploy"
	"crossroads/results"
	"crossroads/topologies"
)

// Seen is what the probes of an arm saw: what is not as declared, and what was asked and answered where something is declared.
type Seen struct {
	Failures   []Failure
	Probes     []results.Probe
	Handshakes []results.Handshake
}

// Check runs every probe that applies to the arm and returns what failed, in a fixed order.
func Check(ctx context.Context, arm *topologies.Arm, d deploy.Deployment) []Failure {
	return Look(ctx, arm, d).Failures
}

// note is one thing that a probe saw.
type note struct {
	probe string // whose failures are this feature's
	results.Probe
}

// saw notes what was asked for a feature that is declared, and what was answered, whether that is as it should be or not: the failures of
// the probe tell.
func (c *checker) saw(probe, feature, asked, answered string) {
	c.notes(note{probe, results.Probe{Place: c.place(), Feature: feature, Asked: asked, Answered: answered}})
}

// beside is saw for what is the sidecars' even where a gateway stands in front of them.
func (c *checker) beside(probe, feature, asked, answered string) {
	c.notes(note{probe, results.Probe{Place: results.PlaceSidecars, Feature: feature, Asked: asked, Answered: answered}})
}

// told is saw for what a proxy says of itself.
func (c *checker) told(probe, place, feature, asked, answered string) {
	c.notes(note{probe, results.Probe{Place: place, Feature: feature, Asked: asked, Answered: answered, Told: true}})
}

func (c *checker) notes(n note) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.noted, n) { // several entries answer alike
		c.noted = append(c.noted, n)
	}
}

// place is whose the features are that show at the entry.
func (c *checker) place() string {
	if c.arm.Topology.Gateway != nil {
		return results.PlaceGateway
	}
	return results.PlaceSidecars
}

// seen puts what was noted in order and marks what failed. Of the arm without a proxy there is nothing to tell.
func (c *checker) seen(failures []Failure) Seen {
	s := Seen{Failures: failures}
	if c.arm.Direct() || c.external() {
		return s
	}
	for _, f := range failures {
		if !slices.ContainsFunc(c.noted, func(n note) bool { return n.probe == f.Probe }) {
			c.saw(f.Probe, f.Probe, "the probe "+f.Probe, f.Text)
		}
	}
	slices.SortStableFunc(c.noted, func(x, y note) int {
		return cmp.Or(cmp.Compare(x.Place, y.Place), cmp.Compare(x.Feature, y.Feature), cmp.Compare(x.Answered, y.Answered))
	})
	for _, n := range c.noted {
		var why []string
		for _, f := range failures {
			if f.Probe == n.probe {
				why = append(why, f.Text)
			}
		}
		if n.Failed = len(why) > 0; n.Failed {
			n.Answered = strings.Join(why, "; ")
		}
		s.Probes = append(s.Probes, n.Probe)
	}
	slices.SortFunc(c.shaken, func(x, y results.Handshake) int {
		return cmp.Or(cmp.Compare(x.Process, y.Process), cmp.Compare(x.At, y.At), cmp.Compare(x.Seen, y.Seen))
	})
	s.Handshakes = c.shaken
	return s
}

// statuses writes what several questions were answered.
func statuses(all []int) string {
	words := make([]string, len(all))
	for i, s := range all {
		words[i] = fmt.Sprint(s)
	}
	return strings.Join(words, ", ")
}
