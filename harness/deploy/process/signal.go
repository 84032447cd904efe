package process

import (
	"context"
	"fmt"
	"os"
	"syscall"
)

// Signal implements deploy.Deployment. A process that ends by it is reported like any other that ends before Close.
func (r *deployment) Signal(_ context.Context, id string, sig os.Signal) error {
	_, err := r.signal(doSignal, id, sig, false)
	return err
}

// Pause implements deploy.Deployment.
func (r *deployment) Pause(_ context.Context, id string, paused bool) error {
	sig := syscall.SIGCONT
	if paused {
		sig = syscall.SIGSTOP
	}
	_, err := r.signal(doFamily, id, sig, false)
	return err
}

// End implements deploy.Deployment.
func (r *deployment) End(ctx context.Context, id string, sig os.Signal) error {
	do := doSignal
	if sig == syscall.SIGKILL {
		do = doFamily
	}
	p, err := r.signal(do, id, sig, true)
	if err != nil {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("ending %s by %v: it did not end: %w", id, sig, context.Cause(ctx))
	}
}

// signal sends a signal to a process that runs. asked says that an end by it is no exit to report.
func (r *deployment) signal(do, id string, sig os.Signal, asked bool) (*running, error) {
	number, ok := sig.(syscall.Signal)
	if !ok {
		return nil, fmt.Errorf("signalling %s: %v is no signal of this system", id, sig)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p, known := r.nodes[id]
	if !known {
		return nil, fmt.Errorf("signalling %s: the deployment has no such process", id)
	}
	select {
	case <-p.ended:
		return nil, fmt.Errorf("signalling %s: it has ended: %s", id, p.reason)
	default:
	}
	p.asked = p.asked || asked
	return p, r.sup.send(command{Do: do, ID: id, Signal: int(number)})
}

// Start implements deploy.Deployment. Only what End ended is started again: every process reports one exit at most, for which there is
// room.
func (r *deployment) Start(ctx context.Context, id string) error {
	p, err := r.again(id)
	if err != nil {
		return err
	}
	if err := r.launch(p); err != nil {
		return err
	}
	return r.await(ctx, p)
}

// again puts a new state in the place of that of a process that was ended.
func (r *deployment) again(id string) (*running, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, known := r.nodes[id]
	if !known {
		return nil, fmt.Errorf("starting %s again: the deployment has no such process", id)
	}
	select {
	case <-p.ended:
	default:
		return nil, fmt.Errorf("starting %s again: it runs", id)
	}
	if !p.asked || r.down {
		return nil, fmt.Errorf("starting %s again: it was not ended by a fault: %s", id, p.reason)
	}
	next := newRunning(p.node)
	next.program = p.program
	r.nodes[id] = next
	return next, nil
}
