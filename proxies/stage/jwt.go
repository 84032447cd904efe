package stage

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"crossroads/proxies/config"
	"crossroads/proxies/jose"
	"crossroads/proxies/telemetry"
)

// JWT authenticates by a signed token (RFC 7519, RFC 8725). A token that is no token by its shape, or longer than allowed, costs no
// parsing; one that was found valid is remembered until its exp, and no longer than its key stays in the set. No token, several, or
// one that is not valid fail with 401; without any keys to verify with, 503. Fields that claims are told in are cleared first,
// whatever comes of the token. In shadow it only counts. A pass allocates nothing once a token is remembered.
type JWT struct {
	bearer
	rules  jose.Rules
	keys   *jose.Source
	tokens *remembered[verified]
}

// verified is a valid token's meaning and the keys that it was verified with.
type verified struct {
	grant *grant
	keys  *jose.Set
}

// outcomes of the JWT stage, behind those that jose names.
const (
	missing = int(jose.Refusals) + iota
	several
	tooLong
	noConsumer
	noKeys
)

func jwtOutcomes() (words []string) {
	words = append(words, "accepted")
	for r := jose.Valid + 1; r < jose.Refusals; r++ {
		words = append(words, r.String())
	}
	return append(words, "missing", "several", "too_long", "no_consumer", "no_keys")
}

// NewJWT makes the stage from its configuration, which config has checked. A key set in a file must be readable; one at a URL is
// fetched in the background.
func NewJWT(c *config.JWT, m *telemetry.Metrics) (*JWT, error) {
	roots, err := LoadRoots(c.Keys.Roots)
	if err != nil {
		return nil, err
	}
	fetched := m.Source("key_set", "answered", "failed")
	keys, err := jose.NewSource(jose.SourceOptions{
		File: c.Keys.File, URL: c.Keys.URL, Algorithms: c.Algorithms, Roots: roots,
		Fresh: c.Keys.Fresh.D(), Refetch: c.Keys.Refetch.D(), Timeout: c.Keys.Timeout.D(), Now: time.Now,
		Fetched: func(err error) {
			if err != nil {
				fetched[1].Inc()
			} else {
				fetched[0].Inc()
			}
		},
	})
	if err != nil {
		return nil, err
	}
	s := &JWT{
		bearer: newBearer(c.Mode, c.Token, c.Claims), keys: keys, tokens: newRemembered[verified](c.MaxCached),
		rules: jose.Rules{Issuers: c.Issuers, Audiences: c.Audiences, Skew: c.Skew.D()},
	}
	s.cleared, s.check = s.clears, s.verify
	s.at = outcomes{missing: missing, several: several, tooLong: tooLong, unavailable: noKeys}
	s.counts = m.Auth("jwt", s.shadow, jwtOutcomes()...)
	return s, nil
}

// LoadRoots reads certificates that are to be trusted; an empty name stands for those of the system.
func LoadRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the roots: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("read the roots: %w", errors.New(file+" holds no certificate"))
	}
	return pool, nil
}

// Refresh asks for the keys again, as a reload does.
func (s *JWT) Refresh() { s.keys.Refresh() }

// Name implements exchange.Stage.
func (s *JWT) Name() string { return "jwt" }

// verify finds out what a token means at an instant.
func (s *JWT) verify(token []byte, now time.Time) (*grant, int) {
	if !jose.Shape(token) {
		return nil, int(jose.Malformed)
	}
	of := fingerprint(sha256.Sum256(token))
	if v, ok := s.tokens.get(of, now); ok && v.keys == s.keys.Set() {
		return v.grant, int(jose.Valid)
	}
	t, refusal := jose.Parse(string(token))
	if refusal != jose.Valid {
		return nil, int(refusal)
	}
	keys := s.keys.Find(t.KeyID)
	if keys == nil {
		return nil, noKeys
	}
	if refusal = t.Verify(keys); refusal != jose.Valid {
		return nil, int(refusal)
	}
	claims, refusal := t.ReadClaims()
	if refusal != jose.Valid {
		return nil, int(refusal)
	}
	expires, refusal := claims.Check(s.rules, now)
	if refusal != jose.Valid {
		return nil, int(refusal)
	}
	g, ok := s.newGrant(claims)
	if !ok {
		return nil, noConsumer
	}
	g.who.Credential = string(of[:])
	s.tokens.put(of, verified{g, keys}, expires)
	return g, int(jose.Valid)
}
