package stage

import (
	"encoding/binary"
	"hash/maphash"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
	"crossroads/proxies/telemetry"
)

// RateLimit admits requests by GCRA and never delays one. Every policy that holds for a request is asked; one that denies wins
// (429 with Retry-After), and what the others took is given back. RateLimit and RateLimit-Policy tell the client where it stands
// (draft-ietf-httpapi-ratelimit-headers). In shadow it only counts. A pass allocates nothing once a key is known.
type RateLimit struct {
	name     string
	policies []policy
	debts    *debts
	header   []byte // of RateLimit-Policy
	shadow   bool
	epoch    time.Time
}

// policy is one limit, as the stage uses it.
type policy struct {
	id     byte
	name   string
	quota  quota
	keys   []keyKind
	only   []string
	counts telemetry.LimitDecisions
}

// keyKind is one way to tell requests apart; header is set for kindHeader.
type keyKind struct {
	kind   byte
	header string
}

const (
	kindConsumer = iota
	kindAddress
	kindHeader
	kindRoute
	kindAll // no key of the policy is known: all such requests share one quota
)

// NewRateLimits makes the stages of a configuration: one that runs before authentication and protects it, with the policies that
// need no consumer, and one behind it with the others. Either is nil where it would have nothing to do. Both share one table.
func NewRateLimits(c *config.RateLimit, m *telemetry.Metrics) (before, after *RateLimit) {
	table := newDebts(c.MaxKeys, m.Evicted)
	header := policyField(c.Policies)
	for i, p := range c.Policies {
		into, name := &before, "rate_limit_address"
		if len(p.Only) > 0 || slices.Contains(p.Key, "consumer") {
			into, name = &after, "rate_limit"
		}
		if *into == nil {
			*into = &RateLimit{name: name, debts: table, header: header, shadow: c.Mode == config.Shadow, epoch: time.Now()}
		}
		(*into).policies = append((*into).policies, newPolicy(byte(i), p, m, c.Mode == config.Shadow))
	}
	return before, after
}

func newPolicy(id byte, p config.RateLimitPolicy, m *telemetry.Metrics, shadow bool) policy {
	made := policy{id: id, name: p.Name, quota: newQuota(p.Rate.F(), p.Burst.F()), only: p.Only,
		counts: m.LimitDecisions(p.Name, shadow)}
	for _, k := range p.Key {
		switch k {
		case "consumer":
			made.keys = append(made.keys, keyKind{kind: kindConsumer})
		case "address":
			made.keys = append(made.keys, keyKind{kind: kindAddress})
		case "route":
			made.keys = append(made.keys, keyKind{kind: kindRoute})
		default:
			made.keys = append(made.keys, keyKind{kindHeader, strings.TrimPrefix(k, "header:")})
		}
	}
	return made
}

// policyField writes RateLimit-Policy: the burst, and the seconds in which it comes back.
func policyField(policies []config.RateLimitPolicy) []byte {
	var b []byte
	for i, p := range policies {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, '"')
		b = append(b, p.Name...)
		b = append(b, `";q=`...)
		b = strconv.AppendInt(b, int64(p.Burst), 10)
		b = append(b, ";w="...)
		b = strconv.AppendInt(b, max(1, int64(math.Ceil(p.Burst.F()/p.Rate.F()))), 10)
	}
	return b
}

// Name implements exchange.Stage.
func (s *RateLimit) Name() string { return s.name }

// Inward implements exchange.Stage.
func (s *RateLimit) Inward(x *exchange.Exchange) exchange.Step {
	now := x.Start.Sub(s.epoch)
	var took [config.MaxPolicies]uint64 // keys, to give back
	for i := range s.policies {
		p := &s.policies[i]
		if !p.holdsFor(x.Consumer.Name) {
			continue
		}
		key := s.key(p, x)
		v := s.debts.spend(key, p.quota, now)
		took[i] = key
		if v.denied {
			p.counts.Denied.Inc()
			if s.shadow {
				continue
			}
			s.giveBack(took[:i])
			x.Limit = limit(p, v)
			return x.Fail(exchange.RateLimited)
		}
		p.counts.Allowed.Inc()
		if !s.shadow && (x.Limit.Policy == "" || v.remaining < x.Limit.Remaining) {
			x.Limit = limit(p, v)
		}
	}
	return exchange.Continue
}

