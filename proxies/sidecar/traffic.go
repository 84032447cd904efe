package sidecar

import (
	"math/rand/v2"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
	"crossroads/proxies/route"
)

// splitStage sends a call to one of several services where a split says so. It stands behind the stage that found the service which
// was called, and replaces the route, so that metrics show who was reached. What is not split passes without cost; no pass allocates
// but for mirroring.
type splitStage struct{ catalog *catalog }

// splitRoute is a split as it is asked.
type splitRoute struct {
	first  bool // that is ready, not by weight
	arms   []splitArm
	mirror *mirror
}

// splitArm is one backend; a service that is not known has no route.
type splitArm struct {
	weight int
	route  *exchange.Route
	ready  func() bool
}

// Name implements exchange.Stage.
func (s splitStage) Name() string { return "split" }

// Inward implements exchange.Stage.
func (s splitStage) Inward(x *exchange.Exchange) exchange.Step {
	t := s.catalog.table.Load()
	if t.splits == nil {
		return exchange.Continue
	}
	h := &x.Request.Header
	found := t.splits.Find(&route.Question{Host: []byte(x.Route.Name), Path: x.Path, Query: h.RequestURI()[queryAt(h.RequestURI()):], Method: h.Method(), Header: h})
	if found == nil {
		return exchange.Continue
	}
	split := t.splitRoutes[found]
	if split.mirror != nil {
		split.mirror.copy(x)
	}
	arm := split.pick(rand.IntN)
	if arm == nil || arm.route == nil {
		return x.Fail(exchange.NoEndpoint)
	}
	x.Route = arm.route
	return exchange.Continue
}

// queryAt returns where the query of a target begins.
func queryAt(target []byte) int {
	for i, c := range target {
		if c == '?' {
			return i + 1
		}
	}
	return len(target)
}

// pick chooses among the backends that are ready: the weight of one that is not goes to the others, for this call. Where none is
// ready it chooses among all, so that the fault says why.
func (s *splitRoute) pick(random func(int) int) *splitArm {
	total := 0
	for i := range s.arms {
		if a := &s.arms[i]; a.weight > 0 && a.route != nil && a.ready() {
			if s.first {
				return a
			}
			total += a.weight
		}
	}
	if total > 0 {
		at := random(total)
		for i := range s.arms {
			a := &s.arms[i]
			if a.weight <= 0 || a.route == nil || !a.ready() {
				continue
			}
			if at -= a.weight; at < 0 {
				return a
			}
		}
	}
	for i := range s.arms {
		if a := &s.arms[i]; a.weight > 0 && a.route != nil {
			return a // the readiness of one changed between the two looks, or none is ready
		}
	}
	return nil
}

// Outward implements exchange.Stage.
func (s splitStage) Outward(*exchange.Exchange) {}

// Finish implements exchange.Stage.
func (s splitStage) Finish(*exchange.Exchange, exchange.End) {}

// readSplits makes the splits of a table that does not serve yet: those of the file go before those of the control plane.
func (k *catalog) readSplits(t *table, discovered []config.Split) error {
	all := append(append([]config.Split(nil), k.config.Outbound.Splits...), discovered...)
	t.splits, t.splitRoutes = nil, nil
	if len(all) == 0 {
		return nil
	}
	t.splitRoutes = map[*exchange.Route]*splitRoute{}
	var rules []route.Rule
	for _, s := range all {
		key := &exchange.Route{Name: s.Name}
		made := &splitRoute{first: s.Pick == config.FirstAvailable}
		for _, b := range s.Backends {
			arm := splitArm{weight: b.Weight, route: t.routes[b.Service]}
			if u := t.upstreams[b.Service]; u != nil {
				arm.ready = u.Ready
			}
			made.arms = append(made.arms, arm)
		}
		if s.Mirror != nil && t.routes[s.Mirror.Service] != nil {
			made.mirror = &mirror{share: s.Mirror.Share.F(), route: t.routes[s.Mirror.Service], space: k.copies, count: k.mirrored.Count}
		}
		t.splitRoutes[key] = made
		rules = append(rules, route.Rule{Hosts: s.Services, Match: s.Match, Route: key})
	}
	index, err := route.Build(rules)
	t.splits = index
	return err
}
