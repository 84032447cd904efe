package stagetest

import (
	"bytes"
	"fmt"
	"net/netip"
	"net/textproto"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"crossroads/proxies/exchange"
	"crossroads/proxies/wire"
)

// Request is what a case sends. Fields are "Name: value" lines in their order; a Host field is added where there is none.
type Request struct {
	Method string // GET where empty
	Target string // / where empty
	Fields []string
	Body   int64 // declared length; wire.Chunked; 0: none
	Peer   string
	PeerID string
	Route  *exchange.Route // as routing left it
	At     time.Time       // when the head was read; a fixed instant where zero
}

// Epoch is the instant at which requests arrive that say nothing else.
var Epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// Exchange makes an exchange as listen hands it to a chain.
func (r Request) Exchange() *exchange.Exchange {
	x := &exchange.Exchange{Request: &fasthttp.Request{}, Response: &fasthttp.Response{}}
	r.Fill(x)
	return x
}

// Fill makes x the exchange of this request, as listen does on a connection that carries several.
func (r Request) Fill(x *exchange.Exchange) {
	x.Reset()
	h := &x.Request.Header
	method, target := or(r.Method, "GET"), or(r.Target, "/")
	h.SetNoDefaultContentType(true)
	h.DisableNormalizing()
	h.DisableSpecialHeader()
	host := "example.com"
	for _, f := range r.Fields {
		name, value, _ := strings.Cut(f, ":")
		name, value = textproto.CanonicalMIMEHeaderKey(name), strings.TrimSpace(value)
		if name == "Host" {
			host = value
			continue
		}
		h.Add(name, value)
	}
	h.EnableSpecialHeader()
	h.EnableNormalizing()
	h.SetMethod(method)
	h.SetHost(host)
	h.SetRequestURI(target)
	path, _, _ := strings.Cut(target, "?")
	x.Path = h.RequestURI()[:len(path)]
	x.Peer = exchange.Peer{Addr: netip.MustParseAddrPort(or(r.Peer, "192.0.2.7:4711")), ID: r.PeerID}
	x.Peer.Client = x.Peer.Addr.Addr()
	x.Route = r.Route
	if x.Start = r.At; x.Start.IsZero() {
		x.Start = Epoch
	}
	if r.Body != 0 {
		x.RequestBody = &body{length: r.Body}
	}
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// body is a request body that is never read: stages do not read bodies.
type body struct{ length int64 }

func (b *body) Read([]byte) (int, error) { panic("a stage read a body") }
func (b *body) Length() int64            { return b.length }
func (b *body) Buffered() ([]byte, bool) { panic("a stage looked into a body") }

var _ wire.Body = (*body)(nil)

// Head writes what an upstream would receive and a client would see, to be compared.
func Head(x *exchange.Exchange) string {
	var b bytes.Buffer
	b.Write(wire.AppendRequest(nil, &x.Request.Header, wire.Outgoing{}, ""))
	fmt.Fprintf(&b, "-- path %s\n-- consumer %v\n-- fault %v\n", x.Path, x.Consumer, x.Fault)
	for name, value := range x.Response.Header.All() {
		fmt.Fprintf(&b, "%s: %s\n", name, value)
	}
	return b.String()
}

// Upstream answers 200 and counts.
type Upstream struct{ Calls int }

// Forward implements exchange.Forwarder.
func (u *Upstream) Forward(x *exchange.Exchange) exchange.Step {
	u.Calls++
	x.Response.SetStatusCode(200)
	return exchange.Continue
}
