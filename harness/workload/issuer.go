package workload

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/url"

	"github.com/valyala/fasthttp"
)

// Issuer plays the authorization server of a deployment: it answers what opaque tokens mean (RFC 7662) and does nothing else. It issues
// no token: those that it knows are given to it.
type Issuer struct {
	client  string
	secret  string
	answers map[string][]byte
	server  fasthttp.Server
}

// IssuerConfig is whom the server answers and what it knows: the file of `workload issuer --config`.
type IssuerConfig struct {
	Client string            `json:"client"` // who may ask, by HTTP Basic
	Secret string            `json:"secret"` // and proves it by this
	Issuer string            `json:"issuer"` // iss of every answer
	Tokens map[string]string `json:"tokens"` // token: the subject that it stands for
}

// inactive is all that is said of a token that is not known (RFC 7662 2.2).
var inactive = []byte(`{"active":false}`)

// NewIssuer prepares the answers.
func NewIssuer(c IssuerConfig) *Issuer {
	s := &Issuer{client: c.Client, secret: c.Secret, answers: map[string][]byte{}}
	for token, subject := range c.Tokens {
		text, _ := json.Marshal(map[string]any{ // strings and numbers: cannot fail
			"active": true, "sub": subject, "iss": c.Issuer, "scope": "read", "token_type": "Bearer", "exp": issuerExpires,
		})
		s.answers[token] = text
	}
	s.server = fasthttp.Server{Handler: s.handle, NoDefaultServerHeader: true, NoDefaultDate: true, CloseOnShutdown: true,
		MaxRequestBodySize: 64 << 10, Logger: quiet{}}
	return s
}

// issuerExpires is the last second of 2099: no token expires within a run.
const issuerExpires = 4102444799

// Serve answers on l until Shutdown.
func (s *Issuer) Serve(l net.Listener) error { return s.server.Serve(l) }

// Shutdown stops accepting and lets what is in flight end, for as long as ctx allows.
func (s *Issuer) Shutdown(ctx context.Context) error { return s.server.ShutdownWithContext(ctx) }

// handle answers a POST to /introspect (RFC 7662 2.1), of nobody but the one client.
func (s *Issuer) handle(ctx *fasthttp.RequestCtx) {
	switch path := string(ctx.Path()); {
	case path == "/healthz":
		ctx.SetBodyString("ok\n")
		return
	case path != "/introspect":
		ctx.SetStatusCode(fasthttp.StatusNotFound)
		return
	case !ctx.IsPost():
		ctx.SetStatusCode(fasthttp.StatusMethodNotAllowed)
		return
	case !s.asks(ctx):
		ctx.Response.Header.Set("WWW-Authenticate", `Basic realm="introspection"`)
		ctx.SetStatusCode(fasthttp.StatusUnauthorized)
		return
	}
	answer, known := s.answers[string(ctx.PostArgs().Peek("token"))]
	if !known {
		answer = inactive
	}
	ctx.SetContentType("application/json")
	ctx.SetBody(answer)
}

// asks says whether the request is the client's own. Both parts are form-encoded before they are joined (RFC 6749 2.3.1).
func (s *Issuer) asks(ctx *fasthttp.RequestCtx) bool {
	due := "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(s.client)+":"+url.QueryEscape(s.secret)))
	return subtle.ConstantTimeCompare(ctx.Request.Header.Peek("Authorization"), []byte(due)) == 1
}
