package harness

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"crossroads/harness/deploy"
	"crossroads/harness/deploy/process"
	"crossroads/harness/parity"
	"crossroads/harness/rivals"
	"crossroads/results"
	"crossroads/topologies"
)

// Features is what the arms of an experiment did when they were asked, without a load.
type Features struct {
	Arms      []results.ArmInfo   `json:"arms"`
	Sightings []results.Sighting  `json:"sightings"`
	Refused   []results.Refusal   `json:"refused,omitempty"`
	Failures  []results.Exclusion `json:"failures,omitempty"` // a probe that failed, or an arm that did not come up
	Absent    []Absent            `json:"absent,omitempty"`   // arms that were not asked
}

// Absent is an arm that could not be deployed here, and how to mend that.
type Absent struct {
	Arm    string `json:"arm"`
	Reason string `json:"reason"`
	Mend   string `json:"mend"`
}

// Ask deploys every arm of an experiment that has a proxy, one after the other, has parity ask it, and takes it down again. note is told of each.
func Ask(ctx context.Context, e *topologies.Experiment, executable, logs string, note func(string)) (Features, error) {
	f := Features{Refused: rivals.Refusals(e)}
	binaries, err := Binaries(executable)
	if err != nil {
		return f, err
	}
	for _, arm := range e.Arms() {
		if arm.Direct() || arm.Topology.External != nil {
			continue
		}
		used, err := rivals.ForArm(arm)
		var unusable *rivals.Unusable
		switch {
		case errors.As(err, &unusable):
			f.Absent = append(f.Absent, Absent{arm.Name, unusable.Reason, unusable.Mend})
			note(fmt.Sprintf("%s: not asked: %s", arm.Name, unusable.Reason))
			continue
		case err != nil:
			return f, err
		}
		deployer, err := process.New(process.Config{Binaries: binaries, Dir: filepath.Join(logs, arm.Name), Rivals: used.Renderers()})
		if err != nil {
			return f, err
		}
		f.Arms = append(f.Arms, describe(arm))
		if err := f.ask(ctx, deployer, arm, note); err != nil {
			return f, err
		}
	}
	return f, nil
}

func (f *Features) ask(ctx context.Context, deployer deploy.Deployer, arm *topologies.Arm, note func(string)) error {
	began := time.Now()
	d, err := deployer.Deploy(ctx, arm)
	var notReady *deploy.NotReady
	switch {
	case errors.As(err, &notReady):
		f.Failures = append(f.Failures, results.Exclusion{Round: 1, Arm: arm.Name, Probe: "ready", Text: fmt.Sprintf("%v: %s", err, lastOf(notReady.Log))})
		note(fmt.Sprintf("%s: %v", arm.Name, err))
		return nil
	case err != nil:
		return fmt.Errorf("deploying %s: %w", arm.Name, err)
	}
	seen := parity.Look(ctx, arm, d)
	if err := errors.Join(ctx.Err(), closeDeployment(d)); err != nil {
		return err
	}
	f.Sightings = append(f.Sightings, results.Sighting{Round: 1, Arm: arm.Name, Probes: seen.Probes, Handshakes: seen.Handshakes})
	for _, failure := range seen.Failures {
		f.Failures = append(f.Failures, results.Exclusion{Round: 1, Arm: arm.Name, Probe: failure.Probe, Text: failure.Text})
	}
	note(fmt.Sprintf("%s: %d features asked for in %s, %d probes failed", arm.Name, len(seen.Probes), time.Since(began).Round(10*time.Millisecond), len(seen.Failures)))
	return nil
}

func lastOf(log []string) string {
	if len(log) == 0 {
		return "it said nothing"
	}
	return log[len(log)-1]
}
