package rivals

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
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

// Policies are all limits as RateLimit-Policy tells them.
func (p *plan) Policies() string {
	var all []string
	for _, l := range p.Limits {
		all = append(all, l.Policy())
	}
	return strings.Join(all, ", ")
}

// Knows says whether a stage finds out who asks.
func (p *plan) Knows() bool { return p.KeyAuth || p.JWT }

// Issuer, Audience and Algorithm are what a token must say.
func (plan) Issuer() string    { return topologies.DemoIssuer }
func (plan) Audience() string  { return topologies.DemoAudience }
func (plan) Algorithm() string { return topologies.Algorithm }

// Announces says whether answers tell the limits: what only looks tells nobody.
func (p *plan) Announces() bool { return len(p.Limits) > 0 && !p.Limits[0].Shadow }

// stages gives the declared stages the demonstration credentials, as the deployer does for the reference gateway.
func (p *plan) stages(s topologies.GatewayStages) {
	p.KeyAuth = s.KeyAuth != nil && declared(s.KeyAuth.Mode)
	p.JWT = s.JWT != nil && declared(s.JWT.Mode)
	if p.KeyAuth {
		p.Keys = []key{newKey("demo", deploy.DemoKey), newKey(deploy.ProbeConsumer, deploy.ProbeKey)}
	}
	if s.RateLimit == nil || !declared(s.RateLimit.Mode) {
		return
	}
	shadow := s.RateLimit.Mode == topologies.ModeShadow
	p.Limits = []limit{{Name: deploy.DeclaredPolicy, Rate: s.RateLimit.Rate.F(), Burst: int64(s.RateLimit.Burst), Shadow: shadow}}
	if p.Knows() {
		p.Limits = append(p.Limits, limit{Name: deploy.ProbeConsumer, Rate: deploy.ProbeRate, Burst: deploy.ProbeBurst, Only: deploy.ProbeConsumer, Shadow: shadow})
	}
}

func newKey(consumer, text string) key {
	sum := sha256.Sum256([]byte(text))
	return key{Consumer: consumer, Key: text, SHA256: hex.EncodeToString(sum[:])}
}

// noJWT refuses signed tokens altogether.
func noJWT(s topologies.GatewayStages, reason string) *refusal {
	if s.JWT != nil && declared(s.JWT.Mode) {
		return &refusal{jwt, reason}
	}
	return nil
}

// noShadow refuses to look at credentials without acting.
func noShadow(s topologies.GatewayStages, reason string) *refusal {
	switch {
	case s.KeyAuth != nil && s.KeyAuth.Mode == topologies.ModeShadow:
		return &refusal{keyAuth, reason}
	case s.JWT != nil && s.JWT.Mode == topologies.ModeShadow:
		return &refusal{jwt, reason}
	}
	return nil
}

// whole writes a number without a fraction.
func whole(n float64) string { return strconv.FormatFloat(n, 'f', 0, 64) }

// Names of stages, as experiments write them.
const (
	keyAuth   = topologies.StageKeyAuth
	rateLimit = topologies.StageRateLimit
	jwt       = topologies.StageJWT
)

// Ways of treating the entry service, as experiments write them; in a rival's does.
const (
	retries      = "upstream.retries"
	breaker      = "upstream.breaker"
	health       = "upstream.health"
	leastRequest = "upstream.balance=least_request"
)

// lacking are the stages and terms for which no rival's configuration is rendered, with the reason. A rival that gets one names it in
// its does.
var lacking = map[string]string{
	topologies.StageCORS:          "answering preflights is not rendered for rivals",
	topologies.StageIntrospection: "asking an authorization server about tokens is not rendered for rivals",
	topologies.StageAuthorization: "rules of who may do what are not rendered for rivals",
	topologies.StageBodyLimit:     "rivals are rendered without a limit on bodies",
	"upstream.retries":            "trying again within a budget has no equivalent here: it is rendered with its own retries off",
	"upstream.breaker":            "it has none that ejects an endpoint after failures in a row and lets it back after growing pauses",
	"upstream.health":             "it has no active checks that take as many failures in a row as the reference gateway's",
	"upstream.bulkhead":           "bounds on what is in flight are not rendered for rivals",
	"upstream.balance":            "it is rendered with round robin, and nginx, haproxy, envoy and caddy with least_request too",
}

// refuses looks for what is declared and lacking, and not among what the rival does; then for what it cannot do in the way declared. nil: it
// can do everything.
func (r Rival) refuses(g *topologies.Gateway) *refusal {
	if g.Config != nil {
		return nil // what a file of the user's own does, parity finds out
	}
	var asked []string
	for _, s := range g.Stages.All() {
		if declared(s.Mode) {
			asked = append(asked, s.Name)
		}
	}
	for _, term := range g.Upstream.Features() {
		asked = append(asked, "upstream."+term)
	}
	for _, feature := range asked {
		name, _, _ := strings.Cut(feature, "=")
		if reason, none := lacking[name]; none && !slices.Contains(r.does, feature) {
			return &refusal{name, reason}
		}
	}
	return r.refuse(g.Stages)
}

// wholeRate writes a rate as whole requests in a second or a minute, as most programs take it.
func wholeRate(perSecond float64) (n float64, per time.Duration, ok bool) {
	for _, unit := range []time.Duration{time.Second, time.Minute} {
		if n := perSecond * unit.Seconds(); n >= 1 && n == math.Trunc(n) {
			return n, unit, true
		}
	}
	return 0, 0, false
}

// wholeLimit refuses a limit that is no whole number of requests in a second or a minute.
func wholeLimit(r *topologies.RateLimitStage) *refusal {
	if r == nil || !declared(r.Mode) {
		return nil
	}
	if _, _, ok := wholeRate(r.Rate.F()); !ok {
		return &refusal{rateLimit, "it limits to whole requests a second or a minute, not to " + r.Rate.String() + " a second"}
	}
	return nil
}

// Tokens are how many requests a limit allows within Per. What is not whole was refused.
func (l limit) Tokens() string {
	n, _, _ := wholeRate(l.Rate)
	return whole(n)
}

// Per is the time in which Tokens requests are earned.
func (l limit) Per() string {
	_, per, _ := wholeRate(l.Rate)
	return whole(per.Seconds()) + "s"
}
