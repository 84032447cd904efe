package operate

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"crossroads/proxies/config"
)

// Server is what serves a listener; Shutdown stops accepting, ends what is idle, and waits for what is in flight until ctx ends.
type Server interface {
	Shutdown(ctx context.Context) error
}

// Life is where a proxy stands between start and end.
type Life struct{ stopping atomic.Bool }

// ErrStopping is why a proxy that drains is not ready.
var ErrStopping = errors.New("stopping")

// Ready returns ErrStopping once the proxy drains.
func (l *Life) Ready() error {
	if l.stopping.Load() {
		return ErrStopping
	}
	return nil
}

// Drain stops a proxy without failing a request: it is no longer ready but goes on serving for the delay, in which those who send
// to it notice; then one group of servers after the other stops accepting and ends what is in flight, together within the grace;
// the rest is cut. When force ends, nothing is waited for any more. It returns an error where something had to be cut.
func (l *Life) Drain(force context.Context, terms config.Drain, groups ...[]Server) error {
	l.stopping.Store(true)
	pause := time.NewTimer(terms.Delay.D())
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-force.Done():
	}
	ctx, cancel := context.WithTimeout(force, terms.Grace.D())
	defer cancel()
	var cut error
	for _, group := range groups {
		cut = errors.Join(cut, shutdown(ctx, group))
	}
	return cut
}

func shutdown(ctx context.Context, group []Server) error {
	failed := make([]error, len(group))
	var all sync.WaitGroup
	for i, s := range group {
		all.Go(func() { failed[i] = s.Shutdown(ctx) })
	}
	all.Wait()
	return errors.Join(failed...)
}
