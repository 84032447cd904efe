// Package exchange holds what is in flight in a proxy, one request and its response, and the chain of stages they pass.
//
// Its one invariant: Finish runs exactly once for every stage whose Inward ran, whatever ended the exchange. It does no input or
// output; listen reads and writes the downstream side, upstream the other.
package exchange

import (
	"net/netip"
	"time"
	"unsafe"

	"github.com/valyala/fasthttp"

	"crossroads/proxies/wire"
)

// Exchange is one request and its response on their way through a proxy. It is reused: nothing may keep it, nor bytes of it, after
// Finish. Only the goroutine that serves the connection touches it, but for Cancel.
type Exchange struct {
	Request  *fasthttp.Request  // the head; its body is RequestBody
	Response *fasthttp.Response // the head; its own body only where a stage answered

	RequestBody  wire.Body // nil: no body
	ResponseBody wire.Body // nil: the body of Response, if any

	Peer     Peer
	Consumer Consumer // who authenticated; empty before authentication
	Route    *Route   // nil before routing
	Fault    *Fault   // set by whatever failed the exchange

	ID       string        // X-Request-Id; valid until Finish
	Trace    Trace         // W3C trace context
	Path     []byte        // the path bytes that are matched, authorized and forwarded, without the query
	Flaws    wire.Flaw     // of Path; zero where whoever read the head refuses them
	Start    time.Time     // the head was read
	Arrived  wire.Instant  // the system call that brought its last bytes was over; zero where nobody takes stage times
	Deadline time.Time     // zero: none; covers retries and the body
	Endpoint string        // address of the endpoint that answered, "" if none did
	Attempts int           // tries at an upstream
	Upstream time.Duration // time spent waiting for upstream in all tries
	Sent     int64         // body bytes sent downstream
	Received int64         // body bytes received from downstream
	Tunnel   *Tunnel       // set when both sides agreed to upgrade
	Close    bool          // the downstream connection ends after this response
	Ledger   Ledger        // nanoseconds by stage, when sampled
	Cancel   *Canceller    // of the downstream connection; nil: nobody cancels
	Pin      any           // the configuration snapshot in force: what Serve chose, Finish finds again
	Limit    Limit         // the strictest rate limit that was checked
	Edge     any           // what counts the exchange while it is in flight; nil before its edge is known
	id       [MaxID]byte   // what ID is a view of
	passed   int           // stages whose Inward ran
	retain   func()        // gives the upstream connection back; run once, by Release
	parent   *Exchange     // of a part of an aggregation
}

// Peer is the other end of a downstream connection.
type Peer struct {
	Addr   netip.AddrPort // of the socket
	Client netip.Addr     // of the client, after trusted hops were counted; equals Addr's without any
	Local  netip.AddrPort
	ID     string // the verified SPIFFE ID; "" without mutual TLS
	TLS    bool
}

// Consumer is who the request was authenticated as.
type Consumer struct {
	Name       string
	Credential string // fingerprint of what proved it: tells credentials of one consumer apart, and is shown to nobody
	Groups     []string
	Scopes     []string            // of a token
	Claims     map[string][]string // of a token, as texts; shared and never changed
}

// Limit is what a rate limit said about an exchange; the zero value says that none was asked.
type Limit struct {
	Policy    string        // name of the policy
	Remaining int64         // requests that would pass now
	Reset     time.Duration // until the whole quota is there again
	Retry     time.Duration // where denied: until one request would pass
	Denied    bool
}

// Trace is the W3C trace context of the exchange (https://www.w3.org/TR/trace-context/).
type Trace struct {
	TraceID [16]byte
	SpanID  [8]byte
	Flags   byte
	Valid   bool
}

// Tunnel is set when an upgrade was agreed on: after the 101 both sides are bytes.
type Tunnel struct {
	Upstream interface {
		Read([]byte) (int, error)
		Write([]byte) (int, error)
		Close() error
	}
	Early []byte // bytes that the upstream sent behind its head
}

// Child makes the exchange of one part of an aggregation: its own head, the parent's peer, consumer, trace and deadline.
func (x *Exchange) Child() *Exchange {
	return &Exchange{
		Request: fasthttp.AcquireRequest(), Response: fasthttp.AcquireResponse(),
		Peer: x.Peer, Consumer: x.Consumer, Route: x.Route, ID: x.ID, Trace: x.Trace,
		Start: x.Start, Deadline: x.Deadline, Pin: x.Pin, parent: x,
	}
}

// Discard gives back what Child took, once nothing holds bytes of the child any more.
func (x *Exchange) Discard() {
	x.Release()
	fasthttp.ReleaseRequest(x.Request)
	fasthttp.ReleaseResponse(x.Response)
	x.Request, x.Response = nil, nil
}

// MaxID is the longest request ID, in bytes.
const MaxID = 128

// SetID copies id, cut at MaxID, into the exchange and makes ID a view of it, so that an ID costs no allocation.
func (x *Exchange) SetID(id []byte) {
	n := copy(x.id[:], id)
	x.ID = unsafe.String(&x.id[0], n)
}

// Retain registers how the upstream's side is given back once the response body was sent or abandoned. Its argument is kept
// until Release.
func (x *Exchange) Retain(release func()) { x.retain = release }

// Release runs what Retain registered, once.
func (x *Exchange) Release() {
	if f := x.retain; f != nil {
		x.retain = nil
		f()
	}
}

// Reset makes the exchange ready for the next request of its connection. Request and Response are kept and reset.
func (x *Exchange) Reset() {
	x.Release()
	x.Request.Reset()
	x.Response.Reset()
	*x = Exchange{Request: x.Request, Response: x.Response, Peer: x.Peer, Cancel: x.Cancel}
}

// arrived is when the head had come in, as well as it is known.
func (x *Exchange) arrived() wire.Instant {
	if x.Arrived == 0 {
		return wire.At(x.Start)
	}
	return x.Arrived
}

// Own is the time since the head came in that was spent in this proxy itself.
func (x *Exchange) Own(now wire.Instant) time.Duration {
	return max(0, time.Duration(now-x.arrived())-time.Duration(x.Ledger.Waited))
}

// Answer sets a response made here, without a body to stream.
func (x *Exchange) Answer(status int, contentType, body string) Step {
	x.Response.SetStatusCode(status)
	x.Response.Header.SetContentType(contentType)
	x.Response.SetBodyString(body)
	return Answered
}

// Fail sets the fault that ends the exchange.
func (x *Exchange) Fail(f *Fault) Step {
	x.Fault = f
	return Failed
}
