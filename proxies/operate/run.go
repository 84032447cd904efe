package operate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"crossroads/proxies/config"
)

// Front is an address that takes connections, and who serves them.
type Front struct {
	Name     string // where a proxy has several
	Listener net.Listener
	Server   interface {
		Server
		Serve(net.Listener) error // until it fails, or Shutdown
	}
}

// Background runs beside a proxy until ctx ends.
type Background func(ctx context.Context)

// Run serves every front and the admin listener until ctx ends or one of them fails, and then drains the groups of fronts in order, on
// the terms that hold by then; force ends the drain at once. It returns nil after a drain that cut nothing.
func (l *Life) Run(ctx, force context.Context, terms func() config.Drain, admin *Admin, beside []Background, groups ...[]Front) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	failed := make(chan error, 1)
	fails := func(err error) {
		if err == nil || l.Ready() != nil { // whoever is shut down says so
			return
		}
		select {
		case failed <- err:
		default: // the first is the cause
		}
	}
	running.Go(func() { fails(admin.Serve()) })
	for _, run := range beside {
		running.Go(func() { run(background) })
	}
	var servers [][]Server
	for _, group := range groups {
		var some []Server
		for _, f := range group {
			go func() { fails(f.Server.Serve(f.Listener)) }()
			some = append(some, f.Server)
		}
		servers = append(servers, some)
	}
	var cause error
	select {
	case <-ctx.Done():
	case cause = <-failed:
	}
	drained := l.Drain(force, terms(), servers...)
	admin.Close()
	if drained != nil {
		drained = fmt.Errorf("drain: requests were cut: %w", drained)
	}
	return errors.Join(cause, drained)
}
