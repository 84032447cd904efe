package wire

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// Outgoing is how a message is framed on its way out.
type Outgoing struct {
	Length  int64 // of the body; Chunked; UntilClose: no framing field
	NoBody  bool  // a response without a body whatever its fields say: HEAD, 304; its own Content-Length stays
	Close   bool  // Connection: close
	Upgrade bool  // Connection: Upgrade, to WebSocket
}

// AppendRequest appends a request head. The fields of h are written as they are, the framing from o; h itself is not changed, so
// that a second try writes the same. host stands in where an HTTP/1.0 client sent none (RFC 9112 3.2).
func AppendRequest(dst []byte, h *fasthttp.RequestHeader, o Outgoing, host string) []byte {
	dst = h.AppendBytes(dst)
	dst = dst[:len(dst)-2] // the empty line
	if len(h.Host()) == 0 {
		dst = appendField(dst, "Host", host)
	}
	if o.Length == Chunked {
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	te := len(h.Peek("Te")) > 0
	switch {
	case o.Upgrade:
		dst = append(dst, "Connection: Upgrade\r\n"...)
	case te && o.Close:
		dst = append(dst, "Connection: TE, close\r\n"...)
	case te:
		dst = append(dst, "Connection: TE\r\n"...)
	case o.Close:
		dst = append(dst, "Connection: close\r\n"...)
	}
	return append(dst, '\r', '\n')
}

// AppendResponse appends a response head. Framing and connection come from o; fields of h that speak of either are left out, but
// for the Content-Length of a response without a body. A Date is added where the upstream sent none (RFC 9110 6.6.1).
func AppendResponse(dst []byte, h *fasthttp.ResponseHeader, o Outgoing) []byte {
	h.SetNoDefaultContentType(true)
	dst = appendStatus(dst, h)
	date := false
	for k, v := range h.All() {
		switch string(k) {
		case "Content-Length":
			if !o.NoBody {
				continue
			}
		case "Connection", "Transfer-Encoding", "Trailer", "Keep-Alive":
			continue
		case DateKey:
			date = true
			k = dateName
		}
		dst = append(dst, k...)
		dst = append(dst, ':', ' ')
		dst = append(dst, v...)
		dst = append(dst, '\r', '\n')
	}
	if !date {
		dst = append(dst, *dateLine()...)
	}
	switch status := h.StatusCode(); {
	case o.NoBody, status < 200, status == fasthttp.StatusNoContent:
	case o.Length >= 0:
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, o.Length, 10)
		dst = append(dst, '\r', '\n')
	case o.Length == Chunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	switch {
	case o.Upgrade:
		dst = append(dst, "Connection: Upgrade\r\nUpgrade: websocket\r\n"...)
	case o.Close:
		dst = append(dst, "Connection: close\r\n"...)
	}
	return append(dst, '\r', '\n')
}

var dateName = []byte("Date")

func appendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ':', ' ')
	dst = append(dst, value...)
	return append(dst, '\r', '\n')
}

func appendStatus(dst []byte, h *fasthttp.ResponseHeader) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(h.StatusCode()), 10)
	dst = append(dst, ' ')
	if m := h.StatusMessage(); len(m) > 0 {
		dst = append(dst, m...)
	} else {
		dst = append(dst, fasthttp.StatusMessage(h.StatusCode())...)
	}
	return append(dst, '\r', '\n')
}

// AppendChunk appends one chunk; empty data is left out, since it would be the last chunk.
func AppendChunk(dst, data []byte) []byte {
	if len(data) == 0 {
		return dst
	}
	dst = strconv.AppendInt(dst, int64(len(data)), 16)
	dst = append(dst, '\r', '\n')
	dst = append(dst, data...)
	return append(dst, '\r', '\n')
}

// LastChunk ends a chunked body without trailers.
const LastChunk = "0\r\n\r\n"

// dateLine returns a Date field of this second.
func dateLine() *[]byte {
	now := time.Now()
	if d := dated.Load(); d != nil && d.second == now.Unix() {
		return &d.line
	}
	d := &dateOf{second: now.Unix()}
	d.line = append(fasthttp.AppendHTTPDate([]byte("Date: "), now), '\r', '\n')
	dated.Store(d)
	return &d.line
}

type dateOf struct {
	second int64
	line   []byte
}

var dated atomic.Pointer[dateOf]
