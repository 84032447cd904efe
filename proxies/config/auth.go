package config

import (
	"crossroads/proxies/config/strict"
	"crossroads/proxies/config/units"
)

// JWT authenticates by a signed token (RFC 7519) that the request carries.
type JWT struct {
	Mode       Mode           `yaml:"mode,omitempty" json:"mode"`
	Keys       KeySet         `yaml:"keys" json:"keys"`
	Algorithms []string       `yaml:"algorithms,omitempty" json:"algorithms"` // a key that names none gets the first that fits it
	Issuers    []string       `yaml:"issuers" json:"issuers"`                 // iss is one of them
	Audiences  []string       `yaml:"audiences" json:"audiences"`             // aud names one of them
	Skew       units.Duration `yaml:"skew,omitempty" json:"skew"`             // how far clocks may differ
	MaxCached  int            `yaml:"max_cached,omitempty" json:"max_cached"` // tokens found valid that are remembered, until exp at the most
	Token      BearerToken    `yaml:"token,omitempty" json:"token"`
	Claims     ClaimUse       `yaml:"claims,omitempty" json:"claims"`
}

// KeySet is where a JWK Set comes from: exactly one of File and URL.
type KeySet struct {
	File      string         `yaml:"file,omitempty" json:"file,omitempty"`
	URL       string         `yaml:"url,omitempty" json:"url,omitempty"`
	Roots     string         `yaml:"roots,omitempty" json:"roots,omitempty"`         // PEM file for URL; default: the system's
	Plaintext bool           `yaml:"plaintext,omitempty" json:"plaintext,omitempty"` // allow http to other hosts than this one
	Fresh     units.Duration `yaml:"fresh,omitempty" json:"fresh"`                   // how long a set is used without asking again
	Refetch   units.Duration `yaml:"refetch,omitempty" json:"refetch"`               // least time between two fetches
	Timeout   units.Duration `yaml:"timeout,omitempty" json:"timeout"`               // of a fetch
}

// BearerToken is where a token stands and what becomes of it.
type BearerToken struct {
	Header     string      `yaml:"header,omitempty" json:"header"`         // Authorization (scheme Bearer), or a field that holds nothing else
	Credential string      `yaml:"credential,omitempty" json:"credential"` // remove | forward
	Max        units.Bytes `yaml:"max,omitempty" json:"max"`               // longest token
	Optional   bool        `yaml:"optional,omitempty" json:"optional"`     // a request without a token passes as nobody's
}

// ClaimUse says what the claims of a token mean to the gateway and which are told to the upstream.
type ClaimUse struct {
	Consumer string             `yaml:"consumer,omitempty" json:"consumer"` // the claim that names the consumer
	Groups   string             `yaml:"groups,omitempty" json:"groups"`     // the claim that lists groups
	Fields   strict.Map[string] `yaml:"fields,omitempty" json:"fields"`     // request field: claim; always cleared first
}

// Introspection authenticates by asking an authorization server about a token (RFC 7662).
type Introspection struct {
	Mode          Mode           `yaml:"mode,omitempty" json:"mode"`
	URL           string         `yaml:"url" json:"url"`
	Roots         string         `yaml:"roots,omitempty" json:"roots,omitempty"`
	Plaintext     bool           `yaml:"plaintext,omitempty" json:"plaintext,omitempty"`
	ClientID      string         `yaml:"client_id" json:"client_id"`
	ClientSecret  Secret         `yaml:"client_secret" json:"client_secret"`
	Timeout       units.Duration `yaml:"timeout,omitempty" json:"timeout"`
	MaxConcurrent int            `yaml:"max_concurrent,omitempty" json:"max_concurrent"` // questions at the same time
	MaxCached     int            `yaml:"max_cached,omitempty" json:"max_cached"`         // answers remembered
	MaxAge        units.Duration `yaml:"max_age,omitempty" json:"max_age"`               // longest time one is; 0: until exp
	Issuers       []string       `yaml:"issuers,omitempty" json:"issuers,omitempty"`     // where given, iss is one of them
	Audiences     []string       `yaml:"audiences,omitempty" json:"audiences,omitempty"` // where given, aud names one of them
	Token         BearerToken    `yaml:"token,omitempty" json:"token"`
	Claims        ClaimUse       `yaml:"claims,omitempty" json:"claims"`
}

