package sidecar

import (
	"context"
	"net"
	"time"
)

// working is the application, waited for as if it were a server that stops: it works until it accepts no connections, or for as long as the
// configuration gives it.
type working struct {
	address string // "": not known, so its time is all that says when it ends
	patient time.Duration
	alive   func(address string) bool
	over    chan struct{}
}

// askEvery is how often it is asked whether it still accepts.
const askEvery = 100 * time.Millisecond

func (s *Sidecar) applicationAtWork() working {
	a := working{patient: s.config.Drain.Application.D(), alive: accepts, over: make(chan struct{})}
	if s.config.Inbound != nil {
		a.address = s.config.Inbound.App
	}
	return a
}

func accepts(address string) bool {
	c, err := dialPlain(address)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// Serve waits for Shutdown: there is nothing to accept.
func (a working) Serve(net.Listener) error {
	<-a.over
	return nil
}

// Shutdown implements operate.Server. An application that goes on for longer is nobody's request that was cut: outbound drains next.
func (a working) Shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, a.patient)
	defer cancel()
	defer close(a.over)
	ask := time.NewTicker(askEvery)
	defer ask.Stop()
	for ctx.Err() == nil && (a.address == "" || a.alive(a.address)) {
		select {
		case <-ask.C:
		case <-ctx.Done():
		}
	}
	return nil
}
