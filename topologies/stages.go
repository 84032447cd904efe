package topologies

import (
	"crossroads/proxies/config/strict"
	"crossroads/proxies/config/units"
)

// GatewayStages are the stages that an experiment may switch, in the order in which a request meets them. Each is written off, shadow
// or on, or as a mapping of settings.
type GatewayStages struct {
	AccessLog     *StageMode          `yaml:"access_log,omitempty" json:"access_log,omitempty"` // it has no shadow
	CORS          *StageMode          `yaml:"cors,omitempty" json:"cors,omitempty"`
	KeyAuth       *StageMode          `yaml:"key_auth,omitempty" json:"key_auth,omitempty"`
	JWT           *StageMode          `yaml:"jwt,omitempty" json:"jwt,omitempty"`
	Introspection *IntrospectionStage `yaml:"introspection,omitempty" json:"introspection,omitempty"`
	Authorization *StageMode          `yaml:"authorization,omitempty" json:"authorization,omitempty"`
	RateLimit     *RateLimitStage     `yaml:"rate_limit,omitempty" json:"rate_limit,omitempty"`
	BodyLimit     *BodyLimitStage     `yaml:"body_limit,omitempty" json:"body_limit,omitempty"` // it has no shadow
}

// StageMode is a stage without settings of its own.
type StageMode struct {
	Mode string `yaml:"mode,omitempty" json:"mode"` // off | shadow | on
}

// IntrospectionStage asks an authorization server about opaque tokens; the deployment brings one.
type IntrospectionStage struct {
	Mode   string         `yaml:"mode,omitempty" json:"mode"`
	MaxAge units.Duration `yaml:"max_age,omitempty" json:"max_age"` // how long an answer is remembered; 0: until the token expires
}

// RateLimitStage is the rate limit with its settings.
type RateLimitStage struct {
	Mode  string      `yaml:"mode,omitempty" json:"mode"`
	Rate  units.Count `yaml:"rate,omitempty" json:"rate"` // per second
	Burst units.Count `yaml:"burst,omitempty" json:"burst"`
}

// BodyLimitStage is the longest request body that passes.
type BodyLimitStage struct {
	Mode string      `yaml:"mode,omitempty" json:"mode"`
	Max  units.Bytes `yaml:"max,omitempty" json:"max"`
}

// GatewayUpstream is how the gateway treats the entry service. All of it is off unless written, but for the balancer.
type GatewayUpstream struct {
	Balance  string `yaml:"balance,omitempty" json:"balance"`   // round_robin | least_request | peak_ewma | random | hash
	Retries  string `yaml:"retries,omitempty" json:"retries"`   // off | on: three attempts, for what was not processed or answered 503
	Breaker  string `yaml:"breaker,omitempty" json:"breaker"`   // off | on
	Health   string `yaml:"health,omitempty" json:"health"`     // off | on: active checks
	Bulkhead string `yaml:"bulkhead,omitempty" json:"bulkhead"` // off | on: bounds that no experiment of this size reaches
}

// Names of stages, as files write them, metrics label them and rivals are refused by.
const (
	StageAccessLog     = "access_log"
	StageCORS          = "cors"
	StageKeyAuth       = "key_auth"
	StageJWT           = "jwt"
	StageIntrospection = "introspection"
	StageAuthorization = "authorization"
	StageRateLimit     = "rate_limit"
	StageBodyLimit     = "body_limit"
)

// Stage is one stage as a topology declares it.
type Stage struct{ Name, Mode string }

// All lists every stage in the order in which a request meets them; what is not declared is off.
func (s *GatewayStages) All() []Stage {
	stages := []Stage{
		{StageAccessLog, s.AccessLog.mode()}, {StageCORS, s.CORS.mode()}, {StageKeyAuth, s.KeyAuth.mode()}, {StageJWT, s.JWT.mode()},
		{StageIntrospection, ModeOff}, {StageAuthorization, s.Authorization.mode()}, {StageRateLimit, ModeOff}, {StageBodyLimit, ModeOff},
	}
	if s.Introspection != nil {
		stages[4].Mode = s.Introspection.Mode
	}
	if s.RateLimit != nil {
		stages[6].Mode = s.RateLimit.Mode
	}
	if s.BodyLimit != nil {
		stages[7].Mode = s.BodyLimit.Mode
	}
	return stages
}

func (s *StageMode) mode() string {
	if s == nil {
		return ModeOff
	}
	return s.Mode
}

// Mode is how a stage is declared, by its name.
func (s *GatewayStages) Mode(name string) string {
	for _, stage := range s.All() {
		if stage.Name == name {
			return stage.Mode
		}
	}
	return ModeOff
}

// FeatureTLS is the word for TLS towards clients.
const FeatureTLS = "tls"

// Features are the words for everything that a gateway does besides forwarding: TLS towards clients, stages in their order, then how it treats the entry
// service. A stage in shadow is another feature than the same stage on. None: it forwards only.
func (g *Gateway) Features() []string {
	var words []string
	if g.TLS == ModeOn {
		words = append(words, FeatureTLS)
	}
	for _, s := range g.Stages.All() {
		switch s.Mode {
		case ModeOn:
			words = append(words, s.Name)
		case ModeShadow:
			words = append(words, s.Name+"=shadow")
		}
	}
	return append(words, g.Upstream.Features()...)
}

// Features are the words for what differs from plain forwarding.
func (u *GatewayUpstream) Features() []string {
	var words []string
	if u.Balance != "" && u.Balance != balanceDefault {
		words = append(words, "balance="+u.Balance)
	}
	for _, term := range u.switches() {
		if term.Mode == ModeOn {
			words = append(words, term.Name)
		}
	}
	return words
}

func (u *GatewayUpstream) switches() []Stage {
	return []Stage{{"retries", u.Retries}, {"breaker", u.Breaker}, {"health", u.Health}, {"bulkhead", u.Bulkhead}}
}

// settle makes off the same as absent, so that nobody has to ask twice.
func (s *GatewayStages) settle() {
	for _, stage := range []**StageMode{&s.AccessLog, &s.CORS, &s.KeyAuth, &s.JWT, &s.Authorization} {
		if (*stage).mode() == ModeOff {
			*stage = nil
		}
	}
	if s.Introspection != nil && s.Introspection.Mode == ModeOff {
		s.Introspection = nil
	}
	if s.RateLimit != nil && s.RateLimit.Mode == ModeOff {
		s.RateLimit = nil
	}
	if s.BodyLimit != nil && s.BodyLimit.Mode == ModeOff {
		s.BodyLimit = nil
	}
}

// UnmarshalNode reads off, shadow, on, or a mapping of settings; a mapping without a mode means on.
func (s *IntrospectionStage) UnmarshalNode(n *strict.Node) error {
	if n.Kind == strict.Mapping {
		n.DecodeFields(s)
		return nil
	}
	return decodeMode(n, &s.Mode, "off, shadow, on, or settings such as {max_age: 1s}")
}

// UnmarshalNode reads off, on, or a mapping of settings; a mapping without a mode means on.
func (s *BodyLimitStage) UnmarshalNode(n *strict.Node) error {
	if n.Kind == strict.Mapping {
		n.DecodeFields(s)
		return nil
	}
	return decodeMode(n, &s.Mode, "off, on, or settings such as {max: 1MiB}")
}
