// Package topologies is what is declared: the application (a call graph of services), the topologies in which to run it, and the
// load. It reads experiment files strictly, checks what they mean, and works out what follows from them (arms, hops, edges).
//
// Its one invariant: an Experiment returned without an error can be deployed as it stands: every name resolves, the call graph has
// no cycle, and every key does something. It starts no process and knows no port.
package topologies

import (
	"crossroads/proxies/config/strict"
	"crossroads/proxies/config/units"
)

// Experiment is one experiment file.
type Experiment struct {
	Version     int                  `yaml:"version" json:"version"`
	Name        string               `yaml:"name" json:"name"`
	Application Application          `yaml:"application,omitempty" json:"application"`
	Topologies  strict.Map[Topology] `yaml:"topologies" json:"topologies"` // once read, extends is composed: no topology names another
	Load        Driving              `yaml:"load" json:"load"`
	Faults      []Fault              `yaml:"faults,omitempty" json:"faults,omitempty"` // in every trial, at their times of the measured block
	Objectives  []Objective          `yaml:"objectives,omitempty" json:"objectives"`
	Placement   Placement            `yaml:"placement,omitempty" json:"placement"`
	Seed        uint64               `yaml:"seed,omitempty" json:"seed"`
}

// Application is the call graph; one workload binary plays every node.
type Application struct {
	Entry    string              `yaml:"entry,omitempty" json:"entry"` // default: the first service called, where every request is made of calls
	Services strict.Map[Service] `yaml:"services" json:"services"`
}

// Service is one node of the call graph.
type Service struct {
	Replicas int         `yaml:"replicas,omitempty" json:"replicas"`
	Work     Work        `yaml:"work,omitempty" json:"work"`
	Response Payload     `yaml:"response,omitempty" json:"response"`
	Errors   units.Share `yaml:"errors,omitempty" json:"errors"` // of calls that fail, declared
	Script   []Step      `yaml:"script,omitempty" json:"script,omitempty"`
}

// Work is what a node does before it calls or answers: CPU burnt, then time waited.
type Work struct {
	CPU  units.Duration `yaml:"cpu,omitempty" json:"cpu"`
	Wait Wait           `yaml:"wait,omitempty" json:"wait"`
}

// Wait is a distribution of waiting times; at most one is set.
type Wait struct {
	Fixed       *units.Duration  `yaml:"fixed,omitempty" json:"fixed,omitempty"`
	Uniform     *Uniform         `yaml:"uniform,omitempty" json:"uniform,omitempty"`
	Exponential *Exponential     `yaml:"exponential,omitempty" json:"exponential,omitempty"`
	Lognormal   *Lognormal       `yaml:"lognormal,omitempty" json:"lognormal,omitempty"`
	Recorded    []units.Duration `yaml:"recorded,omitempty" json:"recorded,omitempty"`
}

// Uniform draws evenly between two durations.
type Uniform struct {
	Min units.Duration `yaml:"min" json:"min"`
	Max units.Duration `yaml:"max" json:"max"`
}

// Exponential draws with the given mean.
type Exponential struct {
	Mean units.Duration `yaml:"mean" json:"mean"`
}

// Lognormal draws with the given median; Sigma is the standard deviation of the logarithm.
type Lognormal struct {
	Median units.Duration `yaml:"median" json:"median"`
	Sigma  float64        `yaml:"sigma" json:"sigma"`
}

// Payload is a body of a declared size.
type Payload struct {
	Size units.Bytes `yaml:"size,omitempty" json:"size"`
}

// Step is one step of a script: calls that run at the same time. A plain `call:` is a step of one call; a nested list is a step of
// several.
type Step struct {
	Calls []Call `json:"calls"`
}

// Call is one call to another service.
type Call struct {
	Call        string       `yaml:"call" json:"call"`
	Probability *units.Share `yaml:"probability,omitempty" json:"probability,omitempty"` // default: always
	Request     Payload      `yaml:"request,omitempty" json:"request"`
}

// Topology says which proxies stand where. The empty topology is direct: no proxy at all.
type Topology struct {
	Extends  []string  `yaml:"extends,omitempty" json:"extends,omitempty"` // laid over each other in this order, then this one's own keys
	Gateway  *Gateway  `yaml:"gateway,omitempty" json:"gateway,omitempty"`
	Mesh     *Mesh     `yaml:"mesh,omitempty" json:"mesh,omitempty"`
	Client   *Client   `yaml:"client,omitempty" json:"client,omitempty"`
	External *External `yaml:"external,omitempty" json:"external,omitempty"`
}

