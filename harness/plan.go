// Package harness turns an experiment into a run: it plans every trial, deploys each arm with fresh processes, proves by probes
// that the arms do the same work, loads them, meters them, and records what happened.
//
// Its one invariant: a finished trial is on disk before the next one begins, and nothing that was started outlives the run. It
// analyses nothing: reports and ci read the records.
package harness

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"crossroads/results"
	"crossroads/topologies"
)

// Overrides are what the command line may change of an experiment. Zero values change nothing.
type Overrides struct {
	Rates    topologies.Rates
	Rounds   int
	Duration time.Duration
	Warmup   time.Duration
	Only     []string // arms; the direct arm stays unless it is the one thing left out by name
	Driver   string
	Seed     uint64
}

// Apply changes the experiment in place. It returns an error that names the flag.
func (o Overrides) Apply(e *topologies.Experiment) error {
	if len(o.Rates) > 0 {
		e.Load.Rates = o.Rates
		if !containsRate(o.Rates, e.Load.ReferenceRate.F()) {
			e.Load.ReferenceRate = o.Rates[len(o.Rates)/2]
		}
	}
	if o.Rounds > 0 {
		e.Load.Rounds = o.Rounds
	}
	if o.Duration > 0 {
		e.Load.Duration = unitsDuration(o.Duration)
		e.Load.DurationElsewhere = 0
	}
	if o.Warmup > 0 {
		e.Load.Warmup = unitsDuration(o.Warmup)
	}
	if o.Driver != "" && o.Driver != e.Load.Driver {
		e.Load.Driver, e.Load.Pacing = o.Driver, "" // pacing is a setting of one driver
	}
	if o.Seed != 0 {
		e.Seed = o.Seed
	}
	if err := o.keepOnly(e); err != nil {
		return err
	}
	return recheck(e)
}

// recheck reads the changed experiment as a file would be read: what a file may not say, flags may not say either.
func recheck(e *topologies.Experiment) error {
	data, err := topologies.Marshal(e)
	if err != nil {
		return fmt.Errorf("writing the changed experiment: %w", err)
	}
	changed, err := topologies.Parse("the experiment as changed by flags", data)
	if err != nil {
		return err
	}
	*e = *changed
	return nil
}

func (o Overrides) keepOnly(e *topologies.Experiment) error {
	if len(o.Only) == 0 {
		return nil
	}
	kept := e.Topologies
	kept.Clear()
	for _, name := range o.Only {
		topology, known := e.Topologies.Get(name)
		if !known {
			return fmt.Errorf("--only %s: the experiment declares no such topology; it has %v", name, e.Topologies.Keys())
		}
		kept.Set(name, topology)
	}
	e.Topologies = kept
	e.DropIdleFaults()
	return nil
}

func containsRate(rates topologies.Rates, rate float64) bool {
	for _, r := range rates {
		if r.F() == rate {
			return true
		}
	}
	return false
}

// NewPlan decides every trial of a run: rounds outermost; in each round the arms in a seeded random order; in each arm its rates
// and connection counts in a seeded random order. The schedule's seed is the same for all arms of a round at a rate (common random
// numbers), so that the arms differ in their proxies alone.
func NewPlan(e *topologies.Experiment, now time.Time) (results.Plan, error) {
	resolved, err := topologies.Marshal(e)
	if err != nil {
		return results.Plan{}, fmt.Errorf("writing the resolved experiment: %w", err)
	}
	sum := sha256.Sum256(resolved)
	p := results.Plan{
		Schema: results.Schema, Name: e.Name, Experiment: hex.EncodeToString(sum[:]),
		ID:   fmt.Sprintf("%s-%s-%s", e.Name, now.UTC().Format("20060102-150405"), hex.EncodeToString(sum[:3])),
		Seed: e.Seed, Rounds: e.Load.Rounds, Reference: e.Load.ReferenceRate.F(), Created: now.UTC(),
	}
	arms := e.Arms()
	for _, arm := range arms {
		p.Arms = append(p.Arms, describe(arm))
	}
	for _, o := range e.Objectives {
		p.Objectives = append(p.Objectives, results.Objective{Text: o.Text, Metric: o.Metric, Quantile: o.Quantile, Op: o.Op, Value: o.Value})
	}
	for round := 1; round <= e.Load.Rounds; round++ {
		order := rand.New(rand.NewPCG(e.Seed, mix("order", round, "", 0)))
		for _, i := range order.Perm(len(arms)) {
			p.Trials = append(p.Trials, planArm(e, arms[i].Name, round, order)...)
		}
	}
	for i := range p.Trials {
		p.Trials[i].Order = i + 1
	}
	return p, nil
}

