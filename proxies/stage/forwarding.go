// Package stage holds the stages that chains are made of, one file each, with what each promises at its head.
//
// Its one invariant: a stage is safe for any number of exchanges at once and keeps nothing of one beyond Finish; what has to be
// remembered between Inward and Outward stands in the exchange. A stage that is off is not in a chain; one in shadow counts what
// it would have done and changes nothing. It does not know which stages surround it: gateway and sidecar write their chains out.
package stage

import (
	"bytes"
	"net/netip"

	"github.com/valyala/fasthttp"

	"crossroads/proxies/exchange"
)

// Forwarding tells the upstream who called, and believes nobody about it: fields that speak of a client or of an authenticated
// consumer are removed in every spelling, then set from what this proxy knows itself. With trusted hops, the fields of that many
// proxies in front are continued instead. It never stops an exchange and does not allocate.
type Forwarding struct {
	hops int
}

// NewForwarding makes the stage. trustedHops is the number of proxies in front that may be believed.
func NewForwarding(trustedHops int) *Forwarding { return &Forwarding{hops: trustedHops} }

// Name implements exchange.Stage.
func (s *Forwarding) Name() string { return "forwarding" }

var (
	fieldFor   = []byte("X-Forwarded-For")
	fieldProto = []byte("X-Forwarded-Proto")
	fieldHost  = []byte("X-Forwarded-Host")
	protoHTTP  = []byte("http")
	protoHTTPS = []byte("https")
)

// Inward implements exchange.Stage.
func (s *Forwarding) Inward(x *exchange.Exchange) exchange.Step {
	h := &x.Request.Header
	x.Peer.Client = x.Peer.Addr.Addr().Unmap()
	s.clear(h)

	var scratch [256]byte
	chain := scratch[:0]
	if s.hops > 0 {
		chain = joinFields(chain, h, fieldFor)
		if client, ok := fromRight(chain, s.hops); ok {
			x.Peer.Client = client
		}
		if len(chain) > 0 {
			chain = append(chain, ", "...)
		}
		del(h, fieldFor)
	}
	if peer := x.Peer.Addr.Addr().Unmap(); peer.IsValid() {
		h.SetCanonical(fieldFor, peer.AppendTo(chain))
	} else { // a Unix socket has no address (RFC 7239 6.3 calls it unknown)
		h.SetCanonical(fieldFor, append(chain, "unknown"...))
	}
	s.origin(x, h)
	return exchange.Continue
}

// origin sets how and for which host the client asked.
func (s *Forwarding) origin(x *exchange.Exchange, h *fasthttp.RequestHeader) {
	if s.hops == 0 || !oneOf(h.PeekBytes(fieldProto), protoHTTP, protoHTTPS) {
		proto := protoHTTP
		if x.Peer.TLS {
			proto = protoHTTPS
		}
		if s.hops > 0 {
			del(h, fieldProto) // however often it came
		}
		h.SetCanonical(fieldProto, proto)
	}
	if host := h.Host(); len(host) > 0 && (s.hops == 0 || len(h.PeekBytes(fieldHost)) == 0) {
		h.SetCanonical(fieldHost, host) // HTTP/1.0 may name none
	}
}

// Outward implements exchange.Stage.
func (s *Forwarding) Outward(*exchange.Exchange) {}

// Finish implements exchange.Stage.
func (s *Forwarding) Finish(*exchange.Exchange, exchange.End) {}

// clear removes what only this proxy, or one that it trusts, may say.
func (s *Forwarding) clear(h *fasthttp.RequestHeader) {
	dropFields(h, func(name []byte) bool {
		if s.hops > 0 && oneOf(name, fieldFor, fieldProto, fieldHost) {
			return false
		}
		return managed(name)
	})
}

// managed says whether a field's name is one by which only this proxy may speak: of who the client is, of whom it was authenticated
// as, or of where and how a request should go. Whatever separators spell it: servers behind fold _ and . into -, so X.Forwarded.For
// would be read as X-Forwarded-For.
func managed(name []byte) bool {
	if len(name) == 0 {
		return false
	}
	switch name[0] | 0x20 {
	case 'x':
		return spoken(name, controls)
	case 'c', 'f', 'l', 'r', 't':
		return spoken(name, otherControls)
	}
	return false
}

// control is a field, or all that begin with a word.
type control struct {
	word   string
	prefix bool
}

// Fields that some proxy, framework or server takes at its word. Lower case, with hyphens.
var (
	controls = []control{
		{"x-forwarded", true}, {"x-real-ip", false}, {"x-client-ip", false}, {"x-cluster-client-ip", false}, {"x-remote-", true},
		{"x-consumer-", true}, {"x-jwt-", true}, {"x-authenticated", true}, {"x-auth-request-", true}, {"x-ssl-", true}, {"x-amzn-oidc-", true},
		{"x-original-", true}, {"x-rewrite-", true}, {"x-host", false}, {"x-envoy-", true}, {"x-mesh-", true},
	}
	otherControls = []control{
		{"forwarded", false}, {"forwarded-", true}, {"true-client-ip", false}, {"cf-connecting-ip", true}, {"fastly-client-ip", false},
		{"client-ip", false}, {"remote-user", false}, {"remote-addr", false}, {"l5d-", true},
	}
)

func spoken(name []byte, list []control) bool {
	for i := range list {
		if folds(name, list[i].word, list[i].prefix) {
			return true
		}
	}
	return false
}

// folds compares a name with word regardless of case and separator; prefix allows more behind it.
func folds(name []byte, word string, prefix bool) bool {
	if len(name) < len(word) || !prefix && len(name) != len(word) {
		return false
	}
	for i := range len(word) {
		c := name[i]
		switch {
		case c == '_' || c == '.':
			c = '-'
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

func oneOf(b []byte, words ...[]byte) bool {
	for _, w := range words {
		if bytes.Equal(b, w) {
			return true
		}
	}
	return false
}

// fromRight reads the nth address from the right of a list; anything unreadable there, or a list too short, is no address.
func fromRight(list []byte, n int) (netip.Addr, bool) {
	for ; n > 1; n-- {
		comma := bytes.LastIndexByte(list, ',')
		if comma < 0 {
			return netip.Addr{}, false
		}
		list = list[:comma]
	}
	entry := bytes.Trim(list[bytes.LastIndexByte(list, ',')+1:], " \t")
	if len(entry) > 64 {
		return netip.Addr{}, false
	}
	if a, err := netip.ParseAddr(string(entry)); err == nil {
		return a.Unmap().WithZone(""), true
	}
	if ap, err := netip.ParseAddrPort(string(entry)); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	return netip.Addr{}, false
}
