package stage

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"crossroads/proxies/config"
	"crossroads/proxies/jose"
	"crossroads/proxies/telemetry"
)

// Introspection authenticates by asking an authorization server what a token means (RFC 7662). One question is asked for a token,
// however many requests wait for its answer; an answer that says active is remembered until the token's exp, or for the time that is
// allowed where that is shorter; one without an exp is not. Where the server cannot say, the request fails with 503: it never passes
// unasked. In shadow the server is asked all the same and nothing else happens. A pass allocates nothing once an answer is remembered.
type Introspection struct {
	bearer
	url       string
	id        string
	secret    string
	client    *http.Client
	timeout   time.Duration
	maxAge    time.Duration
	issuers   []string
	audiences []string
	places    chan struct{} // one for each question under way
	flights   singleflight.Group
	answers   *remembered[*grant]
	post      func(token string) (jose.Claims, error)
	asked     []prometheus.Counter // answered, failed
}

// outcomes of the stage.
const (
	askedAccepted = iota
	askedInactive
	askedRefused
	askedMalformed
	askedMissing
	askedSeveral
	askedTooLong
	askedNoConsumer
	askedUnavailable
)

// maxAnswer bounds what the server may say, in bytes.
const maxAnswer = 64 << 10

// NewIntrospection makes the stage from its configuration, which config has checked; secret is what the reference in it stands for.
func NewIntrospection(c *config.Introspection, secret string, m *telemetry.Metrics) (*Introspection, error) {
	roots, err := LoadRoots(c.Roots)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil // tokens go where the configuration says
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	transport.MaxIdleConnsPerHost, transport.IdleConnTimeout = c.MaxConcurrent, 30*time.Second
	s := &Introspection{
		bearer: newBearer(c.Mode, c.Token, c.Claims), url: c.URL, id: c.ClientID, secret: secret, timeout: c.Timeout.D(),
		maxAge: c.MaxAge.D(), issuers: c.Issuers, audiences: c.Audiences,
		places: make(chan struct{}, c.MaxConcurrent), answers: newRemembered[*grant](c.MaxCached),
		client: &http.Client{Transport: transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		asked: m.Source("introspection", "answered", "failed"),
	}
	s.cleared, s.check, s.post = s.clears, s.inquire, s.question
	s.at = outcomes{missing: askedMissing, several: askedSeveral, tooLong: askedTooLong, unavailable: askedUnavailable}
	s.counts = m.Auth("introspection", s.shadow, "accepted", "inactive", "refused", "malformed", "missing", "several", "too_long",
		"no_consumer", "unavailable")
	return s, nil
}

// Name implements exchange.Stage.
func (s *Introspection) Name() string { return "introspection" }

// inquire finds out what a token means at an instant.
func (s *Introspection) inquire(token []byte, now time.Time) (*grant, int) {
	if !token68(token) {
		return nil, askedMalformed
	}
	of := fingerprint(sha256.Sum256(token))
	if g, ok := s.answers.get(of, now); ok {
		return g, askedAccepted
	}
	text := string(token)
	v, _, _ := s.flights.Do(string(of[:]), func() (any, error) {
		if g, ok := s.answers.get(of, now); ok { // another flight has landed since
			return answer{g, askedAccepted}, nil
		}
		g, until, outcome := s.ask(text, now)
		if g != nil {
			g.who.Credential = string(of[:])
		}
		if g != nil && until.After(now) {
			s.answers.put(of, g, until)
		}
		return answer{g, outcome}, nil
	})
	a := v.(answer)
	return a.grant, a.outcome
}

type answer struct {
	grant   *grant
	outcome int
}

// token68 is what a bearer token is made of (RFC 6750 2.1).
func token68(text []byte) bool {
	for i, c := range text {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~+/", c) >= 0:
		case c == '=' && i > 0:
		default:
			return false
		}
	}
	return len(text) > 0
}

// ask has one place among the questions under way; without one the answer is that there is none, rather than a queue.
func (s *Introspection) ask(token string, now time.Time) (g *grant, until time.Time, outcome int) {
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	default:
		return nil, until, askedUnavailable
	}
	said, err := s.post(token)
	if err != nil {
		s.asked[1].Inc()
		return nil, until, askedUnavailable
	}
	s.asked[0].Inc()
	return s.judge(said, now)
}

// judge reads an answer (RFC 7662 2.2). What the server says about a token is held against the clock and the rules once more.
func (s *Introspection) judge(said jose.Claims, now time.Time) (g *grant, until time.Time, outcome int) {
	if said["active"] != true {
		return nil, until, askedInactive
	}
	until, refusal := said.Check(jose.Rules{Issuers: s.issuers, Audiences: s.audiences, Undated: true}, now)
	if refusal != jose.Valid {
		return nil, until, askedRefused
	}
	g, ok := s.newGrant(said)
	if !ok {
		return nil, until, askedNoConsumer
	}
	if s.maxAge > 0 && until.After(now.Add(s.maxAge)) {
		until = now.Add(s.maxAge)
	}
	return g, until, askedAccepted
}

// question asks. The secret goes in the Authorization field, encoded as RFC 6749 2.3.1 wants it, the token in the body: neither in a URL.
func (s *Introspection) question(token string) (jose.Claims, error) {
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	request.SetBasicAuth(url.QueryEscape(s.id), url.QueryEscape(s.secret))
	response, err := s.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask about a token: %w", err)
	}
	defer response.Body.Close()
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if response.StatusCode != http.StatusOK || media != "application/json" {
		return nil, fmt.Errorf("ask about a token: the server answered %s with %q", response.Status, media)
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("ask about a token: %w", err)
	}
	return readAnswer(data)
}

// readAnswer reads what the server said: an object that says whether the token is active.
func readAnswer(data []byte) (jose.Claims, error) {
	said, ok := jose.Object(data)
	if _, says := said["active"].(bool); len(data) > maxAnswer || !ok || !says {
		return nil, fmt.Errorf("ask about a token: the answer is not one of RFC 7662")
	}
	return said, nil
}
