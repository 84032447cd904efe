package stage

import "github.com/valyala/fasthttp"

// This file holds what stages need of fasthttp's header and it does not offer: to look at every field without taking the Cookie
// field apart, and to remove fields by a rule.

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
	setCookies(h, raw)
}

// setCookies replaces the Cookie fields by lines that are sent as they are.
func setCookies(h *fasthttp.RequestHeader, lines [][]byte) {
	for range h.Cookies() { // from here on fasthttp holds them as parsed
		break
	}
	h.DelBytes(fieldCookie)
	h.DisableSpecialHeader()
	for _, line := range lines {
		h.AddBytesKV(fieldCookie, line)
	}
	h.EnableSpecialHeader()
}

// dropFields removes every field whose name is unwanted.
func dropFields(h *fasthttp.RequestHeader, unwanted func(name []byte) bool) {
	keepCookies(h)
	var buffer [128]byte
	for {
		doomed := buffer[:0]
		for name := range h.All() {
			if unwanted(name) {
				doomed = append(doomed, name...)
				break
			}
		}
		if len(doomed) == 0 {
			return
		}
		h.DisableNormalizing() // the name as it stands, not as fasthttp would spell it
		h.DelBytes(doomed)
		h.EnableNormalizing()
	}
}

func del(h *fasthttp.RequestHeader, name []byte) { h.DelBytes(name) }

// joinFields appends the values of all fields of a name as one list (RFC 9110 5.3).
func joinFields(dst []byte, h *fasthttp.RequestHeader, name []byte) []byte {
	for field, value := range h.All() {
		if string(field) == string(name) {
			if len(dst) > 0 {
				dst = append(dst, ", "...)
			}
			dst = append(dst, value...)
		}
	}
	return dst
}
