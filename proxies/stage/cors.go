package stage

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
	"crossroads/proxies/telemetry"
)

// CORS tells browsers which pages may read answers (https://fetch.spec.whatwg.org/#http-cors-protocol). It answers preflights itself,
// in front of authentication: a preflight carries no credentials. What an upstream says about origins is taken out, so that a foreign
// origin gets no field that allows it anything; and every answer says that it depends on Origin. It stops nothing else: a browser
// decides, and other clients never ask. In shadow it only counts. It allocates nothing, but where an upstream's own fields have to go.
type CORS struct {
	origins     map[string]bool
	any         bool
	credentials bool
	methods     []byte
	headers     []byte
	expose      []byte
	maxAge      []byte
	shadow      bool
	counts      []prometheus.Counter // allowed, foreign, preflight_allowed, preflight_foreign
}

// NewCORS makes the stage from its configuration, which config has checked.
func NewCORS(c *config.CORS, m *telemetry.Metrics) *CORS {
	s := &CORS{
		origins: map[string]bool{}, credentials: c.Credentials, shadow: c.Mode == config.Shadow,
		methods: []byte(strings.Join(c.Methods, ", ")), headers: []byte(strings.Join(c.Headers, ", ")),
		expose: []byte(strings.Join(c.Expose, ", ")), maxAge: strconv.AppendInt(nil, int64(c.MaxAge.D().Seconds()), 10),
	}
	for _, o := range c.Origins {
		s.origins[o] = true
		s.any = s.any || o == "*"
	}
	s.any = s.any && !s.credentials
	s.counts = m.Auth("cors", s.shadow, "allowed", "foreign", "preflight_allowed", "preflight_foreign")
	return s
}

// Name implements exchange.Stage.
func (s *CORS) Name() string { return "cors" }

var (
	fieldOrigin        = []byte("Origin")
	fieldRequestMethod = []byte("Access-Control-Request-Method")
	fieldAllowOrigin   = []byte("Access-Control-Allow-Origin")
	fieldCredentials   = []byte("Access-Control-Allow-Credentials")
	fieldAllowMethods  = []byte("Access-Control-Allow-Methods")
	fieldAllowHeaders  = []byte("Access-Control-Allow-Headers")
	fieldExpose        = []byte("Access-Control-Expose-Headers")
	fieldMaxAge        = []byte("Access-Control-Max-Age")
	fieldVary          = []byte("Vary")
	preflightVary      = []byte("Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
	methodOptions      = []byte("OPTIONS")
	anyOrigin          = []byte("*")
	yes                = []byte("true")
)

// Inward answers a preflight: OPTIONS with Origin and Access-Control-Request-Method.
func (s *CORS) Inward(x *exchange.Exchange) exchange.Step {
	h := &x.Request.Header
	if h.PeekBytes(fieldOrigin) == nil {
		return exchange.Continue
	}
	known, asks := s.knows(h), preflight(h)
	at := 0
	if !known {
		at++
	}
	if asks {
		at += 2
	}
	s.counts[at].Inc()
	if !asks || s.shadow {
		return exchange.Continue
	}
	x.Response.SetStatusCode(http.StatusNoContent)
	x.Response.Header.SetNoDefaultContentType(true)
	return exchange.Answered
}

func preflight(h *fasthttp.RequestHeader) bool {
	return bytes.Equal(h.Method(), methodOptions) && h.PeekBytes(fieldOrigin) != nil && len(h.PeekBytes(fieldRequestMethod)) > 0
}

// knows says whether the request comes from an origin that is allowed. Several Origin fields come from none.
func (s *CORS) knows(h *fasthttp.RequestHeader) bool {
	if len(h.PeekAll("Origin")) != 1 {
		return false
	}
	return s.any || s.origins[view(h.PeekBytes(fieldOrigin))]
}

// Outward says who may read the answer, the refusals of later stages included: scripts want to know those as well.
func (s *CORS) Outward(x *exchange.Exchange) {
	if s.shadow {
		return
	}
	h, r := &x.Request.Header, &x.Response.Header
	dropAnswerFields(r, isAccessControl)
	if preflight(h) {
		r.AddBytesKV(fieldVary, preflightVary)
	} else {
		r.AddBytesKV(fieldVary, fieldOrigin)
	}
	if !s.knows(h) {
		return
	}
	if s.any {
		r.SetCanonical(fieldAllowOrigin, anyOrigin)
	} else {
		r.SetCanonical(fieldAllowOrigin, h.PeekBytes(fieldOrigin))
	}
	if s.credentials {
		r.SetCanonical(fieldCredentials, yes)
	}
	if !preflight(h) {
		if len(s.expose) > 0 {
			r.SetCanonical(fieldExpose, s.expose)
		}
		return
	}
	r.SetCanonical(fieldAllowMethods, s.methods)
	if len(s.headers) > 0 {
		r.SetCanonical(fieldAllowHeaders, s.headers)
	}
	r.SetCanonical(fieldMaxAge, s.maxAge)
}

func isAccessControl(name []byte) bool {
	const prefix = "access-control-"
	return len(name) > len(prefix) && bytes.EqualFold(name[:len(prefix)], []byte(prefix))
}

// Finish implements exchange.Stage.
func (s *CORS) Finish(*exchange.Exchange, exchange.End) {}
