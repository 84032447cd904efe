// Package deploy brings a declared arm to life and takes it down again.
//
// Its one invariant: when Close returned, or the harness died, nothing of the deployment is left: no process, no grandchild, no
// temporary file. It sends no load and measures nothing.
package deploy

import (
	"context"
	"os"
	"time"

	"crossroads/topologies"
)

// Deployer starts the processes of an arm and waits until they are ready. Where Deploy fails it has cleaned up, and the error is a
// *NotReady when the system under test is at fault.
type Deployer interface {
	Deploy(ctx context.Context, arm *topologies.Arm) (Deployment, error)
}

// Deployment is an arm that runs.
type Deployment interface {
	Entries() []Entry // one, or several gateways, or every service for a client that composes by itself
	Processes() []Process
	Exits() <-chan Exit                                       // a process that ended unasked
	Signal(ctx context.Context, id string, s os.Signal) error // an end by it is unasked like any other
	Close(ctx context.Context) error

	// The faults of an experiment. What they end was asked for and is no Exit.
	Pause(ctx context.Context, id string, paused bool) error // stops a process with its descendants, or has them go on
	End(ctx context.Context, id string, s os.Signal) error   // returns when the process has ended; SIGKILL takes its descendants with it
	Start(ctx context.Context, id string) error              // what End ended, with the same files on the same ports; returns when it is ready
}

// Entry is where the driver enters.
type Entry struct {
	Name  string // gateway-1, or the service
	URL   string
	Roots string // certificates in PEM that its own must be of, where the URL is https; "": the system's
}

// EntriesOf are the entries of a deployed arm through which a service is called: all of them where a gateway or somebody else's system
// tells services apart, else the service's own.
func EntriesOf(d Deployment, arm *topologies.Arm, service string) []Entry {
	if arm.Topology.Gateway != nil || arm.Topology.External != nil {
		return d.Entries()
	}
	var own []Entry
	for _, entry := range d.Entries() {
		if entry.Name == service {
			own = append(own, entry)
		}
	}
	return own
}

// Kinds of processes.
const (
	KindGateway  = topologies.KindGateway
	KindSidecar  = topologies.KindSidecar
	KindControl  = topologies.KindControl
	KindIssuer   = topologies.KindIssuer
	KindWorkload = topologies.KindWorkload
)

// ProgramRelay is the program of a process that stands in a gateway's or a sidecar's place and is a floor relay.
const ProgramRelay = topologies.Relay

// Process is one process of a deployment.
type Process struct {
	ID      string // gateway-1, sidecar-orders-1, orders-1, control-1
	Kind    string
	Service string // of a sidecar or a workload
	PID     int
	Admin   string            // base URL of its admin listener, or of the workload itself
	Ports   map[string]string // by purpose: inbound, outbound, outbound-SERVICE, ingress, app, http
	Log     string            // file with its output
	Access  string            // file with its access log; "": it writes none
}

// Exit is a process that ended unasked.
type Exit struct {
	Process Process
	Reason  string   // "exit status 2", "killed by signal 9"
	Log     []string // its last lines
	At      time.Time
}

// NotReady says which process did not come up, and what it said.
type NotReady struct {
	Process string
	Reason  string
	Log     []string
}

func (e *NotReady) Error() string { return e.Process + " was not ready: " + e.Reason }

// Credentials and names that a deployer gives to every gateway of its own making, whatever its stages. They are demonstrations and protect
// nothing: a deployment listens on loopback. What the declared requests carry stands in topologies.
const (
	DemoKey       = topologies.DemoKey
	ProbeKey      = "probe" // of consumer probe: limited so low that parity can see the limit act
	ProbeConsumer = "probe"
	ProbeOpaque   = "probing-token" // what the authorization server knows consumer probe by
	ProbeRate     = 1               // per second
	ProbeBurst    = 3

	DeclaredPolicy = "declared" // name of the rate limit that the experiment declares

	CallersPolicy = "callers" // name of the mesh policy that admits who calls a service in the call graph
	ShutPolicy    = "shut"    // and of the one that refuses ShutPath
	ShutPath      = "/crossroads/shut"
)
