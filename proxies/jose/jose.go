// Package jose reads and verifies signed tokens (JSON Web Signature, RFC 7515, in compact form) and the claims in them (JSON Web
// Token, RFC 7519), as RFC 8725 advises.
//
// Its one invariant: nothing of a token is believed before its signature held under a key that was configured, with the one
// algorithm that belongs to that key. A token cannot name where keys come from: jku, x5u, jwk and x5c are not looked at. It does no
// encryption and signs nothing.
package jose

import (
	"encoding/base64"
	"strings"
)

// Refusal is why a token is not valid.
type Refusal uint8

// The reasons, in the order in which they are found.
const (
	Valid         Refusal = iota
	Malformed             // its shape, its size, its JSON, or an extension that must be understood (crit)
	UnknownKey            // no key has this kid and this algorithm
	BadSignature          // the key says no
	Expired               // exp is over, or missing
	NotYetValid           // nbf lies ahead
	WrongIssuer           // iss
	WrongAudience         // aud
	WrongType             // typ is that of another kind of token, or a claim has another type than RFC 7519 gives it
	Refusals              // how many there are
)

func (r Refusal) String() string {
	return [...]string{"valid", "malformed", "unknown_key", "bad_signature", "expired", "not_yet_valid", "wrong_issuer",
		"wrong_audience", "wrong_type"}[r]
}

// Token is a token whose shape is right. Nothing in it is verified yet.
type Token struct {
	Algorithm string
	KeyID     string // "" where the header names none
	Type      string // typ, in lower case
	Payload   []byte
	signed    string // what the signature is about
	signature []byte
}

// maxDots is how many dots a token in compact form has.
const maxDots = 2

// Shape says whether text could be a token at all: three parts of the base64url alphabet. It looks at each byte once and allocates
// nothing, so that what is no token costs no more than reading it.
func Shape(text []byte) bool {
	dots := 0
	for _, c := range text {
		switch {
		case c == '.':
			if dots++; dots > maxDots {
				return false
			}
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return dots == maxDots
}

// strictly refuses trailing bits that are not zero: a second text for the same bytes (RFC 4648 3.5).
var strictly = base64.RawURLEncoding.Strict()

// Parse reads a token in compact form (RFC 7515 3.1).
func Parse(text string) (*Token, Refusal) {
	if !Shape([]byte(text)) {
		return nil, Malformed
	}
	last := strings.LastIndexByte(text, '.')
	t := &Token{signed: text[:last]}
	first := strings.IndexByte(text, '.')
	header, err := strictly.DecodeString(text[:first])
	if err != nil {
		return nil, Malformed
	}
	if t.Payload, err = strictly.DecodeString(text[first+1 : last]); err != nil { // may be empty: no claims, but a JWS
		return nil, Malformed
	}
	if t.signature, err = strictly.DecodeString(text[last+1:]); err != nil || len(t.signature) == 0 {
		return nil, Malformed
	}
	if !t.readHeader(header) {
		return nil, Malformed
	}
	return t, Valid
}

// readHeader takes what matters out of the header. crit lists extensions that must be understood (RFC 7515 4.1.11), and none is;
// b64 (RFC 7797) and zip would change what was signed; enc says that the token is encrypted, and not signed (RFC 7516 9).
func (t *Token) readHeader(data []byte) bool {
	header, ok := Object(data)
	if !ok {
		return false
	}
	for _, extension := range []string{"crit", "b64", "zip", "enc"} {
		if _, there := header[extension]; there {
			return false
		}
	}
	for name, into := range map[string]*string{"alg": &t.Algorithm, "kid": &t.KeyID, "typ": &t.Type} {
		value, there := header[name]
		if *into, ok = value.(string); there && !ok {
			return false
		}
	}
	t.Type = strings.ToLower(t.Type) // RFC 7515 4.1.9: a media type, without regard to case
	return t.Algorithm != ""
}

// Verify asks the key of the token's kid and algorithm whether the signature is its own.
func (t *Token) Verify(keys *Set) Refusal {
	k := keys.find(t.KeyID, t.Algorithm)
	if k == nil {
		return UnknownKey
	}
	if k.method.Verify(t.signed, t.signature, k.key) != nil {
		return BadSignature
	}
	return Valid
}
