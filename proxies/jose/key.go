package jose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/golang-jwt/jwt/v5"
)

// algorithm is one way to sign: the type of key it takes, and for elliptic curves which (RFC 7518 3.1, RFC 8037 3.1).
type algorithm struct {
	name   string
	kty    string
	curve  string
	least  int // size of the key in bits
	method jwt.SigningMethod
}

// none is not among them, and cannot be configured.
var algorithms = []algorithm{
	{"RS256", "RSA", "", minRSA, jwt.SigningMethodRS256},
	{"RS384", "RSA", "", minRSA, jwt.SigningMethodRS384},
	{"RS512", "RSA", "", minRSA, jwt.SigningMethodRS512},
	{"PS256", "RSA", "", minRSA, saltAsLong(jwt.SigningMethodPS256)},
	{"PS384", "RSA", "", minRSA, saltAsLong(jwt.SigningMethodPS384)},
	{"PS512", "RSA", "", minRSA, saltAsLong(jwt.SigningMethodPS512)},
	{"ES256", "EC", "P-256", 0, jwt.SigningMethodES256},
	{"ES384", "EC", "P-384", 0, jwt.SigningMethodES384},
	{"ES512", "EC", "P-521", 0, jwt.SigningMethodES512},
	{"EdDSA", "OKP", "Ed25519", 0, jwt.SigningMethodEdDSA},
	{"HS256", "oct", "", 256, jwt.SigningMethodHS256},
	{"HS384", "oct", "", 384, jwt.SigningMethodHS384},
	{"HS512", "oct", "", 512, jwt.SigningMethodHS512},
}

// Sizes of RSA keys in bits: RFC 7518 3.3 wants 2048 at the least; more than 8192 only costs time.
const (
	minRSA = 2048
	maxRSA = 8192
)

// saltAsLong makes the salt as long as the hash, as RFC 7518 3.5 says; the library would take any length.
func saltAsLong(m *jwt.SigningMethodRSAPSS) jwt.SigningMethod {
	return &jwt.SigningMethodRSAPSS{SigningMethodRSA: m.SigningMethodRSA, Options: m.Options}
}

// Algorithms lists the names of all that can be configured.
func Algorithms() []string {
	var names []string
	for _, a := range algorithms {
		names = append(names, a.name)
	}
	return names
}

// key verifies with one algorithm and never with another.
type key struct {
	id     string
	method jwt.SigningMethod
	key    any
}

// Set holds keys. It never changes.
type Set struct {
	keys map[name]*key
	data string // the text it was read from
}

type name struct{ id, algorithm string }

func (s *Set) find(id, algorithm string) *key {
	if s == nil {
		return nil
	}
	return s.keys[name{id, algorithm}]
}

// Len is how many keys there are.
func (s *Set) Len() int { return len(s.keys) }

// ParseSet reads a JWK Set (RFC 7517 5). allowed names the algorithms that may be used: a key that names none itself gets the first of
// them that fits it. Keys for other uses, other algorithms, of unknown types or too weak are passed over, as RFC 7517 5 asks;
// symmetric ones only count where secrets says so, because a set that is fetched is no secret. A set without a usable key is an
// error, and so is one in which two keys could be meant by one token.
func ParseSet(data []byte, allowed []string, secrets bool) (*Set, error) {
	document, ok := Object(data)
	if !ok {
		return nil, errors.New("the key set is no JSON object, or holds a name twice")
	}
	list, ok := document["keys"].([]any)
	if !ok {
		return nil, errors.New("the key set has no list of keys")
	}
	s := &Set{keys: map[name]*key{}, data: string(data)}
	var passed error
	for i, item := range list {
		jwk, _ := item.(map[string]any)
		k, err := parseKey(jwk, allowed, secrets)
		if err != nil {
			passed = fmt.Errorf("key %d: %w", i, err)
			continue
		}
		at := name{k.id, k.method.Alg()}
		if s.keys[at] != nil {
			return nil, fmt.Errorf("key %d: another key has the same kid and algorithm", i)
		}
		s.keys[at] = k
	}
	if len(s.keys) == 0 {
		if passed == nil {
			passed = errors.New("it is empty")
		}
		return nil, fmt.Errorf("the key set has no usable key: %w", passed)
	}
	return s, nil
}

func parseKey(jwk map[string]any, allowed []string, secrets bool) (*key, error) {
	text := func(member string) string { s, _ := jwk[member].(string); return s }
	if use, there := jwk["use"]; there && use != "sig" {
		return nil, errors.New("it is not for signatures")
	}
	if operations, there := jwk["key_ops"]; there {
		if list, _ := operations.([]any); !slices.Contains(list, any("verify")) {
			return nil, errors.New("it is not for verifying")
		}
	}
	if id, there := jwk["kid"]; there {
		if _, ok := id.(string); !ok {
			return nil, errors.New("its kid is no text")
		}
	}
	if text("kty") == "oct" && !secrets {
		return nil, errors.New("a symmetric key does not belong into a set that is fetched")
	}
	a := choose(jwk, allowed)
	if a == nil {
		return nil, errors.New("no allowed algorithm fits it")
	}
	material, err := a.read(text)
	if err != nil {
		return nil, err
	}
	return &key{id: text("kid"), method: a.method, key: material}, nil
}

// choose pins a key's algorithm: the one that it names, else the first allowed one that fits.
func choose(jwk map[string]any, allowed []string) *algorithm {
	named, there := jwk["alg"]
	for _, want := range allowed {
		for i := range algorithms {
			a := &algorithms[i]
			if a.name == want && a.kty == jwk["kty"] && (a.curve == "" || a.curve == jwk["crv"]) && (!there || named == any(a.name)) {
				return a
			}
		}
	}
	return nil
}

var errKey = errors.New("its numbers are wrong for its type")

// read makes the key from its members (RFC 7518 6, RFC 8037 2).
func (a *algorithm) read(text func(string) string) (any, error) {
	number := func(member string) []byte {
		b, err := strictly.DecodeString(text(member))
		if err != nil {
			return nil
		}
		return b
	}
	switch a.kty {
	case "RSA":
		n, e := new(big.Int).SetBytes(number("n")), new(big.Int).SetBytes(number("e"))
		if n.BitLen() < a.least || n.BitLen() > maxRSA {
			return nil, fmt.Errorf("it has %d bits: %d to %d are accepted", n.BitLen(), a.least, maxRSA)
		}
		if e.BitLen() > 31 || e.Int64() < 3 || e.Bit(0) == 0 || n.Bit(0) == 0 {
			return nil, errKey
		}
		return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
	case "EC":
		curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[a.curve]
		x, y, size := number("x"), number("y"), (curve.Params().BitSize+7)/8
		if len(x) != size || len(y) != size {
			return nil, errKey
		}
		return ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
	case "OKP":
		x := number("x")
		if len(x) != ed25519.PublicKeySize {
			return nil, errKey
		}
		return ed25519.PublicKey(x), nil
	}
	secret := number("k")
	if len(secret)*8 < a.least { // RFC 7518 3.2
		return nil, fmt.Errorf("it has %d bits: %s needs %d", len(secret)*8, a.name, a.least)
	}
	return secret, nil
}
