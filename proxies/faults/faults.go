// Package faults makes a proxy do wrong on purpose: it decides which dial, handshake, request or response of a direction is delayed,
// aborted or cut off, which renewal of its SVID is refused, and which snapshot of the control plane is kept back. Tests and experiments
// use the same rules.
//
// Its one invariant: what it decides depends on the seed, the rule and the number of what passes, and on the time only where a rule
// has a span: the same numbers meet the same faults. It does nothing by itself: the stage faults, package upstream, and the hooks of
// identity and discovery ask.
package faults

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
)

// Plan is the rules of one direction, or of the proxy itself.
type Plan struct {
	field     string
	seed      uint64
	direction string // "": of the proxy itself
	written   []rule
	rules     atomic.Pointer[[]rule]    // written, and told
	passed    map[string]*atomic.Uint64 // by point: numbers what brings none
	now       func() time.Time
	counted   func(direction, at string)
}

type rule struct {
	config.FaultRule
	seed  uint64
	began time.Time
}

// Deed is what happens to one thing that passes. The zero Deed lets it pass.
type Deed struct {
	Wait  time.Duration
	Abort *exchange.Fault
	Reset bool
}

var errInjected = errors.New("a fault that was injected")

// Suffer waits and fails as a deed says.
func (d Deed) Suffer(ctx context.Context) error {
	if d.Wait > 0 {
		select {
		case <-time.After(d.Wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if d.Reset {
		return errInjected
	}
	return nil
}

// Of returns the plan of a direction ("": of the proxy itself), nil where nothing is to go wrong in it. counted hears of every fault; now
// may be nil.
func Of(c *config.Faults, direction string, counted func(direction, at string), now func() time.Time) *Plan {
	if c == nil {
		return nil
	}
	if now == nil {
		now = time.Now
	}
	p := &Plan{field: c.Number, seed: c.Seed, direction: direction, now: now, counted: counted, passed: map[string]*atomic.Uint64{}}
	for _, at := range []string{config.AtDial, config.AtHandshake, config.AtRequest, config.AtResponse, config.AtRenewal} {
		p.passed[at] = new(atomic.Uint64)
	}
	p.written = p.read(c.Rules, 0)
	if len(p.written) == 0 && !c.Told {
		return nil
	}
	p.rules.Store(&p.written)
	return p
}

// Tell puts further rules in force beside those that are written, in the place of those told before. Their time begins now.
func (p *Plan) Tell(rules []config.FaultRule) {
	all := append(p.written[:len(p.written):len(p.written)], p.read(rules, len(p.written))...)
	p.rules.Store(&all)
}

// read takes the rules of this plan; each draws for itself.
func (p *Plan) read(rules []config.FaultRule, from int) (found []rule) {
	for i, r := range rules {
		if r.Direction == p.direction {
			found = append(found, rule{r, mix(p.seed ^ mix(uint64(from+i)+1)), p.now()})
		}
	}
	return found
}

// Dial decides on one attempt to connect, and Handshake on one to prove identities over it. They are numbered as they come.
func (p *Plan) Dial() Deed { return p.at(config.AtDial, nil) }

// Handshake: see Dial.
func (p *Plan) Handshake() Deed { return p.at(config.AtHandshake, nil) }

// Request decides on a request, before anything of it is sent on.
func (p *Plan) Request(x *exchange.Exchange) Deed { return p.at(config.AtRequest, x) }

// Response decides on a response whose head has come.
func (p *Plan) Response(x *exchange.Exchange) Deed { return p.at(config.AtResponse, x) }

// Renewal decides on one try at another SVID: it suffers what is to happen to it.
func (p *Plan) Renewal(ctx context.Context) error { return p.at(config.AtRenewal, nil).Suffer(ctx) }

// Holds says whether a snapshot that came at a time may not come into force yet; fresh, that it was not asked about before.
func (p *Plan) Holds(came time.Time, fresh bool) bool {
	for _, r := range *p.rules.Load() {
		if r.At != config.AtSnapshot {
			continue
		}
		late := r.within(came) && p.now().Sub(came) < r.Delay.D()
		if late || r.Reset && r.within(p.now()) {
			if fresh {
				p.counted(p.direction, r.At)
			}
			return true
		}
	}
	return false
}

func (p *Plan) at(point string, x *exchange.Exchange) (d Deed) {
	n, numbered := uint64(0), false
	for _, r := range *p.rules.Load() {
		if r.At != point {
			continue
		}
		if !numbered {
			n, numbered = p.number(x, p.passed[point]), true
		}
		if !r.within(p.now()) || uniform(r.seed, n) >= r.Share.F() {
			continue
		}
		d.Wait, d.Reset = d.Wait+r.Delay.D(), d.Reset || r.Reset
		if r.Abort != 0 && d.Abort == nil {
			d.Abort = &exchange.Fault{Reason: "injected", Status: r.Abort}
		}
		p.counted(p.direction, point)
	}
	return d
}

func (r *rule) within(at time.Time) bool {
	since := at.Sub(r.began)
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
