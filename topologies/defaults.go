package topologies

import (
	"time"

	"crossroads/proxies/config/units"
)

// Every default of an experiment file stands here; the resolved experiment writes them out.

// SetDefaults implements strict.Defaulter.
func (e *Experiment) SetDefaults() { e.Seed = 1 }

// SetDefaults implements strict.Defaulter.
func (s *Service) SetDefaults() { s.Replicas = 1 }

// SetDefaults implements strict.Defaulter.
func (g *Gateway) SetDefaults() { g.Use, g.Replicas = Reference, 1 }

// SetDefaults implements strict.Defaulter.
func (s *StageMode) SetDefaults() { s.Mode = ModeOn }

// SetDefaults implements strict.Defaulter. The limit is one that no two-core machine reaches: switched on without settings it costs
// what it costs and refuses nothing.
func (s *RateLimitStage) SetDefaults() { s.Mode, s.Rate, s.Burst = ModeOn, 100_000, 10_000 }

// SetDefaults implements strict.Defaulter. An answer is asked for anew each second: a token that was revoked is refused soon after, and
// the authorization server is part of what is measured.
func (s *IntrospectionStage) SetDefaults() { s.Mode, s.MaxAge = ModeOn, units.Duration(1e9) }

// SetDefaults implements strict.Defaulter.
func (s *BodyLimitStage) SetDefaults() { s.Mode, s.Max = ModeOn, 1<<20 }

// settle fills in how the entry service is treated, and takes out what is switched off. A relay treats nothing in any way.
func (g *Gateway) settle() {
	g.Stages.settle()
	if g.TLS == ModeOff {
		g.TLS = ""
	}
	if g.Use == Relay {
		return
	}
	u := &g.Upstream
	orElse(&u.Balance, balanceDefault)
	for _, term := range []*string{&u.Retries, &u.Breaker, &u.Health, &u.Bulkhead} {
		orElse(term, ModeOff)
	}
}

// SetDefaults implements strict.Defaulter. What depends on which sidecars there are has its default in settle.
func (m *Mesh) SetDefaults() { m.Use, m.Sidecars, m.App = Reference, SidecarsBoth, AppTCP }

// settle fills in what follows from other keys, after extends: mTLS needs a sidecar at both ends of an edge; balancing, breaking and
// retrying are done by the caller's, and by nobody for bytes that nobody understands; a relay does nothing of all that.
func (m *Mesh) settle() {
	if m.MTLS == "" {
		m.MTLS = MTLSOff
		if m.Sidecars == SidecarsBoth && m.Use != Relay {
			m.MTLS = MTLSStrict
		}
	}
	if m.Use == Relay {
		m.Protocol, m.Balance, m.Breaker, m.Retries, m.Authorization = "", "", "", "", ""
		return
	}
	orElse(&m.Protocol, ProtocolHTTP)
	orElse(&m.Authorization, ModeOff)
	if m.Sidecars == SidecarsServer || m.Protocol == ProtocolOpaque {
		m.Balance, m.Breaker, m.Retries = "", "", ""
		return
	}
	orElse(&m.Balance, balanceDefault)
	breaker := ModeOn
	if m.Use != Reference {
		breaker = ModeOff // a rival's is another one; Envoy's has to be asked for
	}
	orElse(&m.Breaker, breaker)
	orElse(&m.Retries, ModeOff)
}

func orElse(word *string, otherwise string) {
	if *word == "" {
		*word = otherwise
	}
}

// SetDefaults implements strict.Defaulter.
func (c *Client) SetDefaults() { c.Calls = CallsAtOnce }

// SetDefaults implements strict.Defaulter.
func (c *ClientCall) SetDefaults() { c.Path = "/" }

// SetDefaults implements strict.Defaulter.
func (l *Driving) SetDefaults() {
	l.Arrivals = Arrivals{Kind: ArrivalsPoisson}
	l.Connections = Ints{64}
	l.Warmup = units.Duration(1e9)
	l.Duration = units.Duration(2e9)
	l.Rounds = 6
	l.Driver = DriverNative
	l.Timeout = units.Duration(10e9)
}

// settle fills in what follows from other keys.
func (l *Driving) settle() {
	if l.ReferenceRate == 0 && len(l.Rates) > 0 {
		l.ReferenceRate = l.Rates[(len(l.Rates)-1)/2]
	}
	if l.Pacing == "" && l.Driver == DriverNative {
		l.Pacing = PacingPrecise
	}
	if len(l.Requests) == 0 {
		r := Request{}
		r.SetDefaults()
		l.Requests = []Request{r}
	}
}

// SetDefaults implements strict.Defaulter. Both times must be written: no default could be right, and zero has a meaning.
func (f *Fault) SetDefaults() { f.At, f.For = -1, -1 }

// SetDefaults implements strict.Defaulter.
func (r *Request) SetDefaults() { r.Method, r.Path, r.Weight = "GET", "/", 1 }

// Block is the length of the measured block at a rate: shorter away from the reference rate, where the file says so.
func (l *Driving) Block(rate units.Count) time.Duration {
	if rate != l.ReferenceRate && l.DurationElsewhere > 0 {
		return l.DurationElsewhere.D()
	}
	return l.Duration.D()
}
