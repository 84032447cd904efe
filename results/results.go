// Package results is what happened: the record of a trial, the plan it belongs to, and the run directory that keeps them.
//
// Its one invariant: a record once written is never changed, and a number in a report can be computed from records alone. It says
// whether a trial is evidence (Judge), not whether a difference matters (ci does), and draws nothing (reports does).
package results

import "time"

// Schema is the version of every record written by this code. Readers refuse a higher one.
const Schema = 1

// Plan is everything that was decided before round 1.
type Plan struct {
	Schema     int            `json:"schema"`
	ID         string         `json:"id"` // of the run: <name>-<time>-<short hash>
	Name       string         `json:"name"`
	Experiment string         `json:"experiment_sha256"` // of the resolved experiment
	Binaries   []Binary       `json:"binaries"`
	Machine    string         `json:"machine"` // fingerprint; see Environment
	Seed       uint64         `json:"seed"`
	Rounds     int            `json:"rounds"`
	Reference  float64        `json:"reference_rate"`
	KeptAlive  bool           `json:"kept_alive,omitempty"` // processes outlived their round: a quick look
	Adaptive   bool           `json:"adaptive,omitempty"`   // trials are chosen on the way, as in a search: the plan lists none
	Arms       []ArmInfo      `json:"arms"`
	Trials     []PlannedTrial `json:"trials"` // in the order in which they run
	Objectives []Objective    `json:"objectives,omitempty"`
	Created    time.Time      `json:"created"`
	Refused    []Refusal      `json:"refused,omitempty"` // what the proxies of this experiment are not deployed for
	Search     *Search        `json:"search,omitempty"`  // how an adaptive run chooses its rates
}

// Search is what a search for capacities began with. With the records it can be carried out again, step by step.
type Search struct {
	Start   float64 `json:"start"`   // rate of the first step, per second
	Highest float64 `json:"highest"` // beyond which it does not go
	Width   float64 `json:"width"`   // relative, of the bracket that it looks for
	Fine    int     `json:"fine"`    // steps of one width that each repetition of an arm makes; 0 of versions that made none
	Steps   int     `json:"steps"`   // that one repetition of an arm may take
	Repeat  int     `json:"repeat"`  // whole searches of each arm
}

// Binary is one program that took part.
type Binary struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

// ArmInfo is what a report needs to know of an arm without the experiment.
type ArmInfo struct {
	Name       string   `json:"name"`
	Gateway    string   `json:"gateway,omitempty"`  // which gateway stands in front, "" for none
	Features   []string `json:"features,omitempty"` // what that gateway does besides forwarding: key_auth, cors=shadow, retries
	Mesh       string   `json:"mesh,omitempty"`     // which sidecars: client, server, both, "" for none
	MTLS       string   `json:"mtls,omitempty"`
	MeshUse    string   `json:"mesh_use,omitempty"` // what stands in the sidecars' place: relay; "" for the reference sidecar
	Busy       int64    `json:"busy_ns,omitempty"`  // of relays: what all of them together spend on one request for nothing
	EntryHops  int      `json:"entry_hops"`         // proxies between driver and entry service
	EdgeHops   int      `json:"edge_hops"`          // proxies on each edge of the call graph
	Edges      int      `json:"edges"`              // of the call graph, the driver's own included
	Encrypted  int      `json:"encrypted_edges"`    // edges that are encrypted and authenticated end to end between proxies
	Processes  int      `json:"processes"`          // to run, the driver excepted
	Proxies    int      `json:"proxies"`            // of which proxies and control plane
	OriginTime int64    `json:"origin_ns"`          // declared work on the critical path, expected value
	External   string   `json:"external,omitempty"` // URL of a system that somebody else runs

	Config *OwnConfig `json:"config,omitempty"` // of a gateway that runs with a file of the user's own

	Composition *Composition `json:"composition,omitempty"` // where requests are made of several calls
}

// OwnConfig is a configuration of the user's own; its text stands in the resolved experiment.
type OwnConfig struct {
	File   string `json:"file"`
	SHA256 string `json:"sha256"` // before a deployment's values are filled in
}

// Composition says who makes the calls that a request is made of, as declared. Numbers are means over the kinds of request by weight.
type Composition struct {
	By       string  `json:"by"`       // gateway or client
	Calls    float64 `json:"calls"`    // to services, that one request is made of
	Requests float64 `json:"requests"` // that the client sends for it
	InTurn   float64 `json:"in_turn"`  // of these the ones that wait for each other: the round trips that a user waits for
}

// Who makes the calls.
const (
	ByGateway = "gateway"
	ByClient  = "client"
)

// PlannedTrial is one trial before it ran. ID is unique within the run.
type PlannedTrial struct {
	ID          string  `json:"id"` // r1-mesh-1000-c64
	Order       int     `json:"order"`
	Round       int     `json:"round"` // from 1
	Arm         string  `json:"arm"`
	Rate        float64 `json:"rate"` // per second, offered
	Connections int     `json:"connections"`
	Seed        uint64  `json:"seed"` // of the schedule: the same for all arms of a round at a rate
	Warmup      int64   `json:"warmup_ns"`
	Duration    int64   `json:"duration_ns"` // of the measured block
	Driver      string  `json:"driver"`      // native/precise, native/economical, vegeta
}

