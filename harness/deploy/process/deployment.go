package process

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"crossroads/harness/deploy"
)

// deployment is an arm that runs.
type deployment struct {
	deployer *Deployer
	layout   *layout
	sup      *supervision
	owned    chan error    // yields once the private directory was made, or could not be
	over     chan struct{} // closed when the supervisor's events ended
	exits    chan deploy.Exit

	mu    sync.Mutex
	nodes map[string]*running
	up    bool // from now on an exit is reported
	down  bool // Close was called: exits are expected
	gone  bool // the supervisor said, as its last word, that nothing is left

	closing sync.Once
	closed  error
}

// running is the state of one process.
type running struct {
	node    *node
	program program
	pid     int
	begun   chan struct{} // closed when it was started, or could not be
	ended   chan struct{} // closed when it ended, or could not be started
	asked   bool          // a fault of the experiment ends it
	reason  string        // why it ended
	refused error         // it could not be started: no fault of the system under test
}

func newDeployment(d *Deployer, l *layout) *deployment {
	r := &deployment{deployer: d, layout: l, owned: make(chan error, 1), over: make(chan struct{}), nodes: map[string]*running{}, exits: make(chan deploy.Exit, len(l.nodes))}
	for _, n := range l.nodes {
		r.nodes[n.ID] = newRunning(n)
	}
	return r
}

func newRunning(n *node) *running {
	return &running{node: n, begun: make(chan struct{}), ended: make(chan struct{})}
}

// mark is what every process of the deployment carries in its environment.
func (r *deployment) mark() string { return filepath.Base(r.layout.private) }

// bringUp renders, starts the supervisor and then one wave after the other. The caller closes the deployment where it fails.
func (r *deployment) bringUp(ctx context.Context) error {
	timeout := fmt.Errorf("nothing better within %v", r.deployer.config.ReadyTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, r.deployer.config.ReadyTimeout, timeout)
	defer cancel()
	sup, err := startSupervisor([]string{r.deployer.config.Binaries["crossroads"], "supervise"}, r.mark(), r.layout.logs)
	if err != nil {
		return err
	}
	r.sup = sup
	go r.listen()
	if err := sup.send(command{Do: doOwn, Private: r.layout.private}); err != nil {
		return err
	}
	select {
	case err := <-r.owned:
		if err != nil {
			return fmt.Errorf("making the private directory: %w", err)
		}
	case <-ctx.Done():
		return fmt.Errorf("waiting for the supervisor: %w", context.Cause(ctx))
	}
	programs, err := r.deployer.render(r.layout)
	if err != nil {
		return err
	}
	for _, wave := range r.layout.waves() {
		if err := r.start(ctx, wave, programs); err != nil {
			return err
		}
	}
	return r.settle()
}

// start starts a wave all at once and waits until every one of it is ready.
func (r *deployment) start(ctx context.Context, wave []*node, programs map[string]program) error {
	for _, n := range wave {
		r.nodes[n.ID].program = programs[n.ID]
		if err := r.launch(r.nodes[n.ID]); err != nil {
			return err
		}
	}
	found := make(chan error, len(wave))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, n := range wave {
		go func() { found <- r.await(ctx, r.nodes[n.ID]) }()
	}
	var first error
	for range wave {
		if err := <-found; err != nil && first == nil {
			first = err
			cancel() // the others' answers no longer matter
		}
	}
	return first
}

// launch has the supervisor start one process.
func (r *deployment) launch(p *running) error {
	return r.sup.send(command{
		Do: doStart, ID: p.node.ID, Path: p.program.path, Args: p.program.args, Dir: r.layout.private, Log: p.node.log, Out: p.program.out,
		Env:  append([]string{markName + "=" + r.mark()}, p.program.env...),
		CPUs: cpusFor(r.layout.arm.Experiment.Placement, p.node.Kind),
	})
}

// await waits for one process. An arm that does not come up is the system's fault; a cancelled context is nobody's.
func (r *deployment) await(ctx context.Context, p *running) error {
	select {
	case <-p.begun:
	case <-ctx.Done():
		return fmt.Errorf("starting %s: %w", p.node.ID, context.Cause(ctx))
	}
	if p.refused != nil { // written before begun was closed
		return p.refused
	}
	err := awaitReady(ctx, p.program, r.pidOf(p), p.ended)
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("waiting for %s: %w", p.node.ID, context.Canceled)
	case errors.Is(err, errEnded):
		err = fmt.Errorf("it ended: %s", r.reasonOf(p))
	}
	return &deploy.NotReady{Process: p.node.ID, Reason: err.Error(), Log: tail(p.node.log)}
}

