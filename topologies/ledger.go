package topologies

import (
	"slices"
	"time"

	"crossroads/proxies/config/units"
)

// Ledgers says whether any topology keeps a ledger: then requests of every arm ask for one, so that all get the same requests and an
// arm without proxies of ours tells the application's time.
func (e *Experiment) Ledgers() bool {
	for _, t := range e.Topologies.All() {
		if g := t.Gateway; g != nil && keeps(g.Ledger) {
			return true
		}
		if m := t.Mesh; m != nil && keeps(m.Ledger) {
			return true
		}
	}
	return false
}

func keeps(ledger string) bool { return ledger != "" && ledger != ModeOff }

// busy checks relays that spend time for nothing: a report subtracts it, so that every request has to cross every edge once.
func (c *checker) busy(path string, m *Mesh) {
	at := path + ".busy"
	switch {
	case m.Busy == 0:
		return
	case m.Busy < 0 || m.Busy > maxBusy:
		c.report(at, "busy is a time from 0 to %s", time.Duration(maxBusy))
	case m.Use != Relay:
		c.report(at, "only a relay is busy for nothing: write use: relay, or leave it out")
	}
	for name, n := range c.e.visits() {
		if n != 1 {
			c.report(at, "%s is asked %d times for one request: busy relays need a call graph in which each service is asked once, as single and chain have", name, n)
			return
		}
	}
	for name, s := range c.e.Application.Services.All() {
		for _, step := range s.Script {
			if len(step.Calls) > 1 || len(step.Calls) == 1 && step.Calls[0].Chance() < 1 {
				c.report(at, "%s makes calls at the same time, or not for every request: what busy relays spend could not be subtracted", name)
				return
			}
		}
	}
}

// maxBusy bounds what a relay may waste on a request.
const maxBusy = units.Duration(10 * time.Millisecond)

// ledger checks a ledger where it is declared. Parallel calls overlap, and times that overlap cannot be added up.
func (c *checker) ledger(path, use, ledger string) {
	c.oneOf(path+".ledger", "ledger", ledger, ledgers)
	at := path + ".ledger"
	switch {
	case !keeps(ledger) || !slices.Contains(ledgers, ledger):
		return
	case use != Reference:
		c.report(at, "%s keeps no ledger: only the reference proxies do", use)
		return
	}
	if c.e.Load.Driver != DriverNative {
		c.report(at, "only the native driver reads a ledger: it does nothing with driver: %s", c.e.Load.Driver)
	}
	for name, s := range c.e.Application.Services.All() {
		for _, step := range s.Script {
			if len(step.Calls) > 1 {
				c.report(at, "%s makes calls at the same time: their times overlap and cannot be added up; a ledger needs a call graph without them, as single and chain have", name)
				return
			}
		}
	}
	for _, r := range c.e.Load.Requests {
		if len(r.Calls) > 0 {
			c.report(at, "requests made of calls have no ledger: their times overlap")
			return
		}
	}
}
