package jose

import (
	"encoding/json"
	"math"
	"slices"
	"time"
)

// Rules are what claims have to say. Issuers and Audiences may be empty only where a caller does not want them checked.
type Rules struct {
	Issuers   []string      // iss is exactly one of them
	Audiences []string      // aud names at least one of them
	Skew      time.Duration // how far clocks may differ
	Undated   bool          // exp may be missing: whoever vouches for the token now says that it is active
}

// Claims are a payload's members, as Object returns them.
type Claims map[string]any

// ReadClaims reads the payload of a verified token: an object (RFC 7519 7.2), of a kind that is for authorizing requests. A typ of
// another kind, such as that of a logout token, is refused (RFC 8725 3.11).
func (t *Token) ReadClaims() (Claims, Refusal) {
	switch t.Type {
	case "", "jwt", "application/jwt", "at+jwt", "application/at+jwt":
	default:
		return nil, WrongType
	}
	claims, ok := Object(t.Payload)
	if !ok {
		return nil, Malformed
	}
	return claims, Valid
}

// Check holds claims against rules at an instant. expires is exp, for whoever remembers the result; zero:
// there is none.
func (c Claims) Check(rules Rules, now time.Time) (expires time.Time, r Refusal) {
	for _, member := range []string{"sub", "jti"} {
		if v, there := c[member]; there {
			if _, ok := v.(string); !ok {
				return expires, WrongType
			}
		}
	}
	if _, there, ok := c.date("iat"); there && !ok {
		return expires, WrongType
	}
	if issuer, ok := c["iss"].(string); len(rules.Issuers) > 0 && (!ok || !slices.Contains(rules.Issuers, issuer)) {
		return expires, WrongIssuer
	}
	if len(rules.Audiences) > 0 && !c.isFor(rules.Audiences) {
		return expires, WrongAudience
	}
	expires, there, ok := c.date("exp")
	if !there && !rules.Undated {
		return expires, Expired
	}
	if there && !ok {
		return expires, WrongType
	}
	if there && !now.Before(expires.Add(rules.Skew)) { // RFC 7519 4.1.4: on or after it
		return expires, Expired
	}
	if from, there, ok := c.date("nbf"); there {
		if !ok {
			return expires, WrongType
		}
		if now.Add(rules.Skew).Before(from) {
			return expires, NotYetValid
		}
	}
	return expires, Valid
}

// isFor looks for one of ours in aud: a string, or a list of nothing but strings (RFC 7519 4.1.3).
func (c Claims) isFor(ours []string) bool {
	switch aud := c["aud"].(type) {
	case string:
		return slices.Contains(ours, aud)
	case []any:
		found := false
		for _, v := range aud {
			s, ok := v.(string)
			if !ok {
				return false
			}
			found = found || slices.Contains(ours, s)
		}
		return found
	}
	return false
}

// lastSecond is the end of the year 9999: what lies behind it is no date.
const lastSecond = 253402300799

// date reads a NumericDate (RFC 7519 2): seconds, perhaps with a fraction.
func (c Claims) date(member string) (at time.Time, there, ok bool) {
	v, there := c[member]
	n, isNumber := v.(json.Number)
	if !isNumber {
		return at, there, false
	}
	seconds, err := n.Float64()
	if err != nil || seconds < 0 || seconds > lastSecond {
		return at, there, false
	}
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*1e9)), there, true
}

// Texts returns a claim as texts: a string, number or truth as one, a list of them as several. Anything else is none.
func (c Claims) Texts(member string) []string {
	list, isList := c[member].([]any)
	if !isList {
		list = []any{c[member]}
	}
	var texts []string
	for _, v := range list {
		switch v := v.(type) {
		case string:
			texts = append(texts, v)
		case json.Number:
			texts = append(texts, v.String())
		case bool:
			texts = append(texts, map[bool]string{true: "true", false: "false"}[v])
		default:
			return nil
		}
	}
	return texts
}
