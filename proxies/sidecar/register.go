package sidecar

import (
	"context"
	"net"
	"time"

	"crossroads/proxies/discovery"
	"crossroads/proxies/operate"
	"crossroads/proxies/telemetry"
)

// announce prepares to tell the control plane where the service can be reached.
func (s *Sidecar) announce() {
	if s.config.Inbound == nil || s.config.Inbound.Register == nil {
		return
	}
	r := s.config.Inbound.Register
	what := discovery.Registration{Service: s.config.Service, Address: s.reachableAt(r.Address), Weight: r.Weight}
	s.register = discovery.NewRegistrar(*s.config.Identity.Control, s.source, what, discovery.Options{Log: s.options.Log})
	s.metrics.Registration(func() telemetry.RegistrationState {
		st := s.register.Status()
		return telemetry.RegistrationState{Registered: st.Registered, Failures: st.Failures}
	})
}

// reachableAt completes the configured address by what the inbound listener has: its port, and its host unless it is every one.
func (s *Sidecar) reachableAt(configured string) string {
	own := addrPortOf(s.Address("inbound"))
	host, port := "", own.String()
	if _, p, err := net.SplitHostPort(own.String()); err == nil {
		port = p
	}
	if !own.Addr().IsUnspecified() {
		host = own.Addr().String()
	}
	if h, p, err := net.SplitHostPort(configured); err == nil {
		host = h
		if p != "" && p != "0" {
			port = p
		}
	}
	if host == "" {
		return ":" + port
	}
	return net.JoinHostPort(host, port)
}

// leaveWithin bounds how long a drain waits for the control plane: without it the lease ends by itself.
const leaveWithin = 2 * time.Second

// keepRegistered sends heartbeats until the sidecar is told to stop, and then takes its leave: at once, while the drain's delay runs,
// so that callers turn away before the listener closes.
func (s *Sidecar) keepRegistered(told context.Context) operate.Background {
	return func(background context.Context) {
		ctx, cancel := context.WithCancel(background)
		defer cancel()
		defer context.AfterFunc(told, cancel)()
		if s.services.Wait(ctx) != nil { // before it knows who may call, calls would be refused
			return
		}
		s.register.Run(ctx)
		leaving, over := context.WithTimeout(context.WithoutCancel(background), leaveWithin)
		defer over()
		if err := s.register.Leave(leaving); err != nil {
			s.options.Log.Warn("the registration ends with its lease", "error", err)
		}
	}
}