// settle makes exits count from here on, unless one came between ready and now.
func (r *deployment) settle() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.layout.nodes {
		p := r.nodes[n.ID]
		select {
		case <-p.ended:
			return &deploy.NotReady{Process: n.ID, Reason: "it ended: " + p.reason, Log: tail(n.log)}
		default:
		}
	}
	r.up = true
	return nil
}

func (r *deployment) pidOf(p *running) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return p.pid
}

func (r *deployment) reasonOf(p *running) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return p.reason
}

// listen takes the supervisor's events until they end. A supervisor that ends unasked takes its children with it; their daemons are
// found by the mark.
func (r *deployment) listen() {
	defer close(r.over)
	for e := range r.sup.events {
		r.handle(e)
	}
	r.own(errors.New("the supervisor ended"))
	_ = r.killLeft() // Close tries again, and reports
	for _, n := range r.layout.nodes {
		r.handle(event{Event: eventExited, ID: n.ID, Reason: "its supervisor ended"})
	}
}

func (r *deployment) handle(e event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, known := r.nodes[e.ID]
	switch {
	case e.Event == eventOwned:
		r.own(nil)
	case e.Event == eventStopped:
		r.gone = true
	case e.Event == eventRefused && e.ID == "":
		r.own(errors.New(e.Reason))
	}
	if !known {
		return
	}
	switch e.Event {
	case eventStarted:
		p.pid = e.PID
		close(p.begun)
	case eventRefused:
		p.reason, p.refused = e.Reason, errors.New(e.Reason)
		close(p.begun)
		close(p.ended)
	case eventExited:
		r.exited(p, e.Reason)
	}
}

// killLeft reaches what a supervisor that did not end as it should has left.
func (r *deployment) killLeft() error {
	r.mu.Lock()
	gone := r.gone
	r.mu.Unlock()
	if gone {
		return nil
	}
	return killMarked(r.mark())
}

// own tells bringUp, which asks once, what became of the private directory.
func (r *deployment) own(err error) {
	select {
	case r.owned <- err:
	default:
	}
}

// exited records the end of a process, once, and reports it where nobody asked for it. The channel has room for every process.
func (r *deployment) exited(p *running, reason string) {
	select {
	case <-p.ended:
		return
	default:
	}
	p.reason = reason
	if p.pid == 0 {
		close(p.begun) // the supervisor ended before it could say
	}
	close(p.ended)
	if r.up && !r.down && !p.asked {
		r.exits <- deploy.Exit{Process: p.show(), Reason: reason, Log: tail(p.node.log), At: time.Now()}
	}
}

// show is the process as the rest of the harness sees it.
func (p *running) show() deploy.Process {
	admin := p.node.ports[portAdmin]
	if admin == "" { // a workload or an issuer answers about itself where it answers everybody
		admin = p.node.ports[portHTTP]
	}
	return deploy.Process{
		ID: p.node.ID, Kind: p.node.Kind, Service: p.node.Service, PID: p.pid,
		Admin: "http://" + admin, Ports: maps.Clone(p.node.ports), Log: p.node.log, Access: p.node.access,
	}
}

// Entries implements deploy.Deployment.
func (r *deployment) Entries() []deploy.Entry { return r.layout.entries() }

// Processes implements deploy.Deployment.
func (r *deployment) Processes() []deploy.Process {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []deploy.Process
	for _, n := range r.layout.nodes {
		all = append(all, r.nodes[n.ID].show())
	}
	return all
}

// Exits implements deploy.Deployment. It is closed by Close.
func (r *deployment) Exits() <-chan deploy.Exit { return r.exits }

// Close implements deploy.Deployment. When it returns nil nothing of the deployment is left. Where ctx has ended already it does not
// wait for anybody to end politely.
func (r *deployment) Close(ctx context.Context) error {
	r.closing.Do(func() { r.closed = r.takeDown(ctx) })
	return r.closed
}

func (r *deployment) takeDown(ctx context.Context) error {
	r.mu.Lock()
	r.down = true
	r.mu.Unlock()
	var left error
	if r.sup != nil {
		r.sup.end(ctx, r.deployer.config.Grace, r.over)
		left = r.killLeft()
	}
	close(r.exits)
	r.deployer.ports.give(r.layout.addresses)
	if err := os.RemoveAll(r.layout.private); err != nil {
		return errors.Join(left, fmt.Errorf("removing the private directory of %s: %w", r.layout.arm.Name, err))
	}
	return left
}
