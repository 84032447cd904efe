package route

import (
	"bytes"

	"github.com/valyala/fasthttp"

	"crossroads/proxies/exchange"
)

// Question is what a route is chosen by. Its bytes are only read, and not kept.
type Question struct {
	Host   []byte // the Host field; its port is ignored
	Path   []byte // without the query
	Query  []byte // behind the question mark
	Method []byte
	Header *fasthttp.RequestHeader // nil: no fields
}

// Find returns the route of a request, or nil. It does not allocate.
func (x *Index) Find(q *Question) *exchange.Route {
	if e := x.find(q); e != nil {
		return e.rule.Route
	}
	return nil
}

// find tries hosts from the most to the least specific; a host whose rules do not hold gives way to the next.
func (x *Index) find(q *Question) *entry {
	var buffer [256]byte
	host := bareHost(q.Host)
	if len(host) > 0 && len(host) <= len(buffer) && (len(x.exact) > 0 || len(x.wild) > 0) {
		lower := buffer[:len(host)]
		for i, c := range host {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			lower[i] = c
		}
		if e := x.named(lower, q); e != nil {
			return e
		}
	}
	return x.any.find(q)
}

func (x *Index) named(host []byte, q *Question) *entry {
	if p := x.exact[string(host)]; p != nil {
		if e := p.find(q); e != nil {
			return e
		}
	}
	for suffix := x.longestSuffix(host); suffix != nil; suffix = behindDot(suffix) {
		if p := x.wild[string(suffix)]; p != nil {
			if e := p.find(q); e != nil {
				return e
			}
		}
	}
	return nil
}

// longestSuffix returns the longest part of host that could stand behind a "*.": at least one label less, and not more labels
// than any wildcard has, so that a host of a hundred labels costs no hundred lookups.
func (x *Index) longestSuffix(host []byte) []byte {
	suffix := behindDot(host)
	if len(suffix) == len(host)-1 {
		return nil // begins with a dot: the label that * stands for is empty
	}
	for labels := bytes.Count(suffix, dot) + 1; suffix != nil && labels > x.mostParts; labels-- {
		suffix = behindDot(suffix)
	}
	return suffix
}

var dot = []byte{'.'}

func behindDot(host []byte) []byte {
	i := bytes.IndexByte(host, '.')
	if i < 0 {
		return nil
	}
	return host[i+1:]
}

// bareHost cuts the port off: example.com:80, [::1]:80.
func bareHost(host []byte) []byte {
	if len(host) > 0 && host[0] == '[' {
		if end := bytes.IndexByte(host, ']'); end > 0 {
			return host[:end+1]
		}
		return host
	}
	if colon := bytes.LastIndexByte(host, ':'); colon >= 0 {
		return host[:colon]
	}
	return host
}

func (p *paths) find(q *Question) *entry {
	if len(p.exact) > 0 {
		if e := first(p.exact[string(q.Path)], q); e != nil {
			return e
		}
	}
	for el := p.root.descend(q.Path); el != nil; el = el.parent {
		if e := first(el.entries, q); e != nil {
			return e
		}
	}
	return nil
}

// descend follows the elements of a path as far as any prefix goes.
func (el *element) descend(path []byte) *element {
	for el.children != nil && len(path) > 0 && path[0] == '/' {
		part := path[1:]
		if i := bytes.IndexByte(part, '/'); i >= 0 {
			part = part[:i]
		}
		next := el.children[string(part)]
		if next == nil {
			break
		}
		path = path[1+len(part):]
		el = next
	}
	return el
}

func first(entries []entry, q *Question) *entry {
	for i := range entries {
		if entries[i].holds(q) {
			return &entries[i]
		}
	}
	return nil
}

func (e *entry) holds(q *Question) bool {
	if e.method != "" && string(q.Method) != e.method {
		return false
	}
	for _, h := range e.headers {
		if !headerHolds(q.Header, h) {
			return false
		}
	}
	for _, p := range e.query {
		if !queryHolds(q.Query, p) {
			return false
		}
	}
	return true
}

// headerHolds compares the first field of a name; a field that is absent is not an empty one.
func headerHolds(h *fasthttp.RequestHeader, want pair) bool {
	if h == nil {
		return false
	}
	value := h.Peek(want.name)
	return value != nil && string(value) == want.value
}

// queryHolds compares the first parameter of a name, percent-decoded; the Gateway API leaves repeated ones to the first.
func queryHolds(query []byte, want pair) bool {
	for len(query) > 0 {
		param := query
		if i := bytes.IndexByte(query, '&'); i >= 0 {
			param, query = query[:i], query[i+1:]
		} else {
			query = nil
		}
		name, value := param, []byte(nil)
		if i := bytes.IndexByte(param, '='); i >= 0 {
			name, value = param[:i], param[i+1:]
		}
		if decodesTo(name, want.name) {
			return decodesTo(value, want.value)
		}
	}
	return false
}

// decodesTo says whether a part of a query is want once percent signs and plus are decoded.
func decodesTo(part []byte, want string) bool {
	n := 0
	for i := 0; i < len(part); i, n = i+1, n+1 {
		c := part[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%' && i+2 < len(part):
			high, low := unhex(part[i+1]), unhex(part[i+2])
			if high < 0 || low < 0 {
				return false
			}
			c = byte(high<<4 | low)
			i += 2
		}
		if n >= len(want) || want[n] != c {
			return false
		}
	}
	return n == len(want)
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
