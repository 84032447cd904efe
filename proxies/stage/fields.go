package stage

import (
	"bytes"
	"sync"

	"github.com/valyala/fasthttp"
)

// This file holds what stages need of fasthttp's header and it does not offer: to look at every field without taking Cookie apart,
// and to remove fields without changing the order of others that share a name (RFC 9110 5.3), which Del does: it moves the last
// field to where the removed one stood.

var fieldCookie = []byte("Cookie")

// keepCookies makes it safe to walk all fields. Walking makes fasthttp parse Cookie and write it anew without its quotes; so where
// there is one, it is taken out, and put back as it came.
func keepCookies(h *fasthttp.RequestHeader) {
	if h.PeekBytes(fieldCookie) == nil {
		return
	}
	var raw [][]byte
	for _, line := range h.PeekAll("Cookie") {
		raw = append(raw, append([]byte(nil), line...))
	}
	for range h.Cookies() { // from here on fasthttp holds them as parsed
		break
	}
	h.DelBytes(fieldCookie)
	addCookies(h, raw)
}

// addCookies adds Cookie fields that are sent as they are.
func addCookies(h *fasthttp.RequestHeader, lines [][]byte) {
	h.DisableSpecialHeader()
	for _, line := range lines {
		h.AddBytesKV(fieldCookie, line)
	}
	h.EnableSpecialHeader()
}

// dropFields removes every field whose name is unwanted; the others keep their order.
func dropFields(h *fasthttp.RequestHeader, unwanted func(name []byte) bool) {
	keepCookies(h)
	for name := range h.All() {
		if unwanted(name) {
			rewrite(h, unwanted)
			return
		}
	}
}

// del removes every field of a name; the others keep the order that matters.
func del(h *fasthttp.RequestHeader, name []byte) {
	if h.PeekBytes(name) == nil {
		return
	}
	keepCookies(h)
	var last []byte
	matches, lasts := 0, 0
	for field := range h.All() {
		last = field
		if bytes.Equal(field, name) {
			matches++
		}
	}
	for field := range h.All() {
		if bytes.Equal(field, last) {
			lasts++
		}
	}
	if matches == 1 && (lasts == 1 || bytes.Equal(last, name)) {
		h.DelBytes(name) // what it moves has no namesake to be moved past
		return
	}
	rewrite(h, func(field []byte) bool { return bytes.Equal(field, name) })
}

// copied holds fields while a header is written anew.
type copied struct {
	bytes []byte
	ends  []int // of name, value, name, value, ... in bytes
}

var copies = sync.Pool{New: func() any { return &copied{} }}

// rewrite takes all fields out that fasthttp keeps in its list, and puts those back that are wanted.
func rewrite(h *fasthttp.RequestHeader, unwanted func(name []byte) bool) {
	c := copies.Get().(*copied)
	defer copies.Put(c)
	c.bytes, c.ends = c.bytes[:0], c.ends[:0]
	for name, value := range h.All() {
		switch string(name) {
		case "Host", "Content-Length", "Content-Type", "User-Agent", "Trailer", "Connection": // kept apart from the list
			continue
		}
		c.bytes = append(c.bytes, name...)
		c.ends = append(c.ends, len(c.bytes))
		c.bytes = append(c.bytes, value...)
		c.ends = append(c.ends, len(c.bytes))
	}
	h.DisableNormalizing() // names as they stand, not as fasthttp would spell them
	h.DisableSpecialHeader()
	c.each(func(name, _ []byte) { h.DelBytes(name) })
	c.each(func(name, value []byte) {
		if !unwanted(name) {
			h.AddBytesKV(name, value)
		}
	})
	h.EnableSpecialHeader()
	h.EnableNormalizing()
}

// dropAnswerFields removes every field of an answer whose name is unwanted; the others keep their order.
func dropAnswerFields(h *fasthttp.ResponseHeader, unwanted func(name []byte) bool) {
	for name := range h.All() {
		if unwanted(name) {
			rewriteAnswer(h, unwanted)
			return
		}
	}
}

// rewriteAnswer is rewrite for an answer.
func rewriteAnswer(h *fasthttp.ResponseHeader, unwanted func(name []byte) bool) {
	c := copies.Get().(*copied)
	defer copies.Put(c)
	c.bytes, c.ends = c.bytes[:0], c.ends[:0]
	for name, value := range h.All() {
		switch string(name) {
		case "Content-Length", "Content-Type", "Content-Encoding", "Server", "Set-Cookie", "Trailer", "Connection", "Date": // kept apart
			continue
		}
		c.bytes = append(c.bytes, name...)
		c.ends = append(c.ends, len(c.bytes))
		c.bytes = append(c.bytes, value...)
		c.ends = append(c.ends, len(c.bytes))
	}
	h.DisableNormalizing()
	c.each(func(name, _ []byte) { h.DelBytes(name) })
	c.each(func(name, value []byte) {
		if !unwanted(name) {
			h.AddBytesKV(name, value)
		}
	})
	h.EnableNormalizing()
}

func (c *copied) each(visit func(name, value []byte)) {
	start := 0
	for i := 0; i < len(c.ends); i += 2 {
		visit(c.bytes[start:c.ends[i]], c.bytes[c.ends[i]:c.ends[i+1]])
		start = c.ends[i+1]
	}
}

// joinFields appends the values of all fields of a name as one list (RFC 9110 5.3).
func joinFields(dst []byte, h *fasthttp.RequestHeader, name []byte) []byte {
	for field, value := range h.All() {
		if bytes.Equal(field, name) {
			if len(dst) > 0 {
				dst = append(dst, ", "...)
			}
			dst = append(dst, value...)
		}
	}
	return dst
}
