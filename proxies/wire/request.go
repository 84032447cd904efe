package wire

import (
	"bytes"
	"strconv"

	"github.com/valyala/fasthttp"
)

// Request is what a request head says besides its fields.
type Request struct {
	HTTP10      bool
	Close       bool   // the client will send nothing further
	Expect      bool   // 100-continue; RFC 9110 10.1.1
	Upgrade     bool   // a well-formed WebSocket opening handshake (RFC 6455 4.1); its Upgrade field was kept
	Path        []byte // without the query; bytes of the header's request URI
	Flaws       Flaw   // of the path
	MaxForwards int64  // Max-Forwards as received, of OPTIONS only (RFC 9110 7.6.2); -1: none
}

// HeadReady says whether a whole request head is buffered; an error says that what is buffered can never become one.
func (c *Conn) HeadReady() (bool, error) { return c.headReady(true) }

// ReadRequest reads a request head of at most limit bytes, checks it to the letter, and fills h with what goes on to the next hop:
// fields in their order, names in canonical case, the target in origin form, without anything that ends here (RFC 9110 7.6.1).
// Body is ready to be read. An *Error means that the message was refused and the connection must end.
func (c *Conn) ReadRequest(h *fasthttp.RequestHeader, q *Request, limit int) error {
	if err := c.awaitHead(true, limit); err != nil {
		return err
	}
	*q = Request{MaxForwards: -1}
	method, target, err := requestLine(c.line(0), q)
	if err != nil {
		return err
	}
	whole := target
	authority, target, path, err := splitTarget(method, target)
	if err != nil {
		return err
	}
	q.Flaws = PathFlaws(path)
	if q.Flaws&BadEncoding != 0 {
		return errTarget
	}
	var f framing
	if err := c.readFields(&f); err != nil {
		return err
	}
	chunked, err := f.chunked()
	switch {
	case err != nil:
		return err
	case chunked && q.HTTP10:
		return errCoding10
	}
	if err := c.requestFields(h, q, authority, defaultPort(whole), string(method) == "OPTIONS"); err != nil {
		return err
	}
	q.Close = f.close || q.HTTP10
	q.Upgrade = c.handshake(method, q, &f)
	c.fillRequest(h, q, &f)
	h.SetMethodBytes(method)
	setTarget(h, q, target, path)
	c.consumeHead()
	c.Body.start(f.length, chunked, false)
	return nil
}

// requestLine splits method SP target SP version (RFC 9112 3).
func requestLine(line []byte, q *Request) (method, target []byte, err error) {
	first, last := bytes.IndexByte(line, ' '), bytes.LastIndexByte(line, ' ')
	if first <= 0 || last == first {
		return nil, nil, errStart
	}
	method, target = line[:first], line[first+1:last]
	if !all(method, tokenByte) {
		return nil, nil, errMethod
	}
	switch version := line[last+1:]; {
	case string(version) == "HTTP/1.1":
	case string(version) == "HTTP/1.0":
		q.HTTP10 = true
	case len(version) == 8 && string(version[:5]) == "HTTP/" && version[6] == '.' && isDigit(version[5]) && isDigit(version[7]):
		return nil, nil, errVersion
	default:
		return nil, nil, errStart
	}
	switch string(method) {
	case "CONNECT":
		return nil, nil, errConnect
	case "TRACE": // it would show a client the fields that a proxy added (RFC 9110 9.3.8)
		return nil, nil, errTrace
	}
	return method, target, nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// requestFields applies the rules that hold for single fields of a request, and settles the host; port is the default one of the target.
func (c *Conn) requestFields(h *fasthttp.RequestHeader, q *Request, authority []byte, port string, options bool) error {
	var host []byte
	hosts, types := 0, 0
	for i := range c.fields {
		l := &c.fields[i]
		switch string(l.name) {
		case "Host":
			hosts++
			host, l.drop = l.value, true
		case "Content-Type":
			types++
		case "Expect":
			l.drop = true // answered here, not forwarded
			if !equalFold(l.value, "100-continue") {
				return errExpect
			}
			q.Expect = !q.HTTP10
		case "Max-Forwards":
			if n, ok := digits(l.value); ok && options {
				q.MaxForwards = n
				l.value = strconv.AppendInt(nil, n-1, 10)
			}
		}
	}
	switch {
	case hosts > 1:
		return errHostTwice
	case types > 1:
		return errTypeTwice
	case hosts == 0 && !q.HTTP10: // RFC 9112 3.2
		return errHostMissing
	case hosts == 1 && !validHost(host), authority != nil && !validHost(authority):
		return errHost
	case hosts == 1 && authority != nil && !sameAuthority(authority, host, port):
		return errHostOther
	case authority != nil:
		host = authority
	}
	h.SetHostBytes(host)
	return nil
}

// handshake says whether the request may be switched to WebSocket; any other upgrade is not taken up: h2c, above all, would
// tunnel requests past every rule.
func (c *Conn) handshake(method []byte, q *Request, f *framing) bool {
	if !f.upgrade || q.HTTP10 || string(method) != "GET" || f.hasCoding || f.length > 0 || !equalFold(f.protocol, "websocket") {
		return false
	}
	key, version := false, false
	for i := range c.fields {
		switch l := &c.fields[i]; string(l.name) {
		case "Sec-Websocket-Key":
			key = !key && len(l.value) == 24
		case "Sec-Websocket-Version":
			version = string(l.value) == "13"
		}
	}
	return key && version
}

// fillRequest hands the fields that go on to fasthttp. Names are canonical already and values are clean.
func (c *Conn) fillRequest(h *fasthttp.RequestHeader, q *Request, f *framing) {
	h.SetNoDefaultContentType(true)
	h.DisableNormalizing()
	h.DisableSpecialHeader() // keeps Cookie as it came
	agent := false
	for i := range c.fields {
		l := &c.fields[i]
		if l.drop {
			continue
		}
		switch {
		case string(l.name) == "User-Agent" && !agent:
			agent = true
			h.EnableSpecialHeader()
			h.SetUserAgentBytes(l.value)
			h.DisableSpecialHeader()
		case string(l.name) == "Content-Type":
			h.SetContentTypeBytes(l.value)
		default:
			h.AddBytesKV(l.name, l.value)
		}
	}
	if f.trailers {
		h.Add("Te", "trailers")
	}
	if q.Upgrade {
		h.Add("Upgrade", "websocket")
	}
	h.EnableSpecialHeader()
	h.EnableNormalizing()
	if f.hasLength {
		h.SetContentLength(int(f.length))
	}
}

// setTarget sets the origin form. An empty path of the absolute form is /, or * for OPTIONS (RFC 9112 3.2.4).
func setTarget(h *fasthttp.RequestHeader, q *Request, target, path []byte) {
	switch {
	case len(target) > 0: // fasthttp puts the / in front of a bare query
		h.SetRequestURIBytes(target)
	case string(h.Method()) == "OPTIONS":
		h.SetRequestURI("*")
	default:
		h.SetRequestURI("/")
	}
	q.Path = h.RequestURI()[:max(len(path), 1)]
}
