package stage

import (
	"bytes"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
	"crossroads/proxies/jose"
)

// bearer is what the stages that read bearer tokens (RFC 6750) have in common: where a token stands, what becomes of a request with or
// without one, what its claims are told to the upstream as, and how a client is refused. What a token means is the stage's own check.
type bearer struct {
	header   []byte // canonical
	scheme   bool   // the field says Bearer first
	forward  bool
	optional bool
	max      int
	consumer string
	groups   string
	fields   []claimField
	shadow   bool
	cleared  func(name []byte) bool // clears, as a value that is made once
	counts   []prometheus.Counter   // by outcome
	at       outcomes

	// check finds out what a token means at an instant; the outcome says why it means nothing, where the grant is nil.
	check func(token []byte, now time.Time) (*grant, int)
}

// outcomes are where in counts stands what every such stage counts.
type outcomes struct{ missing, several, tooLong, unavailable int }

// Inward implements exchange.Stage.
func (b *bearer) Inward(x *exchange.Exchange) exchange.Step {
	if !b.shadow {
		dropFields(&x.Request.Header, b.cleared)
	}
	token, count := b.find(x)
	var g *grant
	outcome := b.at.missing
	switch {
	case count > 1:
		outcome = b.at.several
	case len(token) > b.max:
		outcome = b.at.tooLong
	case count == 1:
		g, outcome = b.check(token, x.Start)
	}
	b.counts[outcome].Inc()
	switch {
	case b.shadow:
	case g != nil:
		b.apply(x, g)
	case outcome == b.at.missing && b.optional:
	case outcome == b.at.missing:
		return x.Fail(missingToken)
	case outcome == b.at.unavailable:
		return x.Fail(exchange.AuthUnavailable)
	default:
		return x.Fail(invalidToken)
	}
	return exchange.Continue
}

// Outward adds the challenge.
func (b *bearer) Outward(x *exchange.Exchange) { challengeFor(x) }

// Finish implements exchange.Stage.
func (b *bearer) Finish(*exchange.Exchange, exchange.End) {}

// claimField tells one claim to the upstream.
type claimField struct {
	folded string // lower case, as folds wants it
	name   []byte // canonical
	claim  string
}

func newBearer(mode config.Mode, t config.BearerToken, u config.ClaimUse) bearer {
	b := bearer{
		header: []byte(textproto.CanonicalMIMEHeaderKey(t.Header)), forward: t.Credential == "forward", optional: t.Optional,
		max: int(t.Max), consumer: u.Consumer, groups: u.Groups, shadow: mode == config.Shadow,
	}
	b.scheme = bytes.Equal(b.header, fieldAuth)
	for name, claim := range u.Fields.All() {
		b.fields = append(b.fields, claimField{strings.ToLower(name), []byte(textproto.CanonicalMIMEHeaderKey(name)), claim})
	}
	return b
}

// clears says which fields a client may not send: those that claims are told in, and all that look as if they were.
func (b *bearer) clears(name []byte) bool {
	if len(name) > 0 && name[0]|0x20 == 'x' && (folds(name, "x-jwt-", true) || folds(name, "x-user-", true)) {
		return true
	}
	for i := range b.fields {
		if folds(name, b.fields[i].folded, false) {
			return true
		}
	}
	return false
}

var (
	schemeBearer = []byte("bearer ")
	queryToken   = []byte("access_token")
)

// find returns the token, and how many there are. One in the query is never believed (RFC 6750 5.3), but beside another it counts: an
// upstream could believe it.
func (b *bearer) find(x *exchange.Exchange) (token []byte, count int) {
	values := x.Request.Header.PeekAll(string(b.header))
	for _, value := range values {
		if b.scheme {
			if len(value) < len(schemeBearer) || !bytes.EqualFold(value[:len(schemeBearer)], schemeBearer) {
				continue
			}
			value = value[len(schemeBearer):]
		}
		if value = bytes.Trim(value, " "); len(value) > 0 {
			token, count = value, count+1
		}
	}
	if count == 0 {
		return nil, 0
	}
	if rest := query(x); len(rest) > 0 {
		eachParam(rest, '&', func(_, name, _ []byte) {
			if bytes.Equal(unescape(name), queryToken) {
				count++
			}
		})
	}
	return token, max(count, len(values)) // two Authorization fields are two credentials, whatever their schemes
}