// Outcome of a trial; see spec: the first that holds of failed, invalid, saturated, valid.
type Outcome string

const (
	Failed    Outcome = "failed"    // the target died or was never ready: counts against it
	Invalid   Outcome = "invalid"   // the instrument was at fault: excluded, counted, drawn struck through
	Saturated Outcome = "saturated" // the target did not keep up: drawn hollow
	Valid     Outcome = "valid"
)

// Trial is the record of one measured block: the narrow waist of the project.
type Trial struct {
	Schema int `json:"schema"`
	PlannedTrial
	Attempt  int                  `json:"attempt"` // 1, or more where a run was resumed
	Started  time.Time            `json:"started"`
	Outcome  Outcome              `json:"outcome"`
	Reasons  []Reason             `json:"reasons,omitempty"` // why it is not valid
	Flags    []Reason             `json:"flags,omitempty"`   // what a reader should know although it is: a trend, origin-limited, shared CPUs
	Counts   Counts               `json:"counts"`
	Elapsed  int64                `json:"elapsed_ns"`         // of the block as measured
	Errors   map[string]int64     `json:"errors,omitempty"`   // by class: timeout, refused, reset, short_body, status, protocol
	Statuses map[string]int64     `json:"statuses,omitempty"` // by status code
	Times    map[string]Histogram `json:"times,omitempty"`    // response, service, slip, wait; successes only, slip of all
	Seconds  []Second             `json:"seconds,omitempty"`
	Windows  []Window             `json:"windows,omitempty"` // of the block, ten of equal length: the evidence for steadiness
	Usage    []Usage              `json:"usage,omitempty"`
	Driver   DriverUse            `json:"driver_use"`
	Host     HostUse              `json:"host"`
	Failure  *Failure             `json:"failure,omitempty"`
	ReadyIn  int64                `json:"ready_in_ns,omitempty"` // deploy to ready of the arm's processes
	Ledger   *Ledger              `json:"ledger,omitempty"`      // where the time of sampled requests went
	Active   []Active             `json:"active,omitempty"`      // what the proxies themselves said they do, before the load
	Faults   []Fault              `json:"faults,omitempty"`      // every declared one, in the order of the experiment
	Moments  *Moments             `json:"moments,omitempty"`     // of a trial with declared faults
}

// Active is the set of stages that a proxy of ours exports (stages_info), so that a record proves what ran.
type Active struct {
	Process string `json:"process"`
	Hash    string `json:"hash"`   // of the stages and their settings
	Stages  string `json:"stages"` // in words, in order: routing,key_auth,rate_limit=shadow
}

// Ledger is where the time of sampled requests went, as proxies and application told it of themselves.
type Ledger struct {
	Samples   int64        `json:"samples"`
	Negative  int64        `json:"negative,omitempty"` // of which the parts came to more than the service time
	Parts     []LedgerPart `json:"parts"`
	Service   Histogram    `json:"service"`   // the client's, of these requests
	Remainder Histogram    `json:"remainder"` // of it what nobody claims: the client's service time less every proxy's own and every service's own time
}

// LedgerPart is one part of the time of one proxy or service, summed over the samples that told of it.
type LedgerPart struct {
	Proxy string `json:"proxy"` // gateway, SERVICE-inbound, -outbound or -ingress; of an application its service
	Part  string `json:"part"`  // own: all of the proxy's; app: all of the application's; wait; read and forward and stages: parts of own
	Count int64  `json:"count"`
	Sum   int64  `json:"sum_ns"`
}

// Parts of a ledger that are whole and overlap with no other of their kind.
const (
	LedgerOwn = "own"
	LedgerApp = "app"
)

// The names of the histograms of a trial.
const (
	Response = "response" // done - due
	Service  = "service"  // done - sent
	Slip     = "slip"     // ready - due
	WaitTime = "wait"     // sent - ready
)

// Reason is one rule that did not hold, with the evidence.
type Reason struct {
	Rule  string  `json:"rule"`
	Text  string  `json:"text"`
	Value float64 `json:"value"`
	Limit float64 `json:"limit"`
}

// Counts of the samples that were due within the block.
type Counts struct {
	Planned  int64 `json:"planned"`
	Ready    int64 `json:"ready"`              // handed to a connection or waiting for one in time
	Done     int64 `json:"done"`               // answered within the block or its grace, successes
	Errors   int64 `json:"errors"`             // all classes
	Declared int64 `json:"declared_errors"`    // of which the application was told to make
	Waited   int64 `json:"waited"`             // had to wait for a free connection
	Requests int64 `json:"requests,omitempty"` // HTTP requests written for them; 0 in records from before they were counted
	Bytes    int64 `json:"bytes"`              // response bodies
}

// Histogram is a whole HdrHistogram: V2 compressed, base64. Values are in nanoseconds, 100 ns to 60 s, 3 significant digits.
type Histogram struct {
	Count int64  `json:"count"`
	V2    string `json:"v2"`
}