// Gateway is a proxy in front of the entry service.
type Gateway struct {
	Use      string                  `yaml:"use,omitempty" json:"use"` // reference | relay | nginx | haproxy | envoy | traefik | caddy; kong needs a deployer that this version has not
	Replicas int                     `yaml:"replicas,omitempty" json:"replicas"`
	Config   *OwnConfig              `yaml:"config,omitempty" json:"config,omitempty"` // a file of one's own instead of the rendered one, of a proxy that we did not write
	TLS      string                  `yaml:"tls,omitempty" json:"tls,omitempty"`       // off | on: the load comes in by HTTPS, and verifies the certificate that the deployment issues
	Stages   GatewayStages           `yaml:"stages,omitempty" json:"stages"`
	Upstream GatewayUpstream         `yaml:"upstream,omitempty" json:"upstream"`
	Compose  strict.Map[Composition] `yaml:"compose,omitempty" json:"compose,omitzero"` // by path: the gateway answers it in one piece, with what its parts answer
	Ledger   string                  `yaml:"ledger,omitempty" json:"ledger,omitempty"`  // off | sampled | always: where the time of requests goes
}

// Mesh puts sidecars beside the services.
type Mesh struct {
	Use           string `yaml:"use,omitempty" json:"use"`                     // reference | relay | nginx | haproxy | envoy; linkerd and istio need a deployer that this version has not
	Sidecars      string `yaml:"sidecars,omitempty" json:"sidecars"`           // none | client | server | both
	MTLS          string `yaml:"mtls,omitempty" json:"mtls"`                   // strict | permissive | off; default: strict with both, else off
	App           string `yaml:"app,omitempty" json:"app"`                     // tcp | unix: how application and sidecar talk
	Protocol      string `yaml:"protocol,omitempty" json:"protocol"`           // http | opaque: how calls between services are carried
	Balance       string `yaml:"balance,omitempty" json:"balance"`             // round_robin | least_request; done by the caller's sidecar
	Breaker       string `yaml:"breaker,omitempty" json:"breaker"`             // off | on; done by the caller's sidecar
	Retries       string `yaml:"retries,omitempty" json:"retries"`             // off | on; done by the caller's sidecar
	Authorization string `yaml:"authorization,omitempty" json:"authorization"` // off | dry_run | on; done by the callee's sidecar, by the caller's identity
	Ledger        string `yaml:"ledger,omitempty" json:"ledger,omitempty"`     // off | sampled | always: as the gateway's
	// SVIDLifetime is how long certificates live, renewed at half of it; 0: as long as the control plane lets them, a day.
	SVIDLifetime units.Duration `yaml:"svid_lifetime,omitempty" json:"svid_lifetime,omitzero"`

	Busy units.Duration `yaml:"busy,omitempty" json:"busy,omitzero"` // of relays: CPU time that each spends on a request for nothing
}

// External points at a system that somebody else runs.
type External struct {
	URL string `yaml:"url" json:"url"`
}

// Driving is what the driver sends: the load of an experiment.
type Driving struct {
	Arrivals          Arrivals       `yaml:"arrivals,omitempty" json:"arrivals"`
	Rates             Rates          `yaml:"rates" json:"rates"` // per second, for the whole arm
	ReferenceRate     units.Count    `yaml:"reference_rate,omitempty" json:"reference_rate"`
	Connections       Ints           `yaml:"connections,omitempty" json:"connections"`
	Warmup            units.Duration `yaml:"warmup,omitempty" json:"warmup"`
	Duration          units.Duration `yaml:"duration,omitempty" json:"duration"`
	DurationElsewhere units.Duration `yaml:"duration_elsewhere,omitempty" json:"duration_elsewhere"` // away from the reference rate; 0: Duration
	Rounds            int            `yaml:"rounds,omitempty" json:"rounds"`
	Driver            string         `yaml:"driver,omitempty" json:"driver"`   // native | vegeta
	Pacing            string         `yaml:"pacing,omitempty" json:"pacing"`   // precise | economical (native only)
	Timeout           units.Duration `yaml:"timeout,omitempty" json:"timeout"` // of one request, from due
	Requests          []Request      `yaml:"requests,omitempty" json:"requests"`
}

