package config

import (
	"errors"
	"fmt"
	"slices"

	"crossroads/proxies/config/strict"
	"crossroads/proxies/config/units"
)

// Faults makes a sidecar or a gateway do wrong on purpose, for tests and experiments. Where it is absent there is no stage and no hook of it.
type Faults struct {
	Seed   uint64      `yaml:"seed,omitempty" json:"seed"`
	Number string      `yaml:"number,omitempty" json:"number,omitempty"` // field that numbers a request; without it, or with no number in it, requests are counted as they come
	Told   bool        `yaml:"told,omitempty" json:"told,omitempty"`     // further rules may come while it runs: PUT and DELETE /faults on the admin listener
	Rules  []FaultRule `yaml:"rules,omitempty" json:"rules"`
}

// FaultRule is one thing that goes wrong: at one point of a direction, for a share of what passes, in a span of time.
type FaultRule struct {
	Direction string         `yaml:"direction,omitempty" json:"direction,omitempty"` // inbound | outbound; a gateway has the latter only, and renewal and snapshot have none
	At        string         `yaml:"at" json:"at"`                                   // dial | handshake | request | response | renewal | snapshot
	Share     units.Share    `yaml:"share,omitempty" json:"share"`                   // of those that pass
	After     units.Duration `yaml:"after,omitempty" json:"after"`                   // since the proxy began, or was told
	For       units.Duration `yaml:"for,omitempty" json:"for"`                       // 0: for ever
	Delay     units.Duration `yaml:"delay,omitempty" json:"delay"`                   // what happens: it takes longer,
	Abort     int            `yaml:"abort,omitempty" json:"abort"`                   // a request is answered with this status,
	// A dial or handshake fails, a response ends in the middle of its body, a renewal of the SVID is refused, or a snapshot of the control
	// plane does not come into force as long as the rule holds: the newest of those kept back does then.
	Reset bool `yaml:"reset,omitempty" json:"reset"`
}

// The points at which a fault can be injected.
const (
	AtDial      = "dial"
	AtHandshake = "handshake"
	AtRequest   = "request"
	AtResponse  = "response"
	AtRenewal   = "renewal"  // of the proxy's own SVID
	AtSnapshot  = "snapshot" // of the control plane
)

// SetDefaults implements strict.Defaulter.
func (r *FaultRule) SetDefaults() { r.Share = 1 }

// resolve gives rules of what passes a proxy with one direction that direction.
func (f *Faults) resolve(direction string) {
	if f == nil {
		return
	}
	for i := range f.Rules {
		if r := &f.Rules[i]; r.Direction == "" && r.At != AtRenewal && r.At != AtSnapshot {
			r.Direction = direction
		}
	}
}

// faultsOf is what the rules of a proxy can be about.
type faultsOf struct {
	inbound, outbound bool
	identity          *Identity
}

func (c *checker) faults(f *Faults, of faultsOf) {
	if f == nil {
		return
	}
	if len(f.Rules) == 0 && !f.Told {
		c.fault("$.faults", "faults without rules: leave the key out, say what goes wrong, or write told: true for rules that come while it runs")
	}
	for i, r := range f.Rules {
		r.check(of, func(key, format string, args ...any) { c.fault(strict.Index("$.faults.rules", i)+key, format, args...) })
	}
}

// CheckTold refuses rules that a running proxy was told and that could not stand in its file.
func (f *Faults) CheckTold(inbound, outbound bool, identity *Identity) (err error) {
	for i, r := range f.Rules {
		r.check(faultsOf{inbound, outbound, identity}, func(key, format string, args ...any) {
			err = errors.Join(err, fmt.Errorf("rules[%d]%s: %s", i, key, fmt.Sprintf(format, args...)))
		})
	}
	return err
}

// check reports what is wrong with one rule, at a key of it.
func (r *FaultRule) check(of faultsOf, fault func(key, format string, args ...any)) {
	points := []string{AtDial, AtHandshake, AtRequest, AtResponse, AtRenewal, AtSnapshot}
	if !slices.Contains(points, r.At) {
		fault(".at", "%s", strict.Unknown("point", r.At, points))
	}
	if r.At == AtRenewal || r.At == AtSnapshot {
		r.checkOwn(of, fault)
		return
	}
	directions := []string{"inbound", "outbound"}
	switch {
	case !slices.Contains(directions, r.Direction):
		fault(".direction", "%s", strict.Unknown("direction", r.Direction, directions))
	case r.Direction == "inbound" && !of.inbound, r.Direction == "outbound" && !of.outbound:
		fault("", "the proxy has no %s side", r.Direction)
	case r.Delay == 0 && r.Abort == 0 && !r.Reset:
		fault("", "nothing goes wrong: write delay, abort or reset")
	case r.Abort != 0 && (r.At != AtRequest || r.Abort < 400 || r.Abort > 599):
		fault("", "abort is a status from 400 to 599, at request")
	case r.Reset && r.At == AtRequest:
		fault("", "a request is aborted, not reset: write abort: 503, or at: response")
	case r.At == AtHandshake && r.Direction == "inbound":
		fault("", "there is no handshake with the application: write at: dial")
	}
}

// checkOwn is about what concerns the proxy itself and not what passes it.
func (r *FaultRule) checkOwn(of faultsOf, fault func(key, format string, args ...any)) {
	switch {
	case r.Direction != "":
		fault(".direction", "%s is of the proxy itself: it has no direction", r.At)
	case r.At == AtRenewal && of.identity == nil:
		fault("", "without identity there is no SVID that could be renewed")
	case r.At == AtSnapshot && (of.identity == nil || of.identity.Control == nil):
		fault("", "without a control plane no snapshots come")
	case r.Abort != 0:
		fault("", "abort is a status from 400 to 599, at request")
	case r.Delay == 0 && !r.Reset:
		fault("", "nothing goes wrong: write delay or reset")
	case r.At == AtSnapshot && r.Share != 1:
		fault(".share", "snapshots are kept back or they are not: leave share out, and say how long with for")
	}
}