func limit(p *policy, v verdict) exchange.Limit {
	return exchange.Limit{Policy: p.name, Remaining: v.remaining, Reset: v.reset, Retry: v.retry, Denied: v.denied}
}

func (s *RateLimit) giveBack(took []uint64) {
	for i, key := range took {
		if key != 0 {
			s.debts.giveBack(key, s.policies[i].quota)
		}
	}
}

func (p *policy) holdsFor(consumer string) bool {
	return len(p.only) == 0 || slices.Contains(p.only, consumer)
}

// key hashes the policy and the first of its keys that the request has.
func (s *RateLimit) key(p *policy, x *exchange.Exchange) uint64 {
	var h maphash.Hash
	h.SetSeed(s.debts.seed)
	h.WriteByte(p.id)
	for _, k := range p.keys {
		if k.write(&h, x) {
			return h.Sum64() | 1<<63 // never 0
		}
	}
	h.WriteByte(kindAll)
	return h.Sum64() | 1<<63
}

func (k keyKind) write(h *maphash.Hash, x *exchange.Exchange) bool {
	switch k.kind {
	case kindConsumer:
		if x.Consumer.Name == "" {
			return false
		}
		h.WriteByte(kindConsumer)
		h.WriteString(x.Consumer.Name)
	case kindAddress:
		addr := x.Peer.Client
		if !addr.IsValid() {
			return false
		}
		h.WriteByte(kindAddress)
		// A customer has a /64 of IPv6 at the least (RFC 6177), so what is behind it tells nobody apart.
		b := addr.As16()
		if addr.Unmap().Is4() {
			h.Write(b[:])
		} else {
			h.Write(b[:8])
		}
	case kindHeader:
		value := x.Request.Header.Peek(k.header)
		if len(value) == 0 {
			return false
		}
		h.WriteByte(kindHeader)
		h.Write(value)
	case kindRoute:
		if x.Route == nil {
			return false
		}
		h.WriteByte(kindRoute)
		var n [8]byte
		binary.LittleEndian.PutUint64(n[:], uint64(len(x.Route.Name)))
		h.Write(n[:])
		h.WriteString(x.Route.Name)
	}
	return true
}

var (
	fieldRetryAfter  = []byte("Retry-After")
	fieldRateLimit   = []byte("Ratelimit")
	fieldLimitPolicy = []byte("Ratelimit-Policy")
)

// Outward says where the client stands with the strictest policy.
func (s *RateLimit) Outward(x *exchange.Exchange) {
	if s.shadow || x.Limit.Policy == "" {
		return
	}
	h := &x.Response.Header
	h.SetCanonical(fieldLimitPolicy, s.header)
	var buffer [192]byte
	b := append(buffer[:0], '"')
	b = append(b, x.Limit.Policy...)
	b = append(b, `";r=`...)
	b = strconv.AppendInt(b, x.Limit.Remaining, 10)
	b = append(b, ";t="...)
	b = strconv.AppendInt(b, wholeSeconds(x.Limit.Reset), 10)
	h.SetCanonical(fieldRateLimit, b)
	if x.Limit.Denied {
		h.SetCanonical(fieldRetryAfter, strconv.AppendInt(buffer[:0], max(1, wholeSeconds(x.Limit.Retry)), 10))
	}
}

// wholeSeconds rounds up: a client that waits so long is not early.
func wholeSeconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// Finish implements exchange.Stage.
func (s *RateLimit) Finish(*exchange.Exchange, exchange.End) {}