// Arrivals is how due times are drawn: constant, poisson, a linear ramp, or recorded in a file.
type Arrivals struct {
	Kind     string `json:"kind"`               // constant | poisson | ramp | recorded
	Ramp     *Ramp  `json:"ramp,omitempty"`     // {ramp: {from: 10%}}
	Recorded string `json:"recorded,omitempty"` // {recorded: FILE}: one due time in seconds a line, scaled to the rate
}

// Ramp climbs linearly from a share of the rate to the rate over the block.
type Ramp struct {
	From units.Share `yaml:"from" json:"from"`
}

// Rates are offered rates, written as a list or as a doubling or stepping range: 1k..16k*2, 500..2k+500.
type Rates []units.Count

// Ints is one whole number or a list of them.
type Ints []int

// Request is one kind of request; kinds are drawn by weight.
type Request struct {
	Method  string             `yaml:"method,omitempty" json:"method"`
	Path    string             `yaml:"path" json:"path"`
	Headers strict.Map[string] `yaml:"headers,omitempty" json:"headers"`
	Body    Payload            `yaml:"body,omitempty" json:"body"`
	Weight  int                `yaml:"weight,omitempty" json:"weight"`
	Calls   []ClientCall       `yaml:"calls,omitempty" json:"calls,omitempty"` // what it is made of; the client makes them itself, unless a gateway composes the path
}

// Fault is one thing that is made to go wrong in every trial: processes that are killed, paused or terminated, proxies whose certificate
// ends or whose configuration goes stale, or replicas of a service that answer badly. An arm in which none of its processes stands runs without it.
type Fault struct {
	At        units.Duration `yaml:"at" json:"at"`                                   // since the begin of the measured block
	For       units.Duration `yaml:"for" json:"for"`                                 // then the process is started or continued again; 0: it never is
	Kill      Names          `yaml:"kill,omitempty" json:"kill,omitempty"`           // SIGKILL, with all that the process started
	Pause     Names          `yaml:"pause,omitempty" json:"pause,omitempty"`         // SIGSTOP, then SIGCONT
	Terminate Names          `yaml:"terminate,omitempty" json:"terminate,omitempty"` // SIGTERM: the process may drain
	Expire    Names          `yaml:"expire,omitempty" json:"expire,omitempty"`       // sidecars or gateways whose SVID is not renewed: it ends within mesh.svid_lifetime
	Stale     Names          `yaml:"stale,omitempty" json:"stale,omitempty"`         // sidecars or gateways that no new snapshot of the control plane reaches
	Service   string         `yaml:"service,omitempty" json:"service,omitempty"`     // whose replicas answer badly, as told below
	Replica   int            `yaml:"replica,omitempty" json:"replica,omitempty"`     // which one, from 1; 0: all of them
	Errors    units.Share    `yaml:"errors,omitempty" json:"errors,omitempty"`       // of its requests that are answered with 500
	Delay     units.Duration `yaml:"delay,omitempty" json:"delay,omitempty"`         // before each request's work
	Reset     units.Share    `yaml:"reset,omitempty" json:"reset,omitempty"`         // of its requests whose connection is reset
}

// Names are one name or a list of them.
type Names []string

// Objective is a condition such as p(99) < 20ms, errors < 0.1% or achieved >= 99% offered.
type Objective struct {
	Text     string  `json:"text"`
	Metric   string  `json:"metric"`             // p | errors | achieved
	Quantile float64 `json:"quantile,omitempty"` // of p, in per cent
	Op       string  `json:"op"`                 // < | <= | > | >=
	Value    float64 `json:"value"`              // seconds for p, a share 0-1 for the others
}

// Placement says which CPUs the driver, the proxies and the workload get; empty lists share all CPUs. Awake keeps idle ones from
// sleeping, for experiments that ask where time goes.
type Placement struct {
	Driver   Ints `yaml:"driver,omitempty" json:"driver,omitempty"`
	Proxies  Ints `yaml:"proxies,omitempty" json:"proxies,omitempty"`
	Workload Ints `yaml:"workload,omitempty" json:"workload,omitempty"`
	Awake    bool `yaml:"awake,omitempty" json:"awake,omitempty"`
}

// Arm is one topology of an experiment under measurement.
type Arm struct {
	Name       string
	Topology   Topology
	Experiment *Experiment
}
