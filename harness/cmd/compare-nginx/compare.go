package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"time"

	"crossroads/harness"
	"crossroads/harness/deploy"
	"crossroads/harness/deploy/process"
	"crossroads/harness/load"
	"crossroads/harness/parity"
	"crossroads/harness/rivals"
	"crossroads/topologies"
)

// experiment is one service that only answers, behind each of the two. The proxy has the last CPU for itself.
const experiment = `
version: 1
name: compare-nginx
application: {entry: app, services: {app: {response: {size: 1KiB}}}}
topologies:
  gateway: {gateway: {use: reference}}
  nginx: {gateway: {use: nginx}}
load: {rates: [1], connections: 32}
placement: {driver: [0], proxies: [1], workload: [0]}
`

// comparison is what the command line says.
type comparison struct {
	rounds     int
	rates      []float64
	flood      float64 // 0: none
	latency    float64 // rate of the block that times responses; 0: none
	duration   time.Duration
	executable string
	also       []build
	progress   io.Writer
}

// build is another build of the gateway.
type build struct{ name, path string }

// contender is a proxy in the comparison.
type contender struct {
	name     string
	arm      *topologies.Arm
	deployer *process.Deployer
}

// rival is the contender that all others are compared with.
const rival = "nginx"

// keeping up is to answer this share of what is offered: less, and requests queue.
const keeping = 0.9

// kind is one kind of block: all contenders get it in each round.
type kind struct {
	title  string
	rate   float64
	pacing load.Pacing
	keeps  bool // a contender that does not keep up ends the comparison
}

// series is the blocks of one kind, by contender and round.
type series map[string][]block

func (c comparison) compare(ctx context.Context, stdout io.Writer) error {
	logs, err := os.MkdirTemp("", "compare-nginx-")
	if err != nil {
		return fmt.Errorf("making a directory for logs: %w", err)
	}
	defer os.RemoveAll(logs)
	contenders, version, err := c.contenders(logs)
	if err != nil {
		return err
	}
	kinds := c.kinds()
	measured := make([]series, len(kinds))
	for round := range c.rounds {
		for i := range contenders {
			who := contenders[(i+round)%len(contenders)] // who goes first alternates
			blocks, err := c.visit(ctx, who, kinds, uint64(round)+1)
			if err != nil {
				return fmt.Errorf("round %d, %s: %w", round+1, who.name, err)
			}
			for k, b := range blocks {
				if measured[k] == nil {
					measured[k] = series{}
				}
				measured[k][who.name] = append(measured[k][who.name], b)
			}
		}
	}
	fmt.Fprintf(stdout, "plain forwarding, 1 KiB answers, %d connections, one CPU for the proxy, nginx %s, %d rounds of %v\n\n", connections, version, c.rounds, c.duration)
	for k := range kinds {
		print(stdout, kinds[k], contenders, measured[k])
	}
	return nil
}

// contenders are the gateway, its other builds and nginx.
func (c comparison) contenders(logs string) ([]contender, string, error) {
	e, err := topologies.Parse("compare-nginx.yaml", []byte(experiment))
	if err != nil {
		return nil, "", err
	}
	binaries, err := harness.Binaries(c.executable)
	if err != nil {
		return nil, "", err
	}
	used, err := rivals.For(e)
	if err != nil {
		return nil, "", err
	}
	deployer := func(name string, binaries map[string]string) (*process.Deployer, error) {
		return process.New(process.Config{Binaries: binaries, Dir: filepath.Join(logs, name), Rivals: used.Renderers()})
	}
	own, err := deployer("deployments", binaries)
	if err != nil {
		return nil, "", err
	}
	var found []contender
	for _, arm := range e.Arms() {
		found = append(found, contender{arm.Name, arm, own})
		if arm.Name == rival {
			continue
		}
		for _, b := range c.also {
			binaries := maps.Clone(binaries)
			binaries[deploy.KindGateway] = b.path
			other, err := deployer(b.name, binaries)
			if err != nil {
				return nil, "", err
			}
			found = append(found, contender{b.name, arm, other})
		}
	}
	return found, used[rival].Version, nil
}

func (c comparison) kinds() []kind {
	var all []kind
	for _, rate := range c.rates {
		all = append(all, kind{fmt.Sprintf("at %g/s", rate), rate, load.Economical, true})
	}
	if c.latency > 0 {
		all = append(all, kind{fmt.Sprintf("timed at %g/s", c.latency), c.latency, load.Precise, true})
	}
	if c.flood > 0 {
		all = append(all, kind{fmt.Sprintf("flooded with %g/s", c.flood), c.flood, load.Economical, false})
	}
	return all
}

// visit deploys one contender, proves that it does its work, and measures a block of each kind.
func (c comparison) visit(ctx context.Context, who contender, kinds []kind, seed uint64) (measured []block, err error) {
	d, err := who.deployer.Deploy(ctx, who.arm)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Close(context.WithoutCancel(ctx))) }()
	if failures := parity.Check(ctx, who.arm, d); len(failures) > 0 {
		return nil, fmt.Errorf("it does not do its work: %s: %s", failures[0].Probe, failures[0].Text)
	}
	for _, k := range kinds {
		b, err := c.block(ctx, who.arm, d, k, seed)
		if err != nil {
			return nil, err
		}
		if k.keeps && b.rate < keeping*k.rate {
			return nil, fmt.Errorf("it answered %.0f/s of %g/s: choose a lower --rate", b.rate, k.rate)
		}
		measured = append(measured, b)
		fmt.Fprintf(c.progress, "round %d  %-8s %-22s %6.0f/s  %.1f us a request\n", seed, who.name, k.title, b.rate, b.cpu)
	}
	return measured, nil
}