// Second is one second of a trial, warm-up included (At is negative there).
type Second struct {
	At     int   `json:"at"` // seconds since the block began
	Done   int64 `json:"done"`
	Errors int64 `json:"errors"`
	P50    int64 `json:"p50_ns"`
	P99    int64 `json:"p99_ns"`
	Slip99 int64 `json:"slip_p99_ns"`
	CPU    int64 `json:"cpu_ns,omitempty"` // of the target's processes

	Times *Histogram `json:"times,omitempty"` // response times of this second's successes, where kept
}

// Windows is how many equal windows of a block the rule "steady" looks at.
const Windows = 10

// Window is one of the equal windows of a block, by due time; its quantiles are of the response time of successes.
type Window struct {
	Done int64 `json:"done"`
	P50  int64 `json:"p50_ns"`
	P99  int64 `json:"p99_ns"`
}

// Usage is what one process used in the block.
type Usage struct {
	Process string `json:"process"` // gateway-1, sidecar-orders-1, orders-1
	Kind    string `json:"kind"`    // gateway, sidecar, control, issuer, workload, driver
	Service string `json:"service,omitempty"`
	CPU     int64  `json:"cpu_ns"`
	User    int64  `json:"user_ns,omitempty"` // split by the kernel's ticks; zero where not known
	System  int64  `json:"system_ns,omitempty"`
	RSSPeak int64  `json:"rss_peak_bytes"`
	RSS     int64  `json:"rss_bytes"`
	Sockets int    `json:"sockets"`
}

// DriverUse is the generator's own evidence.
type DriverUse struct {
	CPU         int64  `json:"cpu_ns"`
	Spin        int64  `json:"spin_ns"`       // of it, waiting for due times with the CPU in hand
	Given       int64  `json:"given_ns"`      // CPU time that was there for it: CPUs x elapsed
	AllBusy     int64  `json:"all_busy_ns"`   // time with every connection busy
	InFlightMid int64  `json:"in_flight_mid"` // mean over the third quarter of the block
	InFlightEnd int64  `json:"in_flight_end"` // mean over the last quarter
	Dials       int64  `json:"dials"`         // connections opened within the block
	Priority    string `json:"priority"`      // what was permitted: fifo, nice -10, normal
}

// Working is the CPU time in which the driver did something, in ns: all but what it waited awake.
func (d DriverUse) Working() int64 { return d.CPU - d.Spin }

// HostUse is the machine around the block.
type HostUse struct {
	CPUs          int        `json:"cpus"`
	Busy          int64      `json:"busy_ns"`                    // the machine's CPU time, all processes
	Ours          int64      `json:"ours_ns"`                    // of it ours
	Steal         float64    `json:"steal"`                      // share of all CPU time
	Foreign       float64    `json:"foreign"`                    // (Busy - Ours) / all CPU time
	CalibrationMS [2]float64 `json:"calibration_ms"`             // fixed loop before and after
	Unmetered     bool       `json:"target_unmetered,omitempty"` // the target runs outside what is metered: its CPU cannot be told from a stranger's
}

// Failure is a process that ended unasked, or an arm that was never ready.
type Failure struct {
	Process string   `json:"process,omitempty"`
	Reason  string   `json:"reason"`
	Log     []string `json:"log,omitempty"` // its last lines
}

// Objective as declared; see topologies.
type Objective struct {
	Text     string  `json:"text"`
	Metric   string  `json:"metric"`
	Quantile float64 `json:"quantile,omitempty"` // in per cent
	Op       string  `json:"op"`
	Value    float64 `json:"value"` // seconds for p, share 0-1 otherwise
}

// Holds says whether a value meets the objective; an operator that is none is met by nothing.
func (o Objective) Holds(v float64) bool {
	switch o.Op {
	case "<":
		return v < o.Value
	case "<=":
		return v <= o.Value
	case ">":
		return v > o.Value
	case ">=":
		return v >= o.Value
	}
	return false
}

// Exclusion is an arm that parity kept out of a round.
type Exclusion struct {
	Round int    `json:"round"`
	Arm   string `json:"arm"`
	Probe string `json:"probe"`
	Text  string `json:"text"`
}

// Environment is the machine and the tools, as found when the run began.
type Environment struct {
	Schema    int               `json:"schema"`
	Host      string            `json:"host"`
	Kernel    string            `json:"kernel"`
	OS        string            `json:"os"`
	CPU       string            `json:"cpu"`
	CPUs      int               `json:"cpus"`
	Governor  string            `json:"governor,omitempty"`
	Memory    int64             `json:"memory_bytes"`
	Go        string            `json:"go"`
	Tools     map[string]string `json:"tools,omitempty"` // rival proxies and their versions
	Binaries  []Binary          `json:"binaries"`
	Commit    string            `json:"commit,omitempty"`
	Dirty     bool              `json:"dirty,omitempty"`
	Placement string            `json:"placement"` // shared, or which CPUs went to whom
	Machine   string            `json:"machine"`   // fingerprint of CPU, CPUs, memory, kernel and host
	Warnings  []string          `json:"warnings,omitempty"`
}
