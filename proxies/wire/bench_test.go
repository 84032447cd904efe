package wire

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"
)

// repeat is a connection on which the same message arrives again and again.
type repeat struct {
	net.Conn
	message []byte
}

func (r *repeat) Read(p []byte) (int, error)  { return copy(p, r.message), nil }
func (r *repeat) SetDeadline(time.Time) error { return nil }
func (r *repeat) Close() error                { return nil }

const browserHead = "GET /orders/4711?page=2 HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n" +
	"Connection: keep-alive\r\nCookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\nX-Api-Key: demo\r\n\r\n"

// BenchmarkParseHead reads a browser's request head, checks it, fills the header and writes it for the upstream.
func BenchmarkParseHead(b *testing.B) {
	c := NewConn(&repeat{message: []byte(browserHead)})
	defer c.Close()
	var h fasthttp.RequestHeader
	var q Request
	var out []byte
	b.SetBytes(int64(len(browserHead)))
	b.ReportAllocs()
	for b.Loop() {
		h.Reset()
		if err := c.ReadRequest(&h, &q, 32<<10); err != nil {
			b.Fatal(err)
		}
		out = AppendRequest(out[:0], &h, Outgoing{}, "origin")
	}
	require.NotEmpty(b, out)
}

const plainResponse = "HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Mon, 23 Nov 2026 09:00:00 GMT\r\nContent-Type: application/json\r\nContent-Length: 5\r\nX-Request-Id: 0123456789abcdef\r\n\r\nhello"

// BenchmarkParseResponse reads a response head, checks it, fills the header and writes it for the client.
func BenchmarkParseResponse(b *testing.B) {
	c := NewConn(&repeat{message: []byte(plainResponse)})
	defer c.Close()
	var h fasthttp.ResponseHeader
	var p Response
	var out []byte
	b.SetBytes(int64(len(plainResponse)))
	b.ReportAllocs()
	for b.Loop() {
		h.Reset()
		if err := c.ReadResponse(&h, &p, false, 32<<10); err != nil {
			b.Fatal(err)
		}
		c.Body.Discard(5)
		out = AppendResponse(out[:0], &h, Outgoing{Length: 5})
	}
	require.NotEmpty(b, out)
}

// BenchmarkArm is what a deadline costs a request.
func BenchmarkArm(b *testing.B) {
	c := NewConn(&repeat{})
	defer c.Close()
	for b.Loop() {
		c.Arm(After(time.Minute))
	}
}