// planArm lists the trials of one arm in one round, in a random order.
func planArm(e *topologies.Experiment, arm string, round int, order *rand.Rand) []results.PlannedTrial {
	var trials []results.PlannedTrial
	for _, rate := range e.Load.Rates {
		for _, connections := range e.Load.Connections {
			trials = append(trials, results.PlannedTrial{
				ID:    fmt.Sprintf("r%d-%s-%s-c%d", round, arm, rate, connections),
				Round: round, Arm: arm, Rate: rate.F(), Connections: connections,
				Seed:   mix("schedule", round, strconv.FormatUint(e.Seed, 10), rate.F()),
				Warmup: int64(e.Load.Warmup), Duration: int64(blockLength(e, rate.F())),
				Driver: driverName(e.Load),
			})
		}
	}
	order.Shuffle(len(trials), func(i, j int) { trials[i], trials[j] = trials[j], trials[i] })
	return trials
}

func blockLength(e *topologies.Experiment, rate float64) time.Duration {
	if rate != e.Load.ReferenceRate.F() && e.Load.DurationElsewhere > 0 {
		return e.Load.DurationElsewhere.D()
	}
	return e.Load.Duration.D()
}

func driverName(l topologies.Driving) string {
	if l.Driver == "native" {
		return "native/" + l.Pacing
	}
	return l.Driver
}

// mix derives a seed from what it is for, so that seeds do not depend on the order in which they are drawn.
func mix(purpose string, round int, text string, rate float64) uint64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d/%s/%g", purpose, round, text, rate))
	return binary.LittleEndian.Uint64(sum[:8])
}

// describe keeps of an arm what a report needs to know without the experiment.
func describe(arm *topologies.Arm) results.ArmInfo {
	entry, edge := arm.Hops()
	info := results.ArmInfo{
		Name: arm.Name, EntryHops: entry, EdgeHops: edge,
		Edges: arm.Edges(), Encrypted: arm.EncryptedEdges(), OriginTime: int64(arm.OriginTime()),
	}
	if g := arm.Topology.Gateway; g != nil {
		info.Gateway, info.Features = g.Use, g.Features()
		if g.Config != nil {
			info.Config = &results.OwnConfig{File: g.Config.File, SHA256: results.Hash([]byte(g.Config.Text))}
		}
	}
	if m := arm.Topology.Mesh; m != nil && m.Sidecars != "none" {
		info.Mesh, info.MTLS = m.Sidecars, m.MTLS
		if m.Use != topologies.Reference {
			info.MeshUse = m.Use
		}
		info.Busy = int64(m.Busy) * int64(arm.SidecarCrossings())
	}
	if x := arm.Topology.External; x != nil {
		info.External = x.URL
	}
	info.Composition = composition(arm)
	for _, node := range arm.Processes() {
		info.Processes++
		if node.Kind != topologies.KindWorkload && node.Kind != topologies.KindIssuer {
			info.Proxies++
		}
	}
	return info
}

// composition says how an arm's client gets what is made of calls; nil where nothing is.
func composition(arm *topologies.Arm) *results.Composition {
	trips := arm.Trips()
	if !arm.Experiment.Calls() {
		return nil
	}
	c := &results.Composition{By: results.ByClient, Calls: trips.Calls, Requests: trips.Requests, InTurn: trips.InTurn}
	for _, r := range arm.Experiment.Load.Requests {
		if arm.Composes(&r) {
			c.By = results.ByGateway
		}
	}
	return c
}

// Length estimates how long a plan takes: blocks and warm-ups as declared, and what deploying and probing an arm costs by
// experience.
func Length(p results.Plan) time.Duration {
	var total time.Duration
	arm, round := "", 0
	for _, t := range p.Trials {
		if t.Arm != arm || t.Round != round {
			arm, round = t.Arm, t.Round
			total += deployCost
		}
		total += time.Duration(t.Warmup+t.Duration) + trialCost
	}
	return total
}

// What a deployment with its probes and take-down, and a trial beyond its block, take on a two-core machine.
const (
	deployCost = 900 * time.Millisecond
	trialCost  = 150 * time.Millisecond
)
