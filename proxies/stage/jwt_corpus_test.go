package stage_test

import (
	"bufio"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/config/strict"
	"crossroads/proxies/exchange"
	"crossroads/proxies/stage"
	"crossroads/proxies/stage/stagetest"
	"crossroads/proxies/telemetry"
)

// jwtCase is one recipe of the corpus.
type jwtCase struct {
	ID     string         `json:"id"`
	Expect int            `json:"expect"`
	Header map[string]any `json:"header"`
	Claims map[string]any `json:"claims"`
	Sign   string         `json:"sign"`
	Mangle string         `json:"mangle"`
	Why    string         `json:"why"`
}

// forge makes tokens as the corpus describes them.
type forge struct {
	trusted, other, attacker *rsa.PrivateKey
	now                      time.Time
	jwks                     string
}

func newForge(t testing.TB) *forge {
	f := &forge{now: stagetest.Epoch}
	for _, k := range []**rsa.PrivateKey{&f.trusted, &f.other, &f.attacker} {
		var err error
		*k, err = rsa.GenerateKey(rand.Reader, 2048)
		require.NoError(t, err)
	}
	f.jwks = `{"keys":[` + jwk(f.trusted, "r1") + `,` + jwk(f.other, "r2") + `]}`
	return f
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func jwk(k *rsa.PrivateKey, id string) string {
	return fmt.Sprintf(`{"kty":"RSA","use":"sig","alg":"RS256","kid":"%s","n":"%s","e":"%s"}`, id, b64(k.N.Bytes()), b64(big.NewInt(int64(k.E)).Bytes()))
}

// claims writes now+300 as seconds.
func (f *forge) claims(c map[string]any) map[string]any {
	made := map[string]any{}
	for name, v := range c {
		if s, ok := v.(string); ok && strings.HasPrefix(s, "now") {
			offset, _ := strconv.Atoi(s[3:])
			v = f.now.Unix() + int64(offset)
		}
		made[name] = v
	}
	return made
}

// good is what a valid token says.
func (f *forge) good() (header, claims map[string]any) {
	return map[string]any{"alg": "RS256", "typ": "JWT", "kid": "r1"},
		map[string]any{"iss": "https://iss.test", "aud": "gw", "sub": "u1", "iat": "now-10", "exp": "now+300"}
}

func (f *forge) token(t testing.TB, header, claims map[string]any) string {
	h, err := json.Marshal(header)
	require.NoError(t, err)
	p, err := json.Marshal(f.claims(claims))
	require.NoError(t, err)
	return f.signed(t, b64(h)+"."+b64(p), "rsa:r1", header["alg"])
}

func (f *forge) signed(t testing.TB, text, by string, alg any) string {
	var signature []byte
	var err error
	switch {
	case by == "none":
	case strings.HasPrefix(by, "hmac:"):
		mac := hmac.New(sha256.New, f.secret(t, strings.TrimPrefix(by, "hmac:")))
		mac.Write([]byte(text))
		signature = mac.Sum(nil)
	default:
		key := map[string]*rsa.PrivateKey{"rsa:r1": f.trusted, "attacker": f.attacker}[by]
		require.NotNil(t, key, "nobody signs as %q", by)
		digest, hash := sha256.Sum256([]byte(text)), crypto.SHA256
		sum := digest[:]
		if alg == "RS512" {
			long := sha512.Sum512([]byte(text))
			sum, hash = long[:], crypto.SHA512
		}
		signature, err = rsa.SignPKCS1v15(nil, key, hash, sum)
		require.NoError(t, err)
	}
	return text + "." + b64(signature)
}

// secret is what a confused verifier would take for a shared secret.
func (f *forge) secret(t testing.TB, name string) []byte {
	der, err := x509.MarshalPKIXPublicKey(&f.trusted.PublicKey)
	require.NoError(t, err)
	secrets := map[string][]byte{
		"empty": {}, "public-der-of-r1": der, "jwk-json-of-r1": []byte(jwk(f.trusted, "r1")),
		"public-pem-of-r1": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
	}
	require.Contains(t, secrets, name)
	return secrets[name]
}

// build follows a recipe as far as a token goes.
func (f *forge) build(t *testing.T, c jwtCase) string {
	if len(c.Header) == 0 {
		c.Header, c.Claims = f.good()
	}
	if c.Header["jwk"] == "attacker public key" {
		var embedded any
		require.NoError(t, json.Unmarshal([]byte(jwk(f.attacker, "r1")), &embedded))
		c.Header["jwk"] = embedded
	}
	h, err := json.Marshal(c.Header)
	require.NoError(t, err)
	p, err := json.Marshal(f.claims(c.Claims))
	require.NoError(t, err)
	switch c.Mangle {
	case "header is not JSON":
		h = []byte("{alg:RS256")
	case "payload is a JSON array":
		p = []byte(`["` + "https://iss.test" + `"]`)
	case "empty payload":
		p = nil
	case "JSON nesting depth 100 000 in the payload":
		p = []byte(`{"a":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}")
	case "standard base64 with + and /":
		p = append(p[:len(p)-1], `,"x":"`+"\u00fb\u00ff\u00fe???>>>"+`"}`...)
		std := base64.RawStdEncoding.EncodeToString(p)
		require.True(t, strings.ContainsAny(std, "+/"))
		return f.signed(t, b64(h)+"."+std, c.Sign, c.Header["alg"])
	}
	return mangle(t, f.signed(t, b64(h)+"."+b64(p), c.Sign, c.Header["alg"]), c.Mangle)
}

func mangle(t *testing.T, token, how string) string {
	last := strings.LastIndexByte(token, '.')
	switch how {
	case "flip one signature bit":
		signature, err := base64.RawURLEncoding.DecodeString(token[last+1:])
		require.NoError(t, err)
		signature[7] ^= 1
		return token[:last+1] + b64(signature)
	case "append .x":
		return token + ".x"
	case "append three characters to signature":
		return token + "AAA"
	case "base64url with = padding":
		return token + "=="
	case "non-zero trailing bits in the last signature character":
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		at := strings.IndexByte(alphabet, token[len(token)-1])
		return token[:len(token)-1] + alphabet[at+1:at+2]
	case "100 000 dots after Bearer":
		return strings.Repeat(".", 100_000)
	case "1 MiB token":
		return token + strings.Repeat("A", 1<<20)
	case "", "empty signature", "header is not JSON", "payload is a JSON array", "empty payload", "JSON nesting depth 100 000 in the payload":
		return token
	}
	t.Fatalf("the test does not know how to %q", how)
	return ""
}

// request sends a token as a case says.
func (f *forge) request(t *testing.T, c jwtCase, source *origin) request {
	how := c.Mangle
	if !strings.HasPrefix(c.ID, "flow-") {
		return request{Fields: []string{"Authorization: Bearer " + f.build(t, c)}}
	}
	c.Mangle = ""
	token := f.build(t, c)
	switch how {
	case "Authorization: Bearer (no token)":
		return request{Fields: []string{"Authorization: Bearer"}}
	case "Authorization: Basic <token>":
		return request{Fields: []string{"Authorization: Basic " + token}}
	case "token in ?access_token= only":
		return request{Target: "/?access_token=" + token}
	case "good token plus 'Connection: Authorization'":
		return request{Fields: []string{"Authorization: Bearer " + token, "Connection: Authorization"}}
	case "good token, backend must not get client copies of identity headers X-User-*":
		return request{Fields: []string{"X-User-Id: admin", "X_User.Name: admin", "Authorization: Bearer " + token, "X-Jwt-Sub: admin", "x.jwt.sub: admin"}}
	case "JWKS endpoint down, key cached":
		source.down.Store(true)
		return request{Fields: []string{"Authorization: Bearer " + token}}
	}
	t.Fatalf("the test does not know the flow %q", how)
	return request{}
}

// origin serves a key set.
type origin struct {
	*httptest.Server
	down    atomic.Bool
	fetches atomic.Int64
}

func newOrigin(t testing.TB, set func() string) *origin {
	o := &origin{}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		o.fetches.Add(1)
		if o.down.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, set())
	}))
	t.Cleanup(o.Close)
	return o
}

func jwtConfig(mode config.Mode, url string) *config.JWT {
	c := &config.JWT{}
	c.SetDefaults()
	c.Mode, c.Keys.URL, c.Algorithms = mode, url, []string{"RS256"}
	c.Issuers, c.Audiences = []string{"https://iss.test"}, []string{"gw"}
	c.Claims.Fields = strict.Map[string]{}
	c.Claims.Fields.Set("X-Jwt-Sub", "sub")
	c.Claims.Fields.Set("X-User-Id", "sub")
	return c
}

func newJWT(t testing.TB, c *config.JWT, m *telemetry.Metrics) *stage.JWT {
	st, err := stage.NewJWT(c, m)
	require.NoError(t, err)
	return st
}

// Every case of the corpus ends as it says, with the challenge of RFC 6750; each a second time, when the token might be remembered.
func TestJWTCorpus(t *testing.T) {
	f := newForge(t)
	source := newOrigin(t, func() string { return f.jwks })
	file, err := os.Open("testdata/jwt_cases.jsonl")
	require.NoError(t, err)
	defer file.Close()
	st := newJWT(t, jwtConfig(config.On, source.URL), metrics())
	header, claims := f.good()
	require.Nil(t, through(request{Fields: []string{"Authorization: Bearer " + f.token(t, header, claims)}}, st).Fault)
	lines, walked := bufio.NewScanner(file), 0
	for lines.Scan() {
		var c jwtCase
		require.NoError(t, json.Unmarshal(lines.Bytes(), &c))
		walked++
		t.Run(c.ID, func(t *testing.T) {
			r := f.request(t, c, source)
			for range 2 {
				x := through(r, st)
				require.Equal(t, c.Expect, x.Response.StatusCode(), c.Why)
				if c.Expect == 200 {
					require.Equal(t, "u1", x.Consumer.Name)
					require.Equal(t, []string{"u1"}, append(field(x, "X-Jwt-Sub"), field(x, "x.jwt.sub")...))
					require.Equal(t, []string{"u1"}, append(field(x, "X-User-Id"), field(x, "X_User.Name")...))
					require.Empty(t, field(x, "Authorization"))
					continue
				}
				require.Contains(t, string(x.Response.Header.Peek("WWW-Authenticate")), "Bearer ")
				require.Equal(t, exchange.Consumer{}, x.Consumer)
			}
		})
	}
	require.NoError(t, lines.Err())
	require.GreaterOrEqual(t, walked, 40)
}
