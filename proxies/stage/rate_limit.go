package stage

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

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
	store    Store
	header   []byte // of RateLimit-Policy
	shadow   bool
	down     bool                 // requests pass while the store cannot be asked
	unasked  []prometheus.Counter // allowed, denied
}

// Store keeps what is owed: this proxy's own table, or one that several share.
type Store interface {
	// Spend takes one request from every quota that is asked for, or from none where one denies: then it returns which, and -1
	// otherwise. It sets the verdicts up to that one. An error says that it could not find out; it may keep nothing of asks.
	Spend(asks []Ask, now time.Time) (denied int, err error)
}

// Ask is what one policy asks for a request.
type Ask struct {
	Policy  string
	Quota   Quota
	Key     []byte // tells whose quota it is; of any length, and partly the client's choice
	Verdict Verdict
}

// asking holds what is asked while it is.
type asking struct {
	asks     [config.MaxPolicies]Ask
	policies [config.MaxPolicies]*policy
	keys     []byte
}

var askings = sync.Pool{New: func() any { return &asking{keys: make([]byte, 0, 512)} }}

// policy is one limit, as the stage uses it.
type policy struct {
	name   string
	quota  Quota
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
	kindCredential
	kindAddress
	kindHeader
	kindRoute
	kindIdentity // proved by the peer
	kindAll      // no key of the policy is known: all such requests share one quota
)

// NewRateLimits makes the stages of a configuration: one that runs before authentication and protects it, with the policies that
// need no consumer, and one behind it with the others. Either is nil where it would have nothing to do. Both share one table.
func NewRateLimits(c *config.RateLimit, m *telemetry.Metrics) (before, after *RateLimit) {
	return NewSharedRateLimits(c, newDebts(c.MaxKeys, m.Evicted), m)
}

// NewSharedRateLimits is NewRateLimits with another store. What becomes of requests that it cannot be asked about is configured.
func NewSharedRateLimits(c *config.RateLimit, store Store, m *telemetry.Metrics) (before, after *RateLimit) {
	header := policyField(c.Policies)
	shadow := c.Mode == config.Shadow
	for _, p := range c.Policies {
		into, name := &before, "rate_limit_address"
		if len(p.Only) > 0 || slices.Contains(p.Key, "consumer") || slices.Contains(p.Key, "credential") {
			into, name = &after, "rate_limit"
		}
		if *into == nil {
			*into = &RateLimit{name: name, store: store, header: header, shadow: shadow}
			if c.Redis != nil {
				(*into).down = c.Redis.WhenDown == "allow"
				(*into).unasked = m.Source("rate_limit_store", "allowed_unasked", "denied_unasked")
			}
		}
		(*into).policies = append((*into).policies, newPolicy(p, m, shadow))
	}
	return before, after
}

func newPolicy(p config.RateLimitPolicy, m *telemetry.Metrics, shadow bool) policy {
	made := policy{name: p.Name, quota: newQuota(p.Rate.F(), p.Burst.F()), only: p.Only, counts: m.LimitDecisions(p.Name, shadow)}
	for _, k := range p.Key {
		switch k {
		case "consumer":
			made.keys = append(made.keys, keyKind{kind: kindConsumer})
		case "credential":
			made.keys = append(made.keys, keyKind{kind: kindCredential})
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
	a := askings.Get().(*asking)
	defer askings.Put(a)
	n := 0
	a.keys = a.keys[:0]
	for i := range s.policies {
		p := &s.policies[i]
		if !p.holdsFor(x.Consumer.Name) {
			continue
		}
		start := len(a.keys)
		a.keys = p.appendKey(a.keys, x)
		a.asks[n] = Ask{Policy: p.name, Quota: p.quota, Key: a.keys[start:]}
		a.policies[n] = p
		n++
	}
	if n == 0 {
		return exchange.Continue
	}
	denied, err := s.store.Spend(a.asks[:n], x.Start)
	if err != nil {
		return s.unasking(x)
	}
	return s.settle(x, a, n, denied)
}

// settle does what the verdicts say.
func (s *RateLimit) settle(x *exchange.Exchange, a *asking, n, denied int) exchange.Step {
	for i := range a.asks[:n] {
		p, v := a.policies[i], a.asks[i].Verdict
		if i == denied {
			p.counts.Denied.Inc()
			if s.shadow {
				return exchange.Continue
			}
			x.Limit = limit(p, v)
			return x.Fail(exchange.RateLimited)
		}
		p.counts.Allowed.Inc()
		if !s.shadow && (x.Limit.Policy == "" || v.Remaining < x.Limit.Remaining) {
			x.Limit = limit(p, v)
		}
	}
	return exchange.Continue
}

// unasking is what becomes of a request while the store cannot be asked.
func (s *RateLimit) unasking(x *exchange.Exchange) exchange.Step {
	if s.down || s.shadow {
		s.unasked[0].Inc()
		return exchange.Continue
	}
	s.unasked[1].Inc()
	return x.Fail(exchange.LimitUnavailable)
}

func limit(p *policy, v Verdict) exchange.Limit {
	return exchange.Limit{Policy: p.name, Remaining: v.Remaining, Reset: v.Reset, Retry: v.Retry, Denied: v.Denied}
}

func (p *policy) holdsFor(consumer string) bool {
	return len(p.only) == 0 || slices.Contains(p.only, consumer)
}

// appendKey writes the policy and the first of its keys that the request has. Two that differ are never the same bytes: the name's
// length stands in front of it, the kind in front of the rest.
func (p *policy) appendKey(b []byte, x *exchange.Exchange) []byte {
	b = binary.AppendUvarint(b, uint64(len(p.name)))
	b = append(b, p.name...)
	for _, k := range p.keys {
		if more, ok := k.append(b, x); ok {
			return more
		}
	}
	return append(b, kindAll)
}

func (k keyKind) append(b []byte, x *exchange.Exchange) ([]byte, bool) {
	b = append(b, k.kind)
	switch k.kind {
	case kindConsumer:
		return append(b, x.Consumer.Name...), x.Consumer.Name != ""
	case kindCredential:
		return append(b, x.Consumer.Credential...), x.Consumer.Credential != ""
	case kindIdentity:
		return append(b, x.Peer.ID...), x.Peer.ID != ""
	case kindAddress:
		addr := x.Peer.Client
		if !addr.IsValid() {
			return b, false
		}
		// A customer has a /64 of IPv6 at the least (RFC 6177), so what is behind it tells nobody apart.
		full := addr.As16()
		if addr.Unmap().Is4() {
			return append(b, full[:]...), true
		}
		return append(b, full[:8]...), true
	case kindHeader:
		value := x.Request.Header.Peek(k.header)
		return append(b, value...), len(value) > 0
	}
	if x.Route == nil {
		return b, false
	}
	return append(b, x.Route.Name...), true
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
