// Package workload is the application under test: one program that plays any node of a declared call graph. It burns the declared
// CPU, waits the declared time, makes the declared calls and answers with the declared size.
//
// Its one invariant: what a request makes a node do depends on the experiment, the request's sequence number, its place in the call
// tree and its attempt, and on nothing else: the same requests are the same work in every arm, whatever the concurrency. It measures
// nothing, retries nothing and knows no proxy: it calls the addresses it is given.
//
// The way of a request: handle reads what it carries (visit.go), execute burns, waits and runs the script (script.go) over the
// connections of call.go, and the answer is written; every draw on the way comes from draw.go. Linux only: sleeping precisely needs
// timerfd.
//
// Its own cost: about 14 us of CPU for an answer and 25 us more for each call it makes, on one core of a two-core EPYC virtual
// machine, nearly all of it system calls (BenchmarkProcess prints it; BenchmarkHandle: 0.5 us and no allocation for the node's own code).
package workload

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"crossroads/topologies"
)

// The fields by which driver, workload and parity understand each other. Proxies carry them through.
const (
	HeaderSeq      = "X-Crossroads-Seq"      // request: sequence number, set by the driver
	HeaderPath     = "X-Crossroads-Path"     // request: place in the call tree, such as /0.0/1.2 (step.call); absent at the entry
	HeaderAttempt  = "X-Crossroads-Attempt"  // request: 1, or more where a proxy that retries says so
	HeaderLedger   = "X-Crossroads-Ledger"   // request: tell in Server-Timing where the time went
	HeaderProbe    = "X-Crossroads-Probe"    // request: 1 (as drawn) or all (every call, no declared error): answer with a Probe
	HeaderService  = "X-Crossroads-Service"  // response: who answered
	HeaderReplica  = "X-Crossroads-Replica"  // response: which replica
	HeaderHops     = "X-Crossroads-Hops"     // response: proxies crossed on the way in, by their Via entries
	HeaderDeclared = "X-Crossroads-Declared" // response: 1 on an error that the experiment declares, passed on by callers
)

// idleConnection is how long a connection to a peer is kept unused: longer than any pause in a run, shorter than what proxies allow,
// so that nobody closes it under a request.
const idleConnection = 20 * time.Second

// Config is one node.
type Config struct {
	Experiment  *topologies.Experiment
	Service     string
	Replica     int                 // from 1
	Peers       map[string][]string // service called -> base addresses: host:port or unix:/path
	Calibration Calibration         // of the CPU burnt
}

// Node is one replica of one service.
type Node struct {
	service  string
	replica  string
	body     []byte // of every answer
	cpu      uint64 // iterations of the loop
	wait     Distribution
	errors   float64 // share of requests that fail as declared
	steps    [][]call
	origin   uint64 // hash of seed and service
	sleeper  *Sleeper
	counts   counts
	unnamed  atomic.Uint64 // sequence numbers given to requests that carry none
	draining atomic.Bool
	fault    atomic.Pointer[Fault] // told to this replica; nil: it answers as declared
	server   fasthttp.Server
	served   chan struct{} // closed when Serve has returned
	peers    map[string]*peer
}

// New prepares a node; it opens no connection yet.
func New(c Config) (*Node, error) {
	s, known := c.Experiment.Application.Services.Get(c.Service)
	if !known {
		return nil, fmt.Errorf("service %q is not in experiment %s", c.Service, c.Experiment.Name)
	}
	n := &Node{
		service: c.Service,
		replica: fmt.Sprint(c.Replica),
		body:    payload(int(s.Response.Size)),
		cpu:     c.Calibration.Iterations(s.Work.CPU.D()),
		wait:    NewDistribution(&s.Work.Wait),
		errors:  s.Errors.F(),
		origin:  originHash(c.Experiment.Seed, c.Service),
		sleeper: NewSleeper(),
		served:  make(chan struct{}),
		peers:   map[string]*peer{},
	}
	if err := n.compile(c, s.Script); err != nil {
		return nil, err
	}
	n.server = fasthttp.Server{
		Handler:                      n.handle,
		NoDefaultServerHeader:        true,
		NoDefaultDate:                true,
		NoDefaultContentType:         true,
		DisablePreParseMultipartForm: true,
		CloseOnShutdown:              true,
		MaxRequestBodySize:           topologies.MaxBody,
		ReadBufferSize:               8 << 10, // a head with everything that proxies add
		Logger:                       quiet{},
	}
	return n, nil
}

// Serve answers on l until Shutdown. It is called once.
func (n *Node) Serve(l net.Listener) error {
	defer close(n.served)
	return n.server.Serve(clockedListener{l})
}

// Shutdown stops accepting, lets what is in flight end, and closes the connections to the peers. ctx bounds the wait.
func (n *Node) Shutdown(ctx context.Context) error {
	n.draining.Store(true)
	err := n.drain(ctx)
	for _, p := range n.peers {
		p.close()
	}
	n.sleeper.Close()
	return err
}

// drain ends the server. The server itself looks only every 100 ms whether the connections it closed are gone, which every round of a
// run would pay for.
func (n *Node) drain(ctx context.Context) error {
	drained := make(chan error, 1)
	go func() { drained <- n.server.ShutdownWithContext(ctx) }()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for {
		select {
		case err := <-drained:
			return err
		case <-look.C:
		}
		select {
		case <-n.served:
			if n.server.GetOpenConnectionsCount() <= 0 {
				return nil
			}
		default:
		}
	}
}

// payload is the same bytes for the same size: letters, so that it can be read in a dump.
func payload(size int) []byte {
	const letters = "crossroads "
	b := make([]byte, size)
	for i := range b {
		b[i] = letters[i%len(letters)]
	}
	return b
}

// quiet drops the server's own log: it reports connections that clients close, which is how every trial ends.
type quiet struct{}

func (quiet) Printf(string, ...any) {}
