package sidecar

import (
	"log/slog"
	"net"
	"strconv"
	"sync/atomic"

	"crossroads/proxies/config"
	"crossroads/proxies/discovery"
	"crossroads/proxies/exchange"
	"crossroads/proxies/stage"
	"crossroads/proxies/telemetry"
)

// policies holds who may call the application: what the sidecar's own file says, and what the control plane says. Nobody may before
// both are known.
type policies struct {
	service string
	port    int // of the application
	own     config.MeshAuthorization
	counts  *telemetry.Authorizations
	log     *slog.Logger
	force   atomic.Pointer[stage.Policies]
	opened  standing // opaque connections, admitted by what was in force then

	written telemetry.Seldom
}

func (p *policies) open(c *config.Sidecar, m *telemetry.Metrics, log *slog.Logger) {
	if c.Inbound == nil {
		return
	}
	p.service, p.port, p.log = c.Service, portOf(c.Inbound.App), log
	p.counts = m.NewAuthorizations()
	p.opened.log, p.opened.revoked = log, p.stage().Revoked
	p.own.SetDefaults()
	if a := c.Inbound.Authorization; a != nil {
		p.own = *a
	}
	if c.Identity == nil || c.Identity.Control == nil {
		p.force.Store(stage.NewPolicies(p.own, p.counts, p.note))
	}
}

// portOf returns the port of host:port, or 0.
func portOf(address string) int {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return 0
	}
	return n
}

// discover puts in force what the control plane says now.
func (p *policies) discover(a *discovery.Authorization) {
	if p.counts == nil {
		return
	}
	all, faults := a.For(p.service)
	for _, err := range faults {
		p.log.Error("the control plane sent a policy that is not understood; what it may concern is refused", "error", err)
	}
	if p.own.Default == config.Deny {
		all.Default = config.Deny
	}
	all.Policies = append(all.Policies, p.own.Policies...)
	p.force.Store(stage.NewPolicies(all, p.counts, p.note))
	p.opened.review()
}

// stage makes the stage of the inbound chains.
func (p *policies) stage() *stage.MeshAuthorization {
	return stage.NewMeshAuthorization(p.force.Load, p.port)
}

// connections are the stages of opaque connections to the application.
func (p *policies) connections() []exchange.ConnStage {
	return []exchange.ConnStage{p.stage().Connections()}
}

// note writes of a refusal, and of what a shadow policy would have done, at most once a second for each; the metric counts every one.
func (p *policies) note(policy, decision, peer string) {
	if !p.written.Due(policy + decision) {
		return
	}
	if decision == "denied" {
		p.log.Warn("a call was refused", "policy", policy, "decision", decision, "peer", peer)
		return
	}
	p.log.Info("a shadow policy would have decided otherwise", "policy", policy, "decision", decision, "peer", peer)
}
