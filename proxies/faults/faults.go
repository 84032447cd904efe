// Package faults makes a sidecar do wrong on purpose: it decides which dial, handshake, request or response of a direction is delayed,
// aborted or cut off. Tests and experiments use the same rules.
//
// Its one invariant: what it decides depends on the seed, the rule and the number of what passes, and on the time only where a rule
// has a span: the same numbers meet the same faults. It does nothing by itself: the stage faults and package upstream ask.
package faults

import (
	"strconv"
	"sync/atomic"
	"time"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
)

// Plan is the rules of one direction.
type Plan struct {
	field   string
	rules   []rule
	passed  map[string]*atomic.Uint64 // by point: numbers what brings none
	began   time.Time
	now     func() time.Time
	counted func(direction, at string)
}

type rule struct {
	config.FaultRule
	seed uint64
}

// Deed is what happens to one thing that passes. The zero Deed lets it pass.
type Deed struct {
	Wait  time.Duration
	Abort *exchange.Fault
	Reset bool
}

// Of returns the plan of a direction, nil where nothing is to go wrong in it. counted hears of every fault; now may be nil.
func Of(c *config.Faults, direction string, counted func(direction, at string), now func() time.Time) *Plan {
	if c == nil {
		return nil
	}
	if now == nil {
		now = time.Now
	}
	p := &Plan{field: c.Number, began: now(), now: now, counted: counted, passed: map[string]*atomic.Uint64{}}
	for i, r := range c.Rules {
		if r.Direction == direction {
			p.rules = append(p.rules, rule{r, mix(c.Seed ^ mix(uint64(i)+1))})
			p.passed[r.At] = new(atomic.Uint64)
		}
	}
	if len(p.rules) == 0 {
		return nil
	}
	return p
}

// Dial decides on one attempt to connect, and Handshake on one to prove identities over it. They are numbered as they come.
func (p *Plan) Dial() Deed { return p.at(config.AtDial, nil) }

// Handshake: see Dial.
func (p *Plan) Handshake() Deed { return p.at(config.AtHandshake, nil) }

// Request decides on a request, before anything of it is sent on.
func (p *Plan) Request(x *exchange.Exchange) Deed { return p.at(config.AtRequest, x) }

// Response decides on a response whose head has come.
func (p *Plan) Response(x *exchange.Exchange) Deed { return p.at(config.AtResponse, x) }

func (p *Plan) at(point string, x *exchange.Exchange) (d Deed) {
	passed := p.passed[point]
	if passed == nil {
		return d
	}
	n := p.number(x, passed)
	for _, r := range p.rules {
		if r.At != point || !r.within(p.now().Sub(p.began)) || uniform(r.seed, n) >= r.Share.F() {
			continue
		}
		d.Wait, d.Reset = d.Wait+r.Delay.D(), d.Reset || r.Reset
		if r.Abort != 0 && d.Abort == nil {
			d.Abort = &exchange.Fault{Reason: "injected", Status: r.Abort}
		}
		p.counted(r.Direction, point)
	}
	return d
}

func (r *rule) within(since time.Duration) bool {
	return since >= r.After.D() && (r.For == 0 || since < r.After.D()+r.For.D())
}

// number is what the request says of itself, or its place among those that passed.
func (p *Plan) number(x *exchange.Exchange, passed *atomic.Uint64) uint64 {
	if x != nil && p.field != "" {
		if n, err := strconv.ParseUint(string(x.Request.Header.Peek(p.field)), 10, 64); err == nil {
			return n
		}
	}
	return passed.Add(1) - 1
}

// mix is the finalizer of splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// uniform draws from [0, 1).
func uniform(seed, n uint64) float64 { return float64(mix(seed^mix(n))>>11) / (1 << 53) }
