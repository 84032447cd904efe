package rivals

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"time"

	"crossroads/harness/deploy"
	"crossroads/topologies"
)

// key is one credential that a deployment knows.
type key struct {
	Consumer, Key, SHA256 string
}

// limit is one rate limit.
type limit struct {
	Name   string
	Rate   float64 // per second
	Burst  int64
	Only   string // consumer that it holds for; "": all
	Shadow bool
}

// Window is the time in which the burst is earned again.
func (l limit) Window() time.Duration {
	return time.Duration(float64(l.Burst) / l.Rate * float64(time.Second))
}

// Policy is the limit as RateLimit-Policy tells it (draft-ietf-httpapi-ratelimit-headers), in whole seconds and at least one.
func (l limit) Policy() string {
	return fmt.Sprintf("%q;q=%d;w=%d", l.Name, l.Burst, int64(max(1, math.Ceil(l.Window().Seconds()))))
}

// stages gives the declared stages the demonstration credentials, as the deployer does for the reference gateway.
func (p *plan) stages(s topologies.GatewayStages) {
	p.KeyAuth = s.KeyAuth != nil && declared(s.KeyAuth.Mode)
	if p.KeyAuth {
		p.Keys = []key{newKey("demo", deploy.DemoKey), newKey(deploy.ProbeConsumer, deploy.ProbeKey)}
	}
	if s.RateLimit == nil || !declared(s.RateLimit.Mode) {
		return
	}
	shadow := s.RateLimit.Mode == topologies.ModeShadow
	p.Limits = []limit{{Name: deploy.DeclaredPolicy, Rate: s.RateLimit.Rate.F(), Burst: int64(s.RateLimit.Burst), Shadow: shadow}}
	if p.KeyAuth {
		p.Limits = append(p.Limits, limit{Name: deploy.ProbeConsumer, Rate: deploy.ProbeRate, Burst: deploy.ProbeBurst, Only: deploy.ProbeConsumer, Shadow: shadow})
	}
}

func newKey(consumer, text string) key {
	sum := sha256.Sum256([]byte(text))
	return key{Consumer: consumer, Key: text, SHA256: hex.EncodeToString(sum[:])}
}

// whole writes a number without a fraction.
func whole(n float64) string { return strconv.FormatFloat(n, 'f', 0, 64) }

// Names of stages, as experiments write them.
const (
	keyAuth   = "key_auth"
	rateLimit = "rate_limit"
)

// forwardsOnly refuses every stage.
func forwardsOnly(name string) func(topologies.GatewayStages) *refusal {
	return func(s topologies.GatewayStages) *refusal {
		const reason = "only plain forwarding is rendered for %s; nginx and haproxy have the stages"
		switch {
		case s.KeyAuth != nil && declared(s.KeyAuth.Mode):
			return &refusal{keyAuth, fmt.Sprintf(reason, name)}
		case s.RateLimit != nil && declared(s.RateLimit.Mode):
			return &refusal{rateLimit, fmt.Sprintf(reason, name)}
		}
		return nil
	}
}
