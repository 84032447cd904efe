package wire

import "github.com/valyala/fasthttp"

// Response is what a response head says besides its fields.
type Response struct {
	Status int
	Close  bool   // the connection cannot carry another message
	Switch []byte // the protocol of a 101 that names one; valid until the next head
}

// DateKey is the name under which a response header holds the upstream's Date: fasthttp writes a Date of its own instead of one
// that was set, and a proxy keeps the origin's (RFC 9110 6.6.1). No field on the wire can have this name.
const DateKey = ":date"

// ReadResponse reads a response head of at most limit bytes and fills h with what goes on: a response to a HEAD request has no
// body, whatever its fields say. For 1xx nothing is filled, and the next head follows.
func (c *Conn) ReadResponse(h *fasthttp.ResponseHeader, p *Response, head bool, limit int) error {
	if err := c.awaitHead(false, limit); err != nil {
		return err
	}
	*p = Response{}
	line := c.line(0)
	http10, err := statusLine(line, p)
	if err != nil {
		return err
	}
	var f framing
	if err := c.readFields(&f); err != nil {
		return err
	}
	chunked, err := f.chunked()
	if err != nil {
		return err
	}
	if chunked && http10 {
		return errCoding10
	}
	p.Close = f.close || http10
	if p.Status == fasthttp.StatusSwitchingProtocols && f.upgrade {
		p.Switch = f.protocol
	}
	if p.Status >= 200 || p.Status == fasthttp.StatusSwitchingProtocols {
		c.fillResponse(h, line, p, &f)
	}
	c.consumeHead()
	// RFC 9112 6.3, rules 1 to 8
	switch {
	case head, p.Status < 200, p.Status == fasthttp.StatusNoContent, p.Status == fasthttp.StatusNotModified:
		p.Close = p.Close || chunked && !head // a coded body may follow all the same
		c.Body.start(0, false, false)
	case chunked, f.hasLength:
		c.Body.start(f.length, chunked, false)
	default:
		p.Close = true
		c.Body.start(0, false, true)
	}
	return nil
}

// statusLine reads HTTP-version SP status-code [ SP reason ] (RFC 9112 4).
func statusLine(line []byte, p *Response) (http10 bool, err error) {
	if len(line) < 12 || string(line[:7]) != "HTTP/1." || line[8] != ' ' || line[7] != '1' && line[7] != '0' {
		return false, errStatus
	}
	if !isDigit(line[9]) || !isDigit(line[10]) || !isDigit(line[11]) || len(line) > 12 && line[12] != ' ' || !validValue(line) {
		return false, errStatus
	}
	p.Status = int(line[9]-'0')*100 + int(line[10]-'0')*10 + int(line[11]-'0')
	if p.Status < 100 {
		return false, errStatus
	}
	return line[7] == '0', nil
}

func (c *Conn) fillResponse(h *fasthttp.ResponseHeader, line []byte, p *Response, f *framing) {
	h.SetNoDefaultContentType(true)
	h.DisableNormalizing()
	h.SetStatusCode(p.Status)
	if reason := line[min(13, len(line)):]; string(reason) != fasthttp.StatusMessage(p.Status) {
		h.SetStatusMessage(reason)
	}
	for i := range c.fields {
		l := &c.fields[i]
		switch {
		case l.drop:
		case string(l.name) == "Date":
			h.SetBytesV(DateKey, l.value)
		case string(l.name) == "Content-Encoding" && len(h.ContentEncoding()) > 0: // a list over two lines; fasthttp keeps one
			h.SetContentEncoding(string(h.ContentEncoding()) + ", " + string(l.value))
		default:
			h.AddBytesKV(l.name, l.value)
		}
	}
	if f.hasLength {
		h.AddBytesKV(contentLength, c.lengthValue())
	}
	h.EnableNormalizing()
}

var contentLength = []byte("Content-Length")

// lengthValue finds the value of Content-Length among the fields read.
func (c *Conn) lengthValue() []byte {
	for i := range c.fields {
		if string(c.fields[i].name) == "Content-Length" {
			return c.fields[i].value
		}
	}
	return nil
}
