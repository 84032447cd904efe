package topologies

import (
	"crypto/hmac"
	"crypto/sha256"
)

// WrongToken is a token that a gateway must refuse, and what is wrong with it.
type WrongToken struct {
	What  string // such as: an expired token
	Token string
}

// past is the first second of 2000.
const past = 946684800

// WrongTokens are tokens of the demonstration consumer, each right but for one thing: a claim (RFC 7519 4.1), signed as the right ones are, or
// the algorithm (RFC 8725 2.1). The one by HS256 takes the public key for the secret, which deceives whoever lets a token choose how it is
// verified.
func WrongTokens() []WrongToken {
	key := demonstration("key")
	saying := func(claim string, value any) string {
		said := claims(DemoConsumer)
		said[claim] = value
		return compact(Algorithm, said, func(text string) []byte { return es256(key, text) })
	}
	public := func(text string) []byte {
		mac := hmac.New(sha256.New, PublicKey())
		mac.Write([]byte(text))
		return mac.Sum(nil)
	}
	return []WrongToken{
		{"an expired token", saying("exp", past)},
		{"a token of the future", saying("nbf", expires-1)},
		{"a token of another issuer", saying("iss", DemoIssuer+"/another")},
		{"a token for another audience", saying("aud", "another-"+DemoAudience)},
		{"a token signed by HS256", compact("HS256", claims(DemoConsumer), public)},
		{"an unsigned token", compact("none", claims(DemoConsumer), func(string) []byte { return nil })},
	}
}
