package process

import (
	"slices"

	"crossroads/harness/deploy"
	"crossroads/proxies/config"
	"crossroads/topologies"
)

const (
	opaquePort    = 9000 // of every application, as callers name it in opaque connections
	retryAttempts = 2    // tries in all with retries: on
)

// authorization is who may call a service: the services that do in the call graph, the gateway where there is one, or whoever comes to
// the ingress port. With HTTP a path is shut besides, so that parity can see the decision fall.
func (l *layout) authorization(service string) *config.MeshAuthorization {
	mode := map[string]config.Mode{topologies.ModeOn: config.On, topologies.ModeDryRun: config.Shadow}[l.arm.Topology.Mesh.Authorization]
	if mode == "" {
		return nil
	}
	a := &config.MeshAuthorization{}
	a.SetDefaults()
	a.Policies = []config.Policy{{Name: deploy.CallersPolicy, Mode: mode, Action: config.Allow, Identities: l.callersOf(service)}}
	if !l.arm.Opaque() {
		a.Policies = append(a.Policies, config.Policy{Name: deploy.ShutPolicy, Mode: mode, Action: config.Deny, Paths: []string{deploy.ShutPath}})
	}
	return a
}

func (l *layout) callersOf(service string) []string {
	var callers []string
	for caller := range l.arm.Experiment.Application.Services.All() {
		if slices.Contains(l.callees(caller), service) {
			callers = append(callers, serviceID+caller)
		}
	}
	switch {
	case !slices.Contains(l.entered(), service):
	case len(l.gateways) > 0 && !l.arm.RelayGateway():
		callers = append(callers, gatewayID)
	default:
		callers = append(callers, config.Unauthenticated)
	}
	return callers
}

// ledgerOf is the ledger of a proxy: sampled tells those who ask, and always keeps one for every request besides.
func ledgerOf(word string) config.Ledger {
	switch word {
	case topologies.LedgerSampled:
		return config.Ledger{OnRequest: true}
	case topologies.LedgerAlways:
		return config.Ledger{OnRequest: true, Sample: 1}
	}
	return config.Ledger{}
}
