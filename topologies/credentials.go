package topologies

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
)

// What requests carry where a gateway asks for it, and what every deployment therefore knows. The keys are made of published words: they
// are demonstrations and protect nothing. A deployment listens on loopback.
const (
	DemoConsumer = "demo"
	DemoKey      = "demo"                              // the API key of consumer demo
	DemoOpaque   = "demonstration-token"               // what the deployment's authorization server knows consumer demo by
	DemoOrigin   = "https://shop.crossroads.invalid"   // the page whose scripts may read answers
	DemoIssuer   = "https://issuer.crossroads.invalid" // of signed tokens
	DemoAudience = "crossroads"
	Algorithm    = "ES256"              // of signed tokens (RFC 7518 3.1)
	DeniedPath   = "/crossroads-denied" // what the rules of authorization deny to everybody
	OpaqueField  = "X-Access-Token"     // carries the opaque token: a gateway may look at both kinds, and Authorization holds the signed one
)

// expires is the last second of 2099: far beyond any run, and the same bytes in every run.
const expires = 4102444799

// DemoToken is the token of consumer demo.
func DemoToken() string { return SignedToken(DemoConsumer) }

// SignedToken is a JWT (RFC 7519) for a subject, signed with the demonstration key: by ES256, which every gateway that verifies tokens knows,
// and without randomness (RFC 6979), so that the token, which stands in every recorded experiment, is always the same.
func SignedToken(subject string) string { return sign(subject, demonstration("key")) }

// ForgedToken says the same as SignedToken and names the same key, but is signed with another.
func ForgedToken(subject string) string { return sign(subject, demonstration("forger's key")) }

// KeySet is the JWK Set (RFC 7517 5, RFC 7518 6.2) by which a gateway verifies signed tokens.
func KeySet() []byte {
	point, _ := demonstration("key").PublicKey.Bytes() // 4, x and y: cannot fail on this curve
	set := map[string]any{"keys": []any{map[string]string{
		"kty": "EC", "crv": "P-256", "alg": Algorithm, "use": "sig", "kid": keyID,
		"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:]),
	}}}
	text, _ := json.Marshal(set) // strings: cannot fail
	return text
}

// PublicKey is the same key in PEM (RFC 5280 4.1.2.7), for gateways that read no JWK Set.
func PublicKey() []byte {
	der, _ := x509.MarshalPKIXPublicKey(demonstration("key").Public()) // cannot fail on this curve
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

const keyID = "demonstration"

// demonstration makes a key from published words: their hash is the secret number. That it is below the order of the curve holds for the words
// used here, and for all but one in 4 thousand million.
func demonstration(name string) *ecdsa.PrivateKey {
	secret := sha256.Sum256([]byte("crossroads demonstration " + name))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), secret[:])
	if err != nil {
		panic("no key can be made of " + name + ": " + err.Error())
	}
	return key
}

// sign makes the token of a subject.
func sign(subject string, key *ecdsa.PrivateKey) string {
	return compact(Algorithm, claims(subject), func(text string) []byte { return es256(key, text) })
}

func claims(subject string) map[string]any {
	return map[string]any{"iss": DemoIssuer, "aud": DemoAudience, "sub": subject, "exp": expires, "scope": "read"}
}

// compact writes the compact form (RFC 7515 7.1).
func compact(algorithm string, claims map[string]any, signature func(text string) []byte) string {
	part := func(v any) string {
		text, _ := json.Marshal(v) // strings and numbers: cannot fail
		return base64.RawURLEncoding.EncodeToString(text)
	}
	text := part(map[string]string{"alg": algorithm, "typ": "JWT", "kid": keyID}) + "." + part(claims)
	return text + "." + base64.RawURLEncoding.EncodeToString(signature(text))
}

// es256 writes a signature as its two numbers, 32 bytes each (RFC 7518 3.4).
func es256(key *ecdsa.PrivateKey, text string) []byte {
	hash := sha256.Sum256([]byte(text))
	der, err := key.Sign(nil, hash[:], crypto.SHA256) // nil: by RFC 6979
	var numbers struct{ R, S *big.Int }
	if err == nil {
		_, err = asn1.Unmarshal(der, &numbers)
	}
	if err != nil {
		panic("signing the demonstration token: " + err.Error())
	}
	raw := make([]byte, 64)
	numbers.R.FillBytes(raw[:32])
	numbers.S.FillBytes(raw[32:])
	return raw
}

// carried is a request field that a stage asks for, with the one value that a deployment takes.
type carried struct{ stage, field, value, known string }

func carriedFields() []carried {
	return []carried{
		{StageCORS, "Origin", DemoOrigin, ""}, // any origin passes
		{StageKeyAuth, "X-Api-Key", DemoKey, "the key " + DemoKey},
		{StageJWT, "Authorization", "Bearer " + DemoToken(), "the demonstration token"},
		{StageIntrospection, OpaqueField, DemoOpaque, "the token " + DemoOpaque},
	}
}

// settleCredentials gives every request what a gateway asks for. It does so for all arms alike: they get the same requests.
func (e *Experiment) settleCredentials() {
	for _, c := range carriedFields() {
		if !e.declares(c.stage) {
			continue
		}
		for i := range e.Load.Requests {
			if r := &e.Load.Requests[i]; r.header(c.field) == "" {
				r.Headers.Set(c.field, c.value)
			}
		}
	}
}

// declares says whether any gateway has the stage, in shadow or on.
func (e *Experiment) declares(stage string) bool {
	for _, t := range e.Topologies.All() {
		if t.Gateway != nil && t.Gateway.Stages.Mode(stage) != ModeOff {
			return true
		}
	}
	return false
}

// header is the value of a field, whatever the case in which its name is written.
func (r *Request) header(name string) string { return r.Headers.At(r.spelled(name)) }

// spelled is a field's name as the request writes it, or the name itself where it does not.
func (r *Request) spelled(name string) string {
	for key := range r.Headers.All() {
		if strings.EqualFold(key, name) {
			return key
		}
	}
	return name
}
