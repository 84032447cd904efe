// Package parity proves, before an arm is loaded, that it does the work it is going to be compared by: the same answers as the
// origin's own, through exactly the proxies that the topology says, with the declared features in force.
//
// Its one invariant: a probe passes only on evidence. What could not be asked is a failure, never a pass. It sends a few dozen
// requests, measures nothing and changes nothing but the probe consumer's own rate limit.
package parity

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"crossroads/harness/deploy"
	"crossroads/results"
	"crossroads/topologies"
)

// Failure is one probe that did not find what the topology says.
type Failure struct {
	Probe string // answers, hops, work, stages, upstream, mtls, composition, terms, origin_calls, relays, opaque, app, fields, keep_alive, tls, or the name of a stage
	Text  string
}

// timeout bounds every single request of a probe.
const timeout = 5 * time.Second

// checker is one arm under its probes.
type checker struct {
	arm        *topologies.Arm
	deployment deploy.Deployment
	requests   []topologies.Request
	client     *http.Client // for the entries

	mu     sync.Mutex
	noted  []note
	shaken []results.Handshake
}

// probe is one look at an arm; find returns what it did not find as it should be.
type probe struct {
	name string
	find func(context.Context) []string
}

// Look runs every probe that applies to the arm: all at the same time, and then one by one those that count traffic or read what it leaves
// behind.
func Look(ctx context.Context, arm *topologies.Arm, d deploy.Deployment) Seen {
	if len(d.Entries()) == 0 {
		return Seen{Failures: []Failure{{"answers", "the deployment has no entry"}}}
	}
	c := &checker{arm: arm, deployment: d, requests: arm.Experiment.Load.Requests, client: believing(d.Entries()[0].Roots)}
	failures := run(ctx, []probe{
		{"answers", c.answers},
		{"hops", c.hops},
		{"work", c.work},
		{"stages", c.stages},
		{topologies.StageAccessLog, c.accessLog},
		{topologies.StageCORS, c.cors},
		{topologies.StageKeyAuth, c.keyAuth},
		{topologies.StageJWT, c.jwt},
		{topologies.StageIntrospection, c.introspection},
		{topologies.StageAuthorization, c.rules},
		{topologies.StageRateLimit, c.rateLimit},
		{topologies.StageBodyLimit, c.bodyLimit},
		{"upstream", c.upstream},
		{"mtls", c.mtls},
		{"composition", c.composition},
		{"authorization", c.authorization},
		{"terms", c.terms},
		{"fields", c.fields},
		{"tls", c.entryTLS},
	})
	for _, alone := range []probe{{"origin_calls", c.originCalls}, {"relays", c.relays}, {"opaque", c.opaque}, {"app", c.app}, {"keep_alive", c.keepAlive}} {
		failures = append(failures, run(ctx, []probe{alone})...)
	}
	return c.seen(failures)
}

// run runs probes at the same time.
func run(ctx context.Context, probes []probe) []Failure {
	found := make([][]string, len(probes))
	var wait sync.WaitGroup
	for i, probe := range probes {
		wait.Go(func() { found[i] = probe.find(ctx) })
	}
	wait.Wait()
	var failures []Failure
	for i, probe := range probes {
		slices.Sort(found[i])
		for _, text := range slices.Compact(found[i]) {
			failures = append(failures, Failure{probe.name, text})
		}
	}
	return failures
}

// each runs find for every item at the same time and gathers what was found.
func each[T any](items []T, find func(T) []string) []string {
	found := make([][]string, len(items))
	var wait sync.WaitGroup
	for i, item := range items {
		wait.Go(func() { found[i] = find(item) })
	}
	wait.Wait()
	return slices.Concat(found...)
}

// one is the list of a single finding.
func one(format string, args ...any) []string { return []string{fmt.Sprintf(format, args...)} }

// external says that somebody else runs the system: nothing is known of what stands in it.
func (c *checker) external() bool { return c.arm.Topology.External != nil }

// processes lists those of one kind.
func (c *checker) processes(kind string) []deploy.Process {
	var of []deploy.Process
	for _, p := range c.deployment.Processes() {
		if p.Kind == kind {
			of = append(of, p)
		}
	}
	return of
}

// origin is the base URL of a process of a service itself, past all proxies.
func (c *checker) origin(service string) (string, bool) {
	for _, p := range c.processes(deploy.KindWorkload) {
		if p.Service == service {
			return p.Admin, true
		}
	}
	return "", false
}

// shorten keeps a finding on a line.
func shorten(body []byte) string {
	text := strings.Join(strings.Fields(string(body)), " ")
	if len(text) > 120 {
		return text[:120] + "..."
	}
	return text
}
