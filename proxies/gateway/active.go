package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"crossroads/proxies/config"
	"crossroads/proxies/config/units"
)

// describe writes the chain in words, and chain and settings as a hash, so that a record can prove what ran. The hash is of what is done
// with a request, not of where things stand: the same set has the same hash on another machine.
func (s *snapshot) describe() {
	modes := s.config.Stages.Modes()
	var words []string
	for _, st := range s.chain.Stages {
		word := st.Name()
		if modes[word] == config.Shadow {
			word += "=shadow"
		}
		words = append(words, word)
	}
	s.stages = strings.Join(words, ",")
	settings, _ := json.Marshal(s.settings()) // strings and numbers: cannot fail
	sum := sha256.Sum256(append([]byte(s.stages+"\n"), settings...))
	s.hash = hex.EncodeToString(sum[:8])
}

// active is everything of a configuration that changes what a request goes through.
type active struct {
	Stages    config.GatewayStages
	Log       units.Share // of requests that are logged
	Ledger    units.Share
	Routes    []activeRoute
	Upstreams []config.Upstream // without their endpoints
	Faults    *config.Faults    `json:",omitempty"`
}

type activeRoute struct {
	MaxBody units.Bytes
	Retry   config.Retry
}

func (s *snapshot) settings() active {
	a := active{Stages: placeless(s.config.Stages), Log: s.config.Log.Sample, Ledger: s.config.Ledger.Sample, Faults: s.config.Faults}
	for _, r := range s.config.Routes {
		a.Routes = append(a.Routes, activeRoute{r.MaxBody, r.Retry})
	}
	for _, u := range s.config.Upstreams.All() {
		u.Endpoints, u.Discover = nil, ""
		a.Upstreams = append(a.Upstreams, u)
	}
	return a
}

// placeless takes out where stages find what they depend on: files and addresses.
func placeless(s config.GatewayStages) config.GatewayStages {
	if s.JWT != nil {
		j := *s.JWT
		j.Keys.File, j.Keys.URL, j.Keys.Roots = "", "", ""
		s.JWT = &j
	}
	if s.Introspection != nil {
		i := *s.Introspection
		i.URL, i.Roots, i.ClientSecret = "", "", config.Secret{}
		s.Introspection = &i
	}
	if s.RateLimit != nil && s.RateLimit.Redis != nil {
		r, store := *s.RateLimit, *s.RateLimit.Redis
		store.Address, store.Roots, store.Password = "", "", nil
		r.Redis = &store
		s.RateLimit = &r
	}
	return s
}
