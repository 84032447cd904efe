package topologies

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"crossroads/proxies/config/strict"
)

func (c *checker) faults() {
	if n := len(c.e.Faults); n > MaxFaults {
		c.report("$.faults", "%d faults: at most %d", n, MaxFaults)
		return
	}
	for i := range c.e.Faults {
		path, f := strict.Index("$.faults", i), &c.e.Faults[i]
		if !c.faultKind(path, f) {
			continue
		}
		c.faultTargets(path, f)
		if c.faultTimes(path, f) {
			c.faultAlone(path, i)
		}
	}
}

// faultKind asks for exactly one thing that happens.
func (c *checker) faultKind(path string, f *Fault) bool {
	var kinds []string
	for _, key := range []string{FaultKill, FaultPause, FaultTerminate, FaultExpire, FaultStale, FaultService} {
		if c.doc.Has(path + "." + key) {
			kinds = append(kinds, key)
		}
	}
	switch {
	case len(kinds) == 0:
		c.report(path, "a fault of nothing: write kill, pause, terminate, expire, stale or service, and whom it meets")
	case len(kinds) > 1:
		c.report(path, "one fault is one thing, here are %s: write a fault for each", strings.Join(kinds, " and "))
	case kinds[0] != FaultService:
		for _, key := range []string{"replica", "errors", "delay", "reset"} {
			if c.doc.Has(path + "." + key) {
				c.report(path+"."+key, "%s says how a service answers badly: it does nothing with %s", key, kinds[0])
			}
		}
		if len(f.names()) == 0 || f.Kind() == FaultService {
			c.report(path+"."+kinds[0], "nobody is named: write a process such as gateway-1, or a list of them")
			return false
		}
		return true
	case f.Errors == 0 && f.Delay == 0 && f.Reset == 0:
		c.report(path, "the service would answer as ever: write errors, delay or reset")
	case f.Delay.D() > time.Minute:
		c.report(path+".delay", "a delay of %s: at most 1m", f.Delay)
	default:
		return true
	}
	return false
}

// faultTimes wants a fault to begin and to end within the block, of every rate; it says whether the times are written.
func (c *checker) faultTimes(path string, f *Fault) bool {
	c.required(path+".at", "the key at is missing: write when it happens, since the begin of the measured block")
	if !c.doc.Has(path + ".for") {
		c.report(path, "the key for is missing: write how long it lasts; 0 for a process that is never started again")
	}
	shortest := time.Duration(0)
	for _, rate := range c.e.Load.Rates {
		if b := c.e.Load.Block(rate); shortest == 0 || b < shortest {
			shortest = b
		}
	}
	restarts := f.Kind() == FaultKill || f.Kind() == FaultTerminate
	switch {
	case f.For == 0 && !restarts && c.doc.Has(path+".for"):
		c.report(path+".for", "a %s that never ends could not be told from an outage: write how long it lasts", f.Kind())
	case shortest > 0 && (f.At.D() >= shortest || f.At.D()+f.For.D() > shortest):
		c.report(path+".at", "from %s for %s is outside the measured block of %s", f.At, f.For, shortest)
	}
	return c.doc.Has(path+".at") && c.doc.Has(path+".for")
}

// faultTargets holds the names against the processes of all arms: each must exist in one at least.
func (c *checker) faultTargets(path string, f *Fault) {
	if f.Kind() == FaultService {
		s, known := c.e.Application.Services.Get(f.Service)
		if !known {
			c.report(path+".service", "%s", strict.Unknown("service", f.Service, c.e.Application.Services.Keys()))
		} else if c.doc.Has(path + ".replica") {
			c.within(path+".replica", f.Replica, 1, max(1, s.Replicas))
		}
		return
	}
	names := f.names()
	var known []string
	for _, a := range c.e.Arms() {
		for _, n := range a.Processes() {
			if !slices.Contains(known, n.ID) {
				known = append(known, n.ID)
			}
		}
	}
	unknown := false
	for i, name := range names {
		found := slices.ContainsFunc(c.e.Arms(), func(a *Arm) bool {
			return slices.ContainsFunc(a.Processes(), func(n Node) bool { return n.named(name) })
		})
		if !found {
			unknown = true
			c.report(c.namePath(path+"."+f.Kind(), i), "%s", strict.Unknown("process", name, known))
		}
	}
	if !unknown && (f.Kind() == FaultExpire || f.Kind() == FaultStale) {
		c.faultOfControl(path, f)
	}
}

// faultOfControl wants a fault of certificates or snapshots to meet who has some, and certificates to end while it lasts.
func (c *checker) faultOfControl(path string, f *Fault) {
	met := false
	for _, a := range c.e.Arms() {
		if len(f.Targets(a)) == 0 {
			continue
		}
		met = true
		if life := a.Topology.Mesh.SVIDLifetime; f.Kind() == FaultExpire && (life == 0 || life >= f.For) {
			c.report(path+".expire", "no certificate of %s would end while this lasts: write mesh.svid_lifetime there, shorter than %s", a.Name, f.For)
		}
	}
	if !met {
		c.report(path+"."+f.Kind(), "none of them has a control plane: certificates and snapshots are those of reference sidecars and gateways with mutual TLS")
	}
}

// namePath names one of a list of names, or the only one.
func (c *checker) namePath(path string, i int) string {
	if at := strict.Index(path, i); c.doc.Root().Lookup(at) != nil {
		return at
	}
	return path
}

// faultAlone refuses two faults that meet one process at the same time: what each did could not be told.
func (c *checker) faultAlone(path string, index int) {
	f := &c.e.Faults[index]
	block := c.e.Load.Duration.D()
	for before := range c.e.Faults[:index] {
		other := &c.e.Faults[before]
		if f.At.D() >= other.Until(block) || other.At.D() >= f.Until(block) {
			continue
		}
		for _, a := range c.e.Arms() {
			if both := common(f.Targets(a), other.Targets(a)); both != "" {
				c.report(path, "%s is met by fault %d at the same time in %s (%s): let one end before the other begins", both, before+1, a.Name,
					fmt.Sprintf("%s, from %s to %s", other.Text(), other.At, other.Until(block)))
				break
			}
		}
	}
}

func common(some, others []Node) string {
	for _, n := range some {
		if slices.Contains(others, n) {
			return n.ID
		}
	}
	return ""
}