// grant is what a valid token means: made once, told many times, never changed.
type grant struct {
	who    exchange.Consumer
	name   []byte
	groups []byte   // as a list
	values [][]byte // of fields, in their order; nil: the token does not say
}

// newGrant reads the claims; ok is false where they name no consumer, or one that a field cannot carry.
func (b *bearer) newGrant(c jose.Claims) (g *grant, ok bool) {
	names := c.Texts(b.consumer)
	if len(names) != 1 || !carried(names[0]) {
		return nil, false
	}
	g = &grant{who: exchange.Consumer{Name: names[0], Claims: map[string][]string{}}, name: []byte(names[0])}
	for member := range c {
		if texts := c.Texts(member); texts != nil {
			g.who.Claims[member] = texts
		}
	}
	g.who.Groups = slices.DeleteFunc(c.Texts(b.groups), func(s string) bool { return !carried(s) || strings.Contains(s, ",") })
	g.groups = []byte(strings.Join(g.who.Groups, ","))
	g.who.Scopes = scopes(c)
	for i := range b.fields {
		g.values = append(g.values, told(c.Texts(b.fields[i].claim)))
	}
	return g, true
}

// scopes reads scope, a text of words (RFC 8693 4.2), or scp, which some servers write as a list.
func scopes(c jose.Claims) []string {
	texts := c.Texts("scope")
	if texts == nil {
		texts = c.Texts("scp")
	}
	var words []string
	for _, t := range texts {
		words = append(words, strings.Fields(t)...)
	}
	return words
}

// told writes a claim as a field's value, lists with commas. What a field cannot carry, or what would be another list when it is read,
// is not told at all.
func told(texts []string) []byte {
	for _, t := range texts {
		if !carried(t) || len(texts) > 1 && strings.Contains(t, ",") {
			return nil
		}
	}
	if texts == nil {
		return nil
	}
	return []byte(strings.Join(texts, ","))
}

// carried says whether a field's value can hold a text as it is: visible ASCII, with blanks inside only (RFC 9110 5.5).
func carried(s string) bool {
	if s == "" || len(s) > 1024 || s[0] == ' ' || s[len(s)-1] == ' ' {
		return false
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// apply makes the grant's consumer the exchange's, in place of one that an earlier stage found, and tells the upstream.
func (b *bearer) apply(x *exchange.Exchange, g *grant) {
	h := &x.Request.Header
	if !b.forward {
		del(h, b.header)
	}
	x.Consumer = g.who
	h.SetCanonical(fieldConsumer, g.name)
	if len(g.groups) > 0 {
		h.SetCanonical(fieldGroups, g.groups)
	} else {
		del(h, fieldGroups)
	}
	for i, value := range g.values {
		if value != nil {
			h.SetCanonical(b.fields[i].name, value)
		}
	}
}

// The faults of a bearer token are their own values, so that only the stage that refused adds a challenge.
var (
	missingToken = exchange.Unauthenticated.With("a bearer token is needed")
	invalidToken = exchange.Unauthenticated.With("the bearer token is not valid")
)

var (
	challengeMissing = []byte(`Bearer realm="gateway"`)
	challengeInvalid = []byte(`Bearer error="invalid_token", realm="gateway"`)
)

// challengeFor adds the challenge that a 401 needs; a request without a token is told of no error (RFC 6750 3.1).
func challengeFor(x *exchange.Exchange) {
	switch x.Fault {
	case missingToken:
		x.Response.Header.SetCanonical(fieldChallenge, challengeMissing)
	case invalidToken:
		x.Response.Header.SetCanonical(fieldChallenge, challengeInvalid)
	}
}