// Secret is where a secret stands: exactly one of a file, whose last line break does not count, and an environment variable.
type Secret struct {
	File string `yaml:"file,omitempty" json:"file,omitempty"`
	Env  string `yaml:"env,omitempty" json:"env,omitempty"`
}

// Access says who may do what: the first rule that holds for a request decides, and where none does it is denied.
type Access struct {
	Mode  Mode         `yaml:"mode,omitempty" json:"mode"`
	Rules []AccessRule `yaml:"rules" json:"rules"`
}

// AccessRule is one rule. It holds when every list that is given holds; within a list one entry is enough, but for Scopes, which are all
// needed.
type AccessRule struct {
	Name      string               `yaml:"name" json:"name"`
	Action    string               `yaml:"action,omitempty" json:"action"`                 // allow | deny
	Consumers []string             `yaml:"consumers,omitempty" json:"consumers,omitempty"` // "*": whoever authenticated
	Groups    []string             `yaml:"groups,omitempty" json:"groups,omitempty"`
	Scopes    []string             `yaml:"scopes,omitempty" json:"scopes,omitempty"`
	Claims    strict.Map[[]string] `yaml:"claims,omitempty" json:"claims"`
	Addresses []string             `yaml:"addresses,omitempty" json:"addresses,omitempty"` // CIDR, of the client
	Methods   []string             `yaml:"methods,omitempty" json:"methods,omitempty"`
	Paths     []PathMatch          `yaml:"paths,omitempty" json:"paths,omitempty"`
}

// CORS tells browsers which origins may read answers (https://fetch.spec.whatwg.org/#http-cors-protocol).
type CORS struct {
	Mode        Mode           `yaml:"mode,omitempty" json:"mode"`
	Origins     []string       `yaml:"origins" json:"origins"` // such as https://app.example.com; "*": every one, without credentials
	Methods     []string       `yaml:"methods,omitempty" json:"methods"`
	Headers     []string       `yaml:"headers,omitempty" json:"headers,omitempty"` // request fields that scripts may set
	Expose      []string       `yaml:"expose,omitempty" json:"expose,omitempty"`   // response fields that scripts may read
	Credentials bool           `yaml:"credentials,omitempty" json:"credentials"`
	MaxAge      units.Duration `yaml:"max_age,omitempty" json:"max_age"` // how long a browser remembers a preflight
}

// RedisStore keeps rate limits for several gateways.
type RedisStore struct {
	Address  string         `yaml:"address" json:"address"`
	Database int            `yaml:"database,omitempty" json:"database"`
	Username string         `yaml:"username,omitempty" json:"username,omitempty"`
	Password *Secret        `yaml:"password,omitempty" json:"password,omitempty"`
	TLS      bool           `yaml:"tls,omitempty" json:"tls"`
	Roots    string         `yaml:"roots,omitempty" json:"roots,omitempty"` // PEM file; default: the system's
	Prefix   string         `yaml:"prefix,omitempty" json:"prefix"`         // of keys: gateways with the same share their limits
	Timeout  units.Duration `yaml:"timeout,omitempty" json:"timeout"`       // of one question, connecting included
	WhenDown string         `yaml:"when_down" json:"when_down"`             // allow | deny: what becomes of requests that cannot be counted
	Pause    units.Duration `yaml:"pause,omitempty" json:"pause"`           // how long it is not asked after it failed three times in a row
}

// Modes are the modes of the stages that a file configures, by the names of the stages.
func (s *GatewayStages) Modes() map[string]Mode {
	modes := map[string]Mode{}
	if s.CORS != nil {
		modes["cors"] = s.CORS.Mode
	}
	if s.KeyAuth != nil {
		modes["key_auth"] = s.KeyAuth.Mode
	}
	if s.JWT != nil {
		modes["jwt"] = s.JWT.Mode
	}
	if s.Introspection != nil {
		modes["introspection"] = s.Introspection.Mode
	}
	if s.Authorization != nil {
		modes["authorization"] = s.Authorization.Mode
	}
	if s.RateLimit != nil {
		modes["rate_limit"], modes["rate_limit_address"] = s.RateLimit.Mode, s.RateLimit.Mode
	}
	return modes
}
