package wire

import "bytes"

// field is one field line of a head, as slices of the read buffer: valid until the next Fill.
type field struct {
	name, value []byte
	drop        bool // hop-by-hop, or handled by the framing
}

// framing is what the fields of a head say about its message, before the rules of requests and responses are applied.
type framing struct {
	length    int64 // of Content-Length
	hasLength bool
	coding    []byte // the value of Transfer-Encoding
	hasCoding bool
	close     bool // Connection: close
	upgrade   bool // Connection: upgrade
	named     bool // Connection names fields to remove
	options   int  // named by Connection
	protocol  []byte
	trailers  bool // TE: trailers
}

// Bounds of a head besides its size: removing what Connection names costs their product.
const (
	maxFields  = 200
	maxOptions = 32
)

// readFields splits the field lines of a ready head, checks each (RFC 9112 5), gathers the framing, and marks what ends at this
// hop (RFC 9110 7.6.1).
func (c *Conn) readFields(f *framing) error {
	c.fields = c.fields[:0]
	if len(c.head.ends) > 1+maxFields {
		return errHeadLong
	}
	for i := 1; i < len(c.head.ends); i++ {
		line := c.line(i)
		if line[0] == ' ' || line[0] == '\t' {
			return errFold
		}
		colon := bytes.IndexByte(line, ':')
		if colon < 0 {
			return errField
		}
		if !canonical(line[:colon]) {
			if alias(line[:colon]) && validValue(line[colon+1:]) {
				continue
			}
			return errName
		}
		value := trim(line[colon+1:])
		if !validValue(value) {
			return errValue
		}
		drop, err := f.note(line[:colon], value)
		if err != nil {
			return err
		}
		c.fields = append(c.fields, field{line[:colon], value, drop})
	}
	if f.options > maxOptions {
		return errHeadLong
	}
	if f.named {
		c.dropNamed()
	}
	return nil
}

// note takes in one field of the framing or of the hop; drop says that it goes no further.
func (f *framing) note(name, value []byte) (drop bool, err error) {
	switch string(name) {
	case "Content-Length":
		n, ok := digits(value)
		if !ok {
			return true, errLength
		}
		if f.hasLength {
			return true, errLengthTwice
		}
		f.length, f.hasLength = n, true
	case "Transfer-Encoding":
		if f.hasCoding {
			return true, errCoding
		}
		f.coding, f.hasCoding = value, true
	case "Connection":
		f.connection(value)
	case "Upgrade":
		if f.protocol != nil {
			value = value[:0] // several fields: none is taken up
		}
		f.protocol = value
	case "Te":
		f.trailers = f.trailers || hasToken(value, "trailers")
	case "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Proxy-Authenticate", "Trailer", "Http2-Settings":
	default:
		return false, nil
	}
	return true, nil
}

func (f *framing) connection(list []byte) {
	var e []byte
	for len(list) > 0 {
		e, list = element(list)
		f.options++
		switch {
		case equalFold(e, "close"):
			f.close = true
		case equalFold(e, "upgrade"):
			f.upgrade = true
		case len(e) == 0, equalFold(e, "keep-alive"), equalFold(e, "te"):
		default:
			f.named = true
		}
	}
}

func hasToken(list []byte, word string) bool {
	var e []byte
	for len(list) > 0 {
		if e, list = element(list); equalFold(e, word) {
			return true
		}
	}
	return false
}

// dropNamed marks the fields that Connection names, but never those that a proxy manages itself: a client could otherwise make
// it forget whom it speaks for.
func (c *Conn) dropNamed() {
	for i := range c.fields {
		if string(c.fields[i].name) != "Connection" {
			continue
		}
		list := c.fields[i].value
		var e []byte
		for len(list) > 0 {
			e, list = element(list)
			for j := range c.fields {
				if n := c.fields[j].name; bytes.EqualFold(n, e) && !managed(n) {
					c.fields[j].drop = true
				}
			}
		}
	}
}

// alias says whether a field name is refused only for underscores, by which it passes as one that a proxy on the way sets, to a
// server that folds them into hyphens. Such a field is removed like those it imitates, and the request need not end for it.
func alias(name []byte) bool {
	for i, c := range name {
		if c == '_' {
			name[i] = '-'
		}
	}
	return canonical(name) && managed(name)
}

// managed says whether a proxy on the way sets the field itself; the name is canonical.
func managed(name []byte) bool {
	switch string(name) {
	case "Host", "Via", "Forwarded", "X-Real-Ip", "X-Request-Id", "Traceparent", "Tracestate", "Date", "Max-Forwards":
		return true
	}
	return bytes.HasPrefix(name, []byte("X-Forwarded-"))
}

// chunked applies RFC 9112 6.1: the one coding that is understood is a single, final chunked.
func (f *framing) chunked() (bool, error) {
	if !f.hasCoding {
		return false, nil
	}
	if f.hasLength {
		return false, errLengthCoding
	}
	if equalFold(f.coding, "chunked") {
		return true, nil
	}
	last, rest := element(f.coding)
	several := false
	for len(rest) > 0 {
		if equalFold(last, "chunked") {
			return false, errCoding
		}
		last, rest = element(rest)
		several = true
	}
	if several && equalFold(last, "chunked") {
		return false, errCodingOther
	}
	return false, errCoding
}
