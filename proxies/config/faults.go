package config

import (
	"crossroads/proxies/config/strict"
	"crossroads/proxies/config/units"
)

// Faults makes a sidecar do wrong on purpose, for tests and experiments. Where it is absent there is no stage and no hook of it.
type Faults struct {
	Seed   uint64      `yaml:"seed,omitempty" json:"seed"`
	Number string      `yaml:"number,omitempty" json:"number,omitempty"` // field that numbers a request; without it, or with no number in it, requests are counted as they come
	Rules  []FaultRule `yaml:"rules" json:"rules"`
}

// FaultRule is one thing that goes wrong: at one point of a direction, for a share of what passes, in a span of time.
type FaultRule struct {
	Direction string         `yaml:"direction" json:"direction"`   // inbound | outbound
	At        string         `yaml:"at" json:"at"`                 // dial | handshake | request | response
	Share     units.Share    `yaml:"share,omitempty" json:"share"` // of those that pass
	After     units.Duration `yaml:"after,omitempty" json:"after"` // since the sidecar began
	For       units.Duration `yaml:"for,omitempty" json:"for"`     // 0: for ever
	Delay     units.Duration `yaml:"delay,omitempty" json:"delay"` // what happens: it takes longer,
	Abort     int            `yaml:"abort,omitempty" json:"abort"` // a request is answered with this status,
	Reset     bool           `yaml:"reset,omitempty" json:"reset"` // a dial or handshake fails, or a response ends in the middle of its body
}

// The points at which a fault can be injected.
const (
	AtDial      = "dial"
	AtHandshake = "handshake"
	AtRequest   = "request"
	AtResponse  = "response"
)

// SetDefaults implements strict.Defaulter.
func (r *FaultRule) SetDefaults() { r.Share = 1 }

func (c *checker) faults(s *Sidecar) {
	if s.Faults == nil {
		return
	}
	if len(s.Faults.Rules) == 0 {
		c.fault("$.faults", "faults without rules: leave the key out, or say what goes wrong")
	}
	for i, r := range s.Faults.Rules {
		path := strict.Index("$.faults.rules", i)
		c.oneOf(path+".direction", "direction", r.Direction, "inbound", "outbound")
		c.oneOf(path+".at", "point", r.At, AtDial, AtHandshake, AtRequest, AtResponse)
		switch {
		case r.Direction == "inbound" && s.Inbound == nil, r.Direction == "outbound" && s.Outbound == nil:
			c.fault(path, "the sidecar has no %s side", r.Direction)
		case r.Delay == 0 && r.Abort == 0 && !r.Reset:
			c.fault(path, "nothing goes wrong: write delay, abort or reset")
		case r.Abort != 0 && (r.At != AtRequest || r.Abort < 400 || r.Abort > 599):
			c.fault(path, "abort is a status from 400 to 599, at request")
		case r.Reset && r.At == AtRequest:
			c.fault(path, "a request is aborted, not reset: write abort: 503, or at: response")
		case r.At == AtHandshake && r.Direction == "inbound":
			c.fault(path, "there is no handshake with the application: write at: dial")
		}
	}
}
